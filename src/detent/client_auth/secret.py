"""Client secrets: made with 256 bits of chance, shown once, kept as a fast keyed hash.

A slow password hash would buy nothing against 256 random bits and cost each token request 100 ms; the key of the
hash (the pepper) is not in the database, so a dump cannot even confirm a guess.
"""

import base64
import hmac
from hashlib import blake2b

from detent.core.client import Client, SecretDigest
from detent.core.ids import Instant
from detent.ports import Entropy, Keys

SECRET_PREFIX = "dtcs_"


def new_secret(entropy: Entropy) -> str:
    """A secret from the URL-safe alphabet, so that Basic needs no escaping."""
    return SECRET_PREFIX + base64.urlsafe_b64encode(entropy.token_bytes(32)).decode().rstrip("=")


def secret_digest(secret: str, keys: Keys, now: Instant, expires_at: Instant | None = None) -> SecretDigest:
    pepper = keys.pepper()
    return SecretDigest(pepper.current, _digest(secret, pepper.keys[pepper.current]), now, expires_at)


def is_secret_of(client: Client | None, secret: str, keys: Keys, now: Instant) -> bool:
    """Constant time; an unknown client costs the same hash."""
    pepper = keys.pepper()
    stored = client.secrets if client else ()
    live = [one for one in stored if one.key_id in pepper.keys and (one.expires_at is None or now < one.expires_at)]
    if not live:
        _digest(secret, pepper.keys[pepper.current])
    matches = [hmac.compare_digest(one.digest, _digest(secret, pepper.keys[one.key_id])) for one in live]
    return any(matches)  # every one is compared, so the time does not say which


def _digest(secret: str, key: bytes) -> bytes:
    return blake2b(secret.encode(), key=key, person=b"client secret", digest_size=32).digest()
