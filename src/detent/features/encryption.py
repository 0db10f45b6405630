"""ID tokens and userinfo that only their client can read (JWE): signed first, then encrypted to a key of the client's.

Source: RFC 7516, OpenID Connect Core §10.2, OpenID Connect Dynamic Client Registration §2. Leaves the choice of
algorithms to core/encryption.py, fetching keys to client_auth/keys.py, JWE itself to joserfc.
"""

from collections.abc import Mapping
from typing import Any, Final, get_args

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from detent.client_auth.keys import ClientKeys, has_keys
from detent.core.client import USERINFO_ALG, Client
from detent.core.encryption import ALGS, DEFAULT_ENC, ENCS, Alg, Enc
from detent.core.errors import InvalidClientMetadata, TemporarilyUnavailable, UnauthorizedClient
from detent.core.wishes import Place
from detent.registry.feature import Feature
from detent.resource_server.errors import Unavailable, UnknownKey
from detent.resource_server.keys import VerificationKeys

PLACES: Final[tuple[Place, ...]] = get_args(Place)
_OPERATIONS: Final = frozenset({"encrypt", "wrapKey", "deriveKey", "deriveBits"})
_MEMBERS: Final = frozenset({"kty", "kid", "use", "n", "e", "crv", "x", "y"})
_RSA_BITS: Final = range(2_048, 8_193)

PublicKey = RSAKey | ECKey | OKPKey


def alg_member(place: Place) -> str:
    return f"{place}_encrypted_response_alg"


def enc_member(place: Place) -> str:
    return f"{place}_encrypted_response_enc"


class Jwe:
    def __init__(self, client_keys: ClientKeys) -> None:
        self._client_keys = client_keys

    async def wrap(self, token: str, client: Client, place: Place) -> str:
        """Raises TemporarilyUnavailable where the client's keys cannot be had, UnauthorizedClient where none fits."""
        alg = client.extra.get(alg_member(place))
        if alg is None:
            return token
        try:
            key = await self._client_keys.verified(client, lambda keys: key_for(alg, keys))
        except Unavailable as error:
            raise TemporarilyUnavailable(
                "The client's keys cannot be fetched, and it wants encrypted tokens.", retry_after=10, detail=str(error)
            ) from None
        except UnknownKey:
            raise UnauthorizedClient(f"Among the client's keys there is none to encrypt with by {alg}.") from None
        header = {"alg": alg, "enc": client.extra.get(enc_member(place), DEFAULT_ENC), "cty": "JWT"}
        if key.kid:
            header["kid"] = key.kid
        return jwe.encrypt_compact(header, token, key, algorithms=[*ALGS, *ENCS])


def key_for(alg: str, keys: VerificationKeys) -> PublicKey:
    """The first published key that fits, those named for encryption before others. Raises UnknownKey."""
    for jwk in sorted(keys.published, key=lambda jwk: jwk.get("use") != "enc"):
        if key := _weighed(jwk, alg):
            return key
    raise UnknownKey(f"no key to encrypt with by {alg}")


def _weighed(jwk: Mapping[str, Any], alg: str) -> PublicKey | None:
    """The key, if by kty, crv, use, key_ops and alg it may encrypt like this, and is strong enough (RFC 8725 §3.1)."""
    operations = jwk.get("key_ops", list(_OPERATIONS))
    if jwk.get("use", "enc") != "enc" or jwk.get("alg", alg) != alg or not isinstance(operations, list):
        return None
    try:
        if not _OPERATIONS & set(operations):
            return None
        key = JWKRegistry.import_key({name: value for name, value in jwk.items() if name in _MEMBERS})
    # A foreign document reaches deep into the library, which says no in many ways.
    except (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        return None
    if alg.startswith("RSA"):
        return key if isinstance(key, RSAKey) and key.public_key.key_size in _RSA_BITS else None
    if isinstance(key, OKPKey):
        return key if jwk.get("crv") == "X25519" else None
    return key if isinstance(key, ECKey) and jwk.get("crv") in ("P-256", "P-384", "P-521") else None


async def check(client: Client) -> None:
    """OpenID Connect Dynamic Client Registration §2. Raises InvalidClientMetadata."""
    for place in PLACES:
        alg, enc = client.extra.get(alg_member(place)), client.extra.get(enc_member(place))
        if alg is None and enc is not None:
            raise InvalidClientMetadata(f"{enc_member(place)} says nothing without {alg_member(place)}.")
        if alg is None:
            continue
        if not has_keys(client):
            raise InvalidClientMetadata(f"{alg_member(place)} needs a key of the client's: register jwks or jwks_uri.")
        if place == "userinfo" and USERINFO_ALG not in client.extra:
            raise InvalidClientMetadata(
                f"{alg_member(place)} needs {USERINFO_ALG}: anybody can encrypt to a public key."
            )
        if jwks := client.extra.get("jwks"):
            _check_there_is_one(alg, jwks)


def _check_there_is_one(alg: str, jwks: dict[str, Any]) -> None:
    try:
        key_for(alg, VerificationKeys.from_jwks(jwks))
    except (UnknownKey, ValueError):
        raise InvalidClientMetadata(f"jwks holds no key that {alg} can encrypt to.") from None


def feature(client_keys: ClientKeys) -> Feature:
    return Feature(
        "encryption",
        ("RFC 7516", "OpenID Connect Core §10.2"),
        envelopes=(Jwe(client_keys),),
        metadata={
            f"{place}_encryption_{what}_values_supported": list(values)
            for place in PLACES
            for what, values in (("alg", ALGS), ("enc", ENCS))
        },
        client_metadata={alg_member(place): Alg for place in PLACES} | {enc_member(place): Enc for place in PLACES},
        client_checks=(check,),
        requires=("client-keys",),
    )
