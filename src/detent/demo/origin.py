"""What both demo apps do about their origin: it has one name, and every answer leaves with the same locks.

Source: Content Security Policy Level 3, Fetch. No script and no style is inline, nothing comes from elsewhere, and
nobody frames a page but the app itself.
"""

import mimetypes
from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import URL, Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MARK: Final = files("detent.pages") / "static" / "detent.svg"


class OwnOrigin:
    """ASGI middleware. A page opened as `localhost` is sent to `origin`, for cookies and redirect URIs know one name;
    a form that another origin posts is refused.

    `policy` is what the Content-Security-Policy allows beyond nothing.
    """

    def __init__(self, app: ASGIApp, *, origin: str, policy: Mapping[str, Sequence[str]]) -> None:
        self._app = app
        self._origin = origin
        self._scheme, self._netloc, *_ = urlsplit(origin)
        directives: dict[str, Sequence[str]] = {"default-src": ("'none'",), "base-uri": ("'none'",), **policy}
        self._locks = {
            "content-security-policy": "; ".join(f"{name} {' '.join(given)}" for name, given in directives.items()),
            "referrer-policy": "same-origin",
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        if headers.get("host") != self._netloc:
            elsewhere = RedirectResponse(URL(scope=scope).replace(scheme=self._scheme, netloc=self._netloc))
            return await elsewhere(scope, receive, send)
        if scope["method"] == "POST" and headers.get("origin") != self._origin:
            foreign = PlainTextResponse("This form is not from a page of this app.", 403)
            return await foreign(scope, receive, send)

        async def locked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._locks)
            await send(message)

        await self._app(scope, receive, locked)


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def file_route(path: str, file: Traversable) -> Route:
    """Serves the file under this path, from memory."""
    content = file.read_bytes()
    kind = "text/javascript" if file.name.endswith(".js") else mimetypes.guess_type(file.name)[0]

    async def serve(request: Request) -> Response:
        return Response(content, media_type=kind)

    return Route(path, serve)
