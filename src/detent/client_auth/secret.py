"""Client secrets: made with 256 bits of chance, shown once, kept as a fast keyed hash; sealed where the client signs
with its own (decision 0026).

A slow password hash would buy nothing against 256 random bits and cost each token request 100 ms; the key of the
hash (the pepper) is not in the database, so a dump cannot even confirm a guess.
"""

import hmac
from hashlib import blake2b

from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from detent.core.base64url import base64url
from detent.core.client import Client, SecretDigest
from detent.core.ids import Instant
from detent.ports import Entropy, Keys

SECRET_PREFIX = "dtcs_"


def new_secret(entropy: Entropy) -> str:
    """A secret from the URL-safe alphabet, so that Basic needs no escaping."""
    return SECRET_PREFIX + base64url(entropy.token_bytes(32))


def secret_digest(
    secret: str, keys: Keys, now: Instant, expires_at: Instant | None = None, *, sealed_for: str = ""
) -> SecretDigest:
    """`sealed_for` is the client_id of a client that signs with its secret, so that it must be had again."""
    pepper = keys.pepper()
    key = pepper.keys[pepper.current]
    sealed = _sealer(key).encrypt(secret.encode(), [sealed_for.encode()]) if sealed_for else b""
    return SecretDigest(pepper.current, _digest(secret, key), now, expires_at, sealed)


def sealed_secrets(client: Client, keys: Keys, now: Instant) -> list[str]:
    """The secrets that this client may sign with."""
    pepper, about = keys.pepper().keys, [client.client_id.encode()]
    live = [one for one in client.secrets if one.expires_at is None or now < one.expires_at]
    kept = [one for one in live if one.sealed and one.key_id in pepper]
    return [_sealer(pepper[one.key_id]).decrypt(one.sealed, about).decode() for one in kept]


def is_secret_of(client: Client | None, secret: str, keys: Keys, now: Instant) -> bool:
    """Constant time; an unknown client costs the same hash."""
    pepper = keys.pepper()
    stored = client.secrets if client else ()
    live = [one for one in stored if one.key_id in pepper.keys and (one.expires_at is None or now < one.expires_at)]
    if len(live) < len(stored) and any(one.key_id not in pepper.keys for one in stored):
        keys.missed()
    if not live:
        _digest(secret, pepper.keys[pepper.current])
    matches = [hmac.compare_digest(one.digest, _digest(secret, pepper.keys[one.key_id])) for one in live]
    return any(matches)  # every one is compared, so the time does not say which


def _sealer(key: bytes) -> AESSIV:
    return AESSIV(blake2b(b"sealed", key=key, person=b"client secret", digest_size=64).digest())


def _digest(secret: str, key: bytes) -> bytes:
    return blake2b(secret.encode(), key=key, person=b"client secret", digest_size=32).digest()
