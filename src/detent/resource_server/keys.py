"""Which public keys may verify a signature, and by which algorithm each.

Source: RFC 7517 §4, RFC 7518 §3, RFC 8725 §3.1, §3.2. A key is weighed once, when it is read: what comes out
can verify with the algorithms named beside it and with nothing else. Where keys come from is jwks.py.
Rule: asymmetric only. `none` and HMAC do not exist here, so no public key is ever taken for a shared secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.errors import JoseError
from joserfc.jwa import JWS_ALGORITHMS, JWSAlgModel
from joserfc.jwk import JWKRegistry, Key, RSAKey

from detent.resource_server.errors import InvalidToken, UnknownKey

MAX_KID_CHARACTERS: Final = 256
_ECDSA: Final = ECDSA(SHA256())
_ASYMMETRIC: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip
SIGNATURES: Final[Mapping[str, JWSAlgModel]] = {a.name: a for a in JWS_ALGORITHMS if a.name in _ASYMMETRIC}

_PUBLIC: Final = frozenset({"kty", "kid", "use", "key_ops", "alg", "n", "e", "crv", "x", "y"})
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_CURVES: Final = ("P-256", "P-384", "P-521", "Ed25519", "X25519")
_MAX_KEYS: Final = 64


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key; `algorithms` is everything it may be used for."""

    kid: str | None
    algorithms: frozenset[str]
    _key: Key
    _p256: EllipticCurvePublicKey | None = None

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> Self | None:
        """None for a key that must not be used: private, symmetric, weak, broken, or not for signatures."""
        if _PRIVATE & jwk.keys():
            return None
        # x5u, x5c and the like are left behind: nothing in a key leads to another request.
        public = {name: value for name, value in jwk.items() if name in _PUBLIC}
        kid = public.get("kid")
        if kid is not None and not is_kid(kid):
            return None
        try:
            key = JWKRegistry.import_key(public)
            key.check_key_op("verify")
            algorithms = frozenset(name for name in SIGNATURES if _allows(key, name))
        # A foreign document reaches deep into the library, which says no in many ways (an unhashable `use`).
        except (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
            return None
        native = key.public_key if "ES256" in algorithms else None
        p256 = native if isinstance(native, EllipticCurvePublicKey) else None
        return cls(kid, algorithms, key, p256) if algorithms else None

    @property
    def thumbprint(self) -> str:
        """RFC 7638, SHA-256."""
        return self._key.thumbprint()

    def verifies(self, alg: str, signing_input: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `signing_input`. `alg` must be one of `algorithms`."""
        if alg not in self.algorithms:
            return False
        if alg == "ES256" and self._p256:
            return _verifies_es256(self._p256, signing_input, signature)
        return SIGNATURES[alg].verify(signing_input, signature, self._key)


def _verifies_es256(public: EllipticCurvePublicKey, signing_input: bytes, signature: bytes) -> bool:
    """RFC 7518 §3.4, without what joserfc asks the key each time: that takes half as long as the signature."""
    if len(signature) != 64:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        public.verify(encode_dss_signature(r, s), signing_input, _ECDSA)
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True, slots=True, eq=False)
class VerificationKeys:
    """A key set as published, less everything that must not be used. Equal to itself alone: another may be newer.

    `published` are all its public members as they stand there, for whoever weighs them for another use (encryption).
    """

    keys: tuple[VerificationKey, ...] = ()
    published: tuple[Mapping[str, Any], ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def from_jwks(cls, document: Mapping[str, Any]) -> Self:
        """Read a JWK Set (RFC 7517 §5) and drop unusable keys. ValueError if it is not a key set at all."""
        members = document.get("keys")
        if not isinstance(members, list) or len(members) > _MAX_KEYS:
            raise ValueError("not a JWK Set, or one with too many keys")
        published = tuple(member for member in members if isinstance(member, dict) and not _PRIVATE & member.keys())
        read = [VerificationKey.from_jwk(member) for member in published]
        return cls(tuple(key for key in read if key is not None), published)

    def select(self, alg: str, kid: str | None) -> VerificationKey:
        """The one key that fits. Raises UnknownKey for a `kid` not held, else InvalidToken."""
        named = [key for key in self.keys if kid is None or key.kid == kid]
        if not named and kid is not None:
            raise UnknownKey("the signing key is unknown")
        fitting = [key for key in named if alg in key.algorithms]
        if len(fitting) != 1:
            raise InvalidToken("no single key fits the token's algorithm")
        return fitting[0]


def is_unsound(jwk: Mapping[str, Any]) -> bool:
    """Too weak or broken (RFC 8725 §3.4, §3.5). Of a kind that is unknown here nobody can say (RFC 7517 §5)."""
    if jwk.get("kty") != "RSA" and jwk.get("crv") not in _CURVES:
        return False
    try:
        key = JWKRegistry.import_key({name: value for name, value in jwk.items() if name in _PUBLIC})
        native = key.public_key  # made here, which is where a point off its curve is noticed
    except (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        return True
    return isinstance(native, RSAPublicKey) and not _is_sound(native)


def is_kid(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_KID_CHARACTERS


def _allows(key: Key, alg: str) -> bool:
    """RFC 8725 §3.1: the key says by kty, crv, use and alg what it is for; weak keys are for nothing."""
    if isinstance(key, RSAKey) and not _is_sound(key.public_key):
        return False
    if alg == "EdDSA" and not isinstance(key.public_key, Ed25519PublicKey):
        return False
    try:
        SIGNATURES[alg].check_key(key)
    except JoseError:
        return False
    return True


def _is_sound(public: RSAPublicKey) -> bool:
    """RFC 7518 §3.3 (size), FIPS 186-5 §5.1 (exponent); the upper bounds keep verifying cheap."""
    return 2_048 <= public.key_size <= 8_192 and 65_537 <= public.public_numbers().e < 2**64
