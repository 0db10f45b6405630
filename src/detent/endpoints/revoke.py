"""`/oauth/revoke` (RFC 7009): a client ends a token it was given.

Any authentic generation of a refresh token ends its whole family with the family's access tokens, so that an app
that lost its last answer can still log out; a JWT refresh token is ended by its strategy. An unknown token is 200,
and so is another client's: nothing happens.
Rule: 200 is said only once it is durable; a store that cannot write answers 503 (RFC 7009 §2.2.1).
"""

from collections.abc import Mapping

from detent.core.errors import InvalidRequest
from detent.core.exchange import Form, Request, Response
from detent.endpoints.door import Door
from detent.grants.ending import Ending
from detent.registry.requests import TokenRequest
from detent.registry.routes import Route
from detent.registry.tokens import RefreshStrategy, strategy_of
from detent.tokens.access import AccessTokens
from detent.tokens.handle import Handles, is_of
from detent.web.respond import NO_STORE, SAFE


class RevocationEndpoint:
    def __init__(
        self,
        door: Door,
        handles: Handles,
        access: AccessTokens,
        ending: Ending,
        strategies: Mapping[str, RefreshStrategy],
    ) -> None:
        self._door = door
        self._strategies = strategies
        self._handles = handles
        self._access = access
        self._ending = ending

    def route(self) -> Route:
        return Route("/oauth/revoke", ("POST",), self.handle, metadata="revocation_endpoint", cors="client")

    async def handle(self, request: Request) -> Response:
        return await self._door.answer(request, self._revoke)

    async def _revoke(self, request: Request, form: Form) -> Response:
        now = self._door.now()
        client = await self._door.client_at_once(request, form, now)
        token = form.get("token")
        if token is None:
            raise InvalidRequest("The parameter token is missing.")
        # token_type_hint is not needed: the forms tell the kinds apart (RFC 7009 §2.1 lets a server ignore it).
        if handle := self._handles.open_refresh(token, client.client_id):
            await self._ending.end(
                handle.key,
                "client",
                now,
                origin=request.origin,
                support_id=request.support_id,
                only_if=lambda family: is_of(handle, family) and family.authorization.client_id == client.client_id,
            )
        elif strategy := strategy_of(token, self._strategies):
            await strategy.revoke(
                token, TokenRequest(form, client, now, request.origin, request.peer, request.support_id)
            )
        elif (claims := self._access.read(token, now)) and claims["client_id"] == client.client_id:
            await self._access.revoke(claims)
        return Response(200, b"", (*NO_STORE, *SAFE))
