"""`/oauth/token` (RFC 6749 §3.2): every grant comes through here, in these steps.

1 the form, once · 2 the grant · 3 who the client says it is · 4 the grant's screen: garbage ends here, before any
database access · 5 the client proves it · 6 the client may use the grant · 7 possession of keys · 8 stages ·
9 the grant: decide, mint, write.
"""

from detent.core.client import Client
from detent.core.errors import InvalidRequest, UnauthorizedClient, UnsupportedGrantType
from detent.core.exchange import Form, Request, Response
from detent.core.ids import Instant
from detent.endpoints.door import Door
from detent.ports import Meter
from detent.registry.joined import Registry
from detent.registry.requests import Proved, TokenRequest
from detent.registry.routes import Route
from detent.web.respond import json_private


class TokenEndpoint:
    def __init__(self, door: Door, registry: Registry, meter: Meter) -> None:
        self._meter = meter
        self._door = door
        self._registry = registry

    def route(self) -> Route:
        return Route("/oauth/token", ("POST",), self.handle, metadata="token_endpoint", cors="client")

    async def handle(self, request: Request) -> Response:
        return await self._door.answer(request, self._token)

    async def _token(self, request: Request, form: Form) -> Response:
        now = self._door.now()
        grant_type = form.get("grant_type")
        if grant_type is None:
            raise InvalidRequest("The parameter grant_type is missing.")
        grant = self._registry.grants.get(grant_type)
        if grant is None:
            raise UnsupportedGrantType(f"This server offers the grant types: {', '.join(self._registry.grants)}.")
        claim = self._door.claim(request, form)
        screened = grant.screen(form, claim.client_id, now)
        authenticated = await self._door.client(claim, request.peer, now)
        client = authenticated.client
        if grant_type not in client.grant_types:
            raise UnauthorizedClient(f"This client is not registered for the grant type {grant_type}.")
        proved = await self._proved(request, client, now)
        once = (*authenticated.once, *proved.once)
        token_request = TokenRequest(
            form, client, now, request.origin, request.peer, request.support_id, proved.cnf, once
        )
        for stage in self._registry.stages:
            token_request = await stage.run(token_request)
        answer = json_private(await grant.issue(token_request, screened))
        self._meter.count("tokens_issued", grant_type)
        return answer.with_headers(*proved.headers) if proved.headers else answer

    async def _proved(self, request: Request, client: Client, now: Instant) -> Proved:
        """The key that the request proves to hold; the first kind of proof that is present counts."""
        for possession in self._registry.possession.values():
            if proved := await possession.prove(request, client, now):
                return proved
        return Proved()
