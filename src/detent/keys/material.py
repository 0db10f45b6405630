"""Key material: made, read back from bytes, and signed or decrypted with.

Source: RFC 7515 §3.1 and RFC 7516 §3.1 (compact forms), RFC 7518 §3.4, RFC 7638 (thumbprint as `kid`), RFC 8037. The
cryptography and the algorithms are those of `cryptography` and joserfc. When a key is used is ring.py's question.
"""

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwa import JWS_ALGORITHMS
from joserfc.jwk import ECKey, OKPKey, RSAKey

from detent.core.api import SigningAlg
from detent.core.base64url import base64url
from detent.core.encryption import Enc, OwnAlg
from detent.keys.ring import Purpose

RSA_BITS: Final = 2048
SECRET_BYTES: Final = 32
_KID_CHARACTERS: Final = 16
_ECDSA: Final = ECDSA(SHA256())
_encode: Final = msgspec.json.Encoder().encode
_ALGORITHMS: Final = {algorithm.name: algorithm for algorithm in JWS_ALGORITHMS}


def generate(purpose: Purpose) -> bytes:
    """New material: a PKCS #8 key (DER), or 32 bytes. RSA takes 0.05 to 0.3 s, off the GIL."""
    match purpose:
        case "RS256" | "PS256" | "RSA-OAEP-256":
            return RSAKey.generate_key(RSA_BITS).as_der(private=True)
        case "ES256" | "ECDH-ES":
            return ECKey.generate_key("P-256").as_der(private=True)
        case "EdDSA":
            return OKPKey.generate_key("Ed25519").as_der(private=True)
        case "handle" | "pepper" | "audit":
            return secrets.token_bytes(SECRET_BYTES)


class SigningKey:
    """A private key of one algorithm, read once."""

    def __init__(self, alg: SigningAlg, material: bytes) -> None:
        """Raises ValueError for material that is no key of this algorithm. Takes material as `generate` made it."""
        self.alg = alg
        self.material = material
        key = _imported(alg, material)
        self.kid: str = key.thumbprint()[:_KID_CHARACTERS]
        self.public_jwk: dict[str, Any] = {**key.as_dict(private=False), "kid": self.kid, "use": "sig", "alg": alg}
        self.signature = _signing_with(alg, key)  # of a signing input
        self._heads: dict[str, str] = {}  # the first part of a token, by its `typ`

    def signing_input(self, typ: str, claims: dict[str, Any]) -> str:
        """RFC 7515 §5.1. `joserfc.jws` would weigh the key anew each time; it was weighed above."""
        head = self._heads.get(typ)
        if head is None:
            head = base64url(_encode({"typ": typ, "alg": self.alg, "kid": self.kid}))
            self._heads[typ] = head
        return f"{head}.{base64url(_encode(claims))}"


class DecryptionKey:
    """A private key that others encrypt to by one algorithm."""

    def __init__(self, alg: OwnAlg, material: bytes) -> None:
        """Raises as `SigningKey` does."""
        self.alg = alg
        self._key = _imported(alg, material)
        self.kid: str = self._key.thumbprint()[:_KID_CHARACTERS]
        self.public_jwk: dict[str, Any] = {
            **self._key.as_dict(private=False),
            "kid": self.kid,
            "use": "enc",
            "alg": alg,
        }

    def decrypt(self, token: str, enc: Enc) -> bytes | None:
        """What is in a compact JWE by this very algorithm and `enc`; None for whatever cannot be read."""
        try:
            return jwe.decrypt_compact(token, self._key, algorithms=[self.alg, enc]).plaintext
        # A foreign text reaches deep into the library, which says no in many ways.
        except (JoseError, InvalidTag, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
            return None


def pair_of(purpose: Purpose, material: bytes) -> SigningKey | DecryptionKey | None:
    """The key whose public half is published; None for the purpose of a secret. Raises ValueError."""
    match purpose:
        case "RS256" | "PS256" | "ES256" | "EdDSA":
            return SigningKey(purpose, material)
        case "RSA-OAEP-256" | "ECDH-ES":
            return DecryptionKey(purpose, material)
        case "handle" | "pepper" | "audit":
            return None


def _signing_with(alg: SigningAlg, key: RSAKey | ECKey | OKPKey) -> Callable[[bytes], bytes]:
    native = key.private_key
    if not isinstance(native, EllipticCurvePrivateKey):
        return partial(_ALGORITHMS[alg].sign, key=key)

    def es256(signing_input: bytes) -> bytes:
        """RFC 7518 §3.4, without what joserfc asks the key each time: that takes as long as the signature."""
        r, s = decode_dss_signature(native.sign(signing_input, _ECDSA))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return es256


def _imported(alg: SigningAlg | OwnAlg, material: bytes) -> RSAKey | ECKey | OKPKey:
    try:
        # OpenSSL's own check of an RSA key takes 50 ms and more under the GIL, and a rotation is read while requests
        # run. The material is ours: stored.py proves by its digest that it is what was written.
        native = load_der_private_key(material, None, unsafe_skip_rsa_key_validation=True)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("not a private key in PKCS #8") from error
    match alg, native:
        case "RS256" | "PS256" | "RSA-OAEP-256", RSAPrivateKey() if native.key_size >= RSA_BITS:
            return RSAKey.import_key(native)
        case "ES256" | "ECDH-ES", EllipticCurvePrivateKey(curve=SECP256R1()):
            return ECKey.import_key(native)
        case "EdDSA", Ed25519PrivateKey():
            return OKPKey.import_key(native)
    raise ValueError(f"not a key for {alg}")
