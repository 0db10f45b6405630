"""The files that pages refer to, from memory: one style sheet, the mark, and the scripts of two response modes."""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final

from detent.core.exchange import Request, Response
from detent.registry.routes import Route

FILES: Final = {
    "detent.css": "text/css; charset=utf-8",
    "detent.svg": "image/svg+xml",
    "form_post.js": "text/javascript; charset=utf-8",
    "web_message.js": "text/javascript; charset=utf-8",
}
MAX_AGE: Final = 3600


def static_routes() -> tuple[Route, ...]:
    folder = files("detent.pages") / "static"
    return tuple(
        Route(f"/static/{name}", ("GET",), _serving((folder / name).read_bytes(), kind)) for name, kind in FILES.items()
    )


def _serving(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    headers = (
        ("content-type", kind),
        ("cache-control", f"public, max-age={MAX_AGE}"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
    )

    async def serve(request: Request) -> Response:
        return Response(200, content, headers)

    return serve
