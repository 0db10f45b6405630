"""DPoP (RFC 9449): tokens are bound to a key of the client, so that a stolen one opens nothing.

What a proof must say is resource_server/proof.py, shared with APIs. Here: how the server asks for it. Nonces (§8) are
sealed times, always demanded, and known by every node; a proof is spent in the commit of what it obtains, so on every
node and after a restart it counts once. Leaves what binding means to core/confirmation.py and the grants.
"""

import re
from typing import Final
from urllib.parse import urlsplit

from detent.core.changes import Record
from detent.core.client import Client
from detent.core.confirmation import Confirmation
from detent.core.errors import InvalidRequest, OAuthError
from detent.core.exchange import Form, Request
from detent.core.ids import Instant
from detent.core.policy import MINUTE
from detent.registry.feature import Feature
from detent.registry.requests import Once, Proved
from detent.resource_server.errors import InvalidProof
from detent.resource_server.proof import ALGORITHMS, Proof, verify_proof
from detent.tokens.handle import Handles

BOUND: Final = "dpop_bound_access_tokens"
PROOF_KIND: Final = "dpop_proof"
NONCE_PREFIX: Final = "dtdn_"
NONCE_LIFE: Final = 10 * MINUTE
NONCE_RENEWED_AFTER: Final = NONCE_LIFE // 2
_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9\-_]{43}")


class InvalidDpopProof(OAuthError):
    code, status = "invalid_dpop_proof", 400


class UseDpopNonce(OAuthError):
    code, status = "use_dpop_nonce", 400


class DPoP:
    name = "dpop"
    scheme = "DPoP"
    challenge = f'DPoP algs="{" ".join(ALGORITHMS)}"'

    def __init__(self, issuer: str, handles: Handles) -> None:
        self._issuer = urlsplit(issuer)
        self._handles = handles

    def asked(self, form: Form) -> Confirmation | None:
        jkt = form.get("dpop_jkt")
        if jkt is None:
            return None
        if not _THUMBPRINT.fullmatch(jkt):
            raise InvalidRequest("dpop_jkt must be the SHA-256 thumbprint of a key: 43 characters (RFC 9449 10).")
        return Confirmation(jkt=jkt)

    async def prove(self, request: Request, client: Client, now: Instant) -> Proved | None:
        proved = self._proved(request, now)
        if proved is None and client.extra.get(BOUND):
            raise InvalidRequest("The tokens of this client are bound to a key: send a DPoP proof (RFC 9449 5.2).")
        return proved

    async def offered(self, request: Request, now: Instant) -> Proved | None:
        return self._proved(request, now)

    async def present(self, request: Request, access_token: str, now: Instant) -> Proved | None:
        return self._proved(request, now, access_token)

    def _proved(self, request: Request, now: Instant, access_token: str | None = None) -> Proved | None:
        header = request.headers.get("dpop")
        if header is None:
            return None
        if "dpop" in request.repeated:
            raise InvalidDpopProof("The request has more than one DPoP header.")
        urls = (self._url(request),)
        try:
            proof = verify_proof(header, method=request.method, urls=urls, now=now, access_token=access_token)
        except InvalidProof as error:
            raise InvalidDpopProof(f"The DPoP proof is refused: {error.reason}.") from None
        age = self._age(proof, now)
        if age is None or age >= NONCE_LIFE:
            raise UseDpopNonce("Make the proof with the nonce of this answer.", headers=self._fresh(now))
        once = Once(
            Record(PROOF_KIND, proof.id, b"", Instant(int(proof.dead_from))),
            InvalidDpopProof("The DPoP proof was used before: make a new one for each request."),
        )
        renewed = self._fresh(now) if age >= NONCE_RENEWED_AFTER else ()
        return Proved(Confirmation(jkt=proof.jkt), (once,), renewed)

    def _url(self, request: Request) -> str:
        """The issuer's, under the host that was asked: the edge takes only those that are the issuer's."""
        path = self._issuer.path + request.path.removeprefix("/")
        return f"{self._issuer.scheme}://{request.headers['host']}{path}"

    def _fresh(self, now: Instant) -> tuple[tuple[str, str], ...]:
        return (("dpop-nonce", self._handles.seal(NONCE_PREFIX, now.to_bytes(8, "big"))),)

    def _age(self, proof: Proof, now: Instant) -> int | None:
        """Of its nonce, in seconds; None if we did not make it. Nodes' clocks differ, so it may be from the future."""
        made_at = self._handles.unseal(NONCE_PREFIX, proof.nonce or "")
        return abs(now - int.from_bytes(made_at, "big")) if made_at else None


def feature(issuer: str, handles: Handles) -> Feature:
    return Feature(
        "dpop",
        ("RFC 9449",),
        possession=(DPoP(issuer, handles),),
        metadata={"dpop_signing_alg_values_supported": list(ALGORITHMS)},
        client_metadata={BOUND: bool},
    )
