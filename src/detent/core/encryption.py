"""Which algorithms encrypt a JWT here (RFC 7518 §4, §5), to clients and from them. Leaves JWE itself to joserfc.

Only asymmetric ones: a client's secret is stored as a digest, so it is no key here; and RSA1_5 is not offered
(RFC 8725 §3.2).
"""

from typing import Final, Literal, get_args

Enc = Literal["A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"]
ENCS: Final[tuple[Enc, ...]] = get_args(Enc)
DEFAULT_ENC: Final[Enc] = "A128CBC-HS256"  # OpenID Connect Dynamic Client Registration §2

# To a client, by a key of its own; and to us, by a key of ours for each algorithm.
Alg = Literal["RSA-OAEP-256", "RSA-OAEP", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"]
ALGS: Final[tuple[Alg, ...]] = get_args(Alg)
OwnAlg = Literal["RSA-OAEP-256", "ECDH-ES"]
OWN_ALGS: Final[tuple[OwnAlg, ...]] = get_args(OwnAlg)
