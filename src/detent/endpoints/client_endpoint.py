"""An endpoint for clients that a feature brings: the form, once, then who the client is; the rest is the feature's."""

from detent.core.exchange import Form, Request, Response
from detent.endpoints.door import Door
from detent.registry.routes import ClientRequest, ClientRoute, Route


class ClientEndpoint:
    def __init__(self, door: Door, served: ClientRoute) -> None:
        self._door = door
        self._served = served

    def route(self) -> Route:
        return Route(self._served.path, ("POST",), self.handle, metadata=self._served.metadata, cors="client")

    async def handle(self, request: Request) -> Response:
        return await self._door.answer(request, self._answer)

    async def _answer(self, request: Request, form: Form) -> Response:
        now = self._door.now()
        client = await self._door.client_at_once(request, form, now)
        return await self._served.handler(ClientRequest(request, form, client, now))
