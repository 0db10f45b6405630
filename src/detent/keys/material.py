"""Key material: made, read back from bytes, and signed with.

Source: RFC 7515 §3.1 (compact form), RFC 7518 §3.4, RFC 7638 (thumbprint as `kid`), RFC 8037 (Ed25519). The
cryptography and the algorithms are those of `cryptography` and joserfc. When a key is used is ring.py's question.
"""

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key
from joserfc.jwa import JWS_ALGORITHMS
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.util import urlsafe_b64encode

from detent.core.api import SigningAlg
from detent.keys.ring import Purpose

RSA_BITS: Final = 2048
SECRET_BYTES: Final = 32
_KID_CHARACTERS: Final = 16
_ECDSA: Final = ECDSA(SHA256())
_encode: Final = msgspec.json.Encoder().encode
_ALGORITHMS: Final = {algorithm.name: algorithm for algorithm in JWS_ALGORITHMS}


def generate(purpose: Purpose) -> bytes:
    """New material: a PKCS #8 key (DER) to sign with, or 32 bytes. RSA takes 0.05 to 0.3 s, off the GIL."""
    match purpose:
        case "RS256" | "PS256":
            return RSAKey.generate_key(RSA_BITS).as_der(private=True)
        case "ES256":
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
        key = _imported(alg, material)
        self.kid: str = key.thumbprint()[:_KID_CHARACTERS]
        self.public_jwk: dict[str, Any] = {**key.as_dict(private=False), "kid": self.kid, "use": "sig", "alg": alg}
        self._signature = _signing_with(alg, key)
        self._heads: dict[str, bytes] = {}  # the first part of a token, by its `typ`

    def sign(self, typ: str, claims: dict[str, Any]) -> str:
        """A compact JWS. `joserfc.jws` would weigh the key anew for each token; it was weighed above."""
        head = self._heads.get(typ)
        if head is None:
            head = urlsafe_b64encode(_encode({"typ": typ, "alg": self.alg, "kid": self.kid})) + b"."
            self._heads[typ] = head
        signing_input = head + urlsafe_b64encode(_encode(claims))
        return (signing_input + b"." + urlsafe_b64encode(self._signature(signing_input))).decode()


def _signing_with(alg: SigningAlg, key: RSAKey | ECKey | OKPKey) -> Callable[[bytes], bytes]:
    native = key.private_key
    if not isinstance(native, EllipticCurvePrivateKey):
        return partial(_ALGORITHMS[alg].sign, key=key)

    def es256(signing_input: bytes) -> bytes:
        """RFC 7518 §3.4, without what joserfc asks the key each time: that takes as long as the signature."""
        r, s = decode_dss_signature(native.sign(signing_input, _ECDSA))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return es256


def _imported(alg: SigningAlg, material: bytes) -> RSAKey | ECKey | OKPKey:
    try:
        # OpenSSL's own check of an RSA key takes 50 ms and more under the GIL, and a rotation is read while requests
        # run. The material is ours: stored.py proves by its digest that it is what was written.
        native = load_der_private_key(material, None, unsafe_skip_rsa_key_validation=True)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("not a private key in PKCS #8") from error
    match alg, native:
        case "RS256" | "PS256", RSAPrivateKey() if native.key_size >= RSA_BITS:
            return RSAKey.import_key(native)
        case "ES256", EllipticCurvePrivateKey(curve=SECP256R1()):
            return ECKey.import_key(native)
        case "EdDSA", Ed25519PrivateKey():
            return OKPKey.import_key(native)
    raise ValueError(f"not a key for {alg}")
