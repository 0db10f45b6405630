"""`none`: a public client says who it is and proves nothing (RFC 7591 §2); PKCE and rotation stand in for proof."""

from detent.core.client import Client
from detent.core.exchange import Form, Request
from detent.core.ids import Instant
from detent.registry.requests import Claim, Once


class NoAuthentication:
    method = "none"
    signing_algs = ()

    def claim(self, request: Request, form: Form) -> Claim | None:
        client_id = form.get("client_id")
        return Claim(client_id, self.method) if client_id else None

    async def proves(self, claim: Claim, client: Client | None, now: Instant) -> tuple[Once, ...] | None:
        return () if client is not None and client.token_endpoint_auth_method == self.method else None
