"""`/health`: 200 while the store answers, 503 while it does not. Says nothing else, to anybody."""

from detent.core.exchange import Request, Response
from detent.ports import Store
from detent.registry import Route
from detent.web.respond import json_private

HEALTH_PATH = "/health"


class HealthEndpoint:
    def __init__(self, store: Store) -> None:
        self._store = store

    def route(self) -> Route:
        return Route(HEALTH_PATH, ("GET",), self.handle)

    async def handle(self, request: Request) -> Response:
        await self._store.record("health", "probe")  # StoreUnavailable becomes a 503 at the edge
        return json_private({"status": "ok"})
