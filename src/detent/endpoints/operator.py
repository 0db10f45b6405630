"""What operators and their machines read, at an address of its own: `/metrics`, `/health` with reasons, `/live`.

`/health` says whether the node should get requests, `/live` only that the process answers: a probe that restarts may
ask the latter, never the former. No secret is told here, but much that is nobody else's business.
"""

from collections.abc import Awaitable, Callable

from detent.core.exchange import Request, Response
from detent.endpoints.health import HEALTH_PATH, Health, unbearable
from detent.registry.routes import Route
from detent.web.respond import NO_STORE, SAFE, json_private

MetricsPage = Callable[[str], Awaitable[tuple[bytes, str]]]


class OperatorEndpoints:
    def __init__(self, health: Health, page: MetricsPage) -> None:
        self._health = health
        self._page = page

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("/metrics", ("GET",), self.metrics),
            Route(HEALTH_PATH, ("GET",), self.health),
            Route("/live", ("GET",), self.live),
        )

    async def metrics(self, request: Request) -> Response:
        content, content_type = await self._page(request.headers.get("accept", ""))
        return Response(200, content, (("content-type", content_type), *NO_STORE, *SAFE))

    async def health(self, request: Request) -> Response:
        reasons = await self._health.reasons()
        ready = not unbearable(reasons)
        told = [{"reason": reason, "sentence": sentence} for reason, sentence in reasons.items()]
        document = {"node": self._health.node, "status": "ok" if ready else "unwell", "reasons": told}
        return json_private(document, 200 if ready else 503)

    async def live(self, request: Request) -> Response:
        return json_private({"node": self._health.node, "status": "live"})
