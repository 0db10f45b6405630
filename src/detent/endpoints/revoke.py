"""`/oauth/revoke` (RFC 7009): a client ends a token it was given.

Any authentic generation of a refresh token ends its whole family with the family's access tokens, so that an app
that lost its last answer can still log out. An unknown token is 200, and so is another client's: nothing happens.
Rule: 200 is said only once it is durable; a store that cannot write answers 503 (RFC 7009 §2.2.1).
"""

from typing import Final

import msgspec

from detent.core.changes import Changes, ReplaceFamily
from detent.core.client import Client
from detent.core.errors import Conflict, InvalidRequest, TemporarilyUnavailable
from detent.core.exchange import Form, Request, Response
from detent.core.family import revoke
from detent.core.ids import Instant
from detent.endpoints.door import Door
from detent.ports import EventSink, Store
from detent.registry import Route
from detent.tokens.access import AccessTokens
from detent.tokens.handle import Handles, RefreshHandle, is_of
from detent.web.respond import NO_STORE, SAFE

_ATTEMPTS: Final = 10


class RevocationEndpoint:
    def __init__(self, door: Door, handles: Handles, access: AccessTokens, store: Store, sink: EventSink) -> None:
        self._door = door
        self._handles = handles
        self._access = access
        self._store = store
        self._sink = sink

    def route(self) -> Route:
        return Route("/oauth/revoke", ("POST",), self.handle, metadata="revocation_endpoint", cors="client")

    async def handle(self, request: Request) -> Response:
        return await self._door.answer(request, lambda form: self._revoke(request, form))

    async def _revoke(self, request: Request, form: Form) -> Response:
        now = self._door.now()
        client = await self._door.client(self._door.claim(request, form), now)
        token = form.get("token")
        if token is None:
            raise InvalidRequest("The parameter token is missing.")
        # token_type_hint is not needed: the forms tell the kinds apart (RFC 7009 §2.1 lets a server ignore it).
        if handle := self._handles.open_refresh(token, client.client_id):
            await self._end_family(handle, client, now, request.support_id)
        elif (claims := self._access.read(token, now)) and claims["client_id"] == client.client_id:
            await self._access.revoke(claims)
        return Response(200, b"", (*NO_STORE, *SAFE))

    async def _end_family(self, handle: RefreshHandle, client: Client, now: Instant, support_id: str) -> None:
        for _ in range(_ATTEMPTS):
            found = await self._store.family(handle.key)
            if found is None or not is_of(handle, found.family):
                return
            if found.family.authorization.client_id != client.client_id:
                return
            dead = revoke(found.family, "client", now)
            if dead is None:
                return
            event = msgspec.structs.replace(dead.history[-1], support_id=support_id)
            try:
                await self._store.apply(Changes((ReplaceFamily(dead),), (event,)))
            except Conflict:
                continue  # a refresh came between: read the family again, and end that
            self._sink.emit(event)
            return
        raise TemporarilyUnavailable("The token is being used at the same moment; try again.", retry_after=1)
