"""The library for APIs: check an access token where it is used.

Owns: verifying JWTs (pure), the issuer's keys and status lists and when to fetch them, introspection, the ASGI guard.
Leaves: issuing and revoking to the server, what a subject may do to the API, other HTTP clients than the
standard library's to a `Fetch` of yours.
Rule: imports nothing of the server, and the server verifies with it: one verifier on both sides of the wire.
"""

from detent.resource_server.access_tokens import AccessTokens
from detent.resource_server.asgi import BearerGuard, Counters, claims
from detent.resource_server.dpop import DPoP, Nonces, ReplayMemory
from detent.resource_server.errors import InvalidProof, InvalidToken, Unavailable, UnknownKey
from detent.resource_server.fetch import Fetch, Response, StandardFetch
from detent.resource_server.introspect import Introspector
from detent.resource_server.jwks import JwksCache, KeySource
from detent.resource_server.keys import VerificationKey, VerificationKeys
from detent.resource_server.proof import Proof, verify_proof
from detent.resource_server.protected_resource import ProtectedResource
from detent.resource_server.status_list import StatusList, StatusLists
from detent.resource_server.verify import Audience, Claims, Verifier

__all__ = [
    "AccessTokens",
    "Audience",
    "BearerGuard",
    "Claims",
    "Counters",
    "DPoP",
    "Fetch",
    "Introspector",
    "InvalidProof",
    "InvalidToken",
    "JwksCache",
    "KeySource",
    "Nonces",
    "Proof",
    "ProtectedResource",
    "ReplayMemory",
    "Response",
    "StandardFetch",
    "StatusList",
    "StatusLists",
    "Unavailable",
    "UnknownKey",
    "VerificationKey",
    "VerificationKeys",
    "Verifier",
    "claims",
    "verify_proof",
]
