"""A browser app's own origin: the pages that a test writes, and beside them the bundles of unmodified clients."""

from pathlib import Path
from typing import Final, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from detent.testing.server import Loopback, ServerThread
from tests.browser.parts import npm_file

# Each makes one global: `oidc` and `auth0`.
BUNDLES: Final = {
    "/oidc-client-ts.js": "oidc-client-ts/dist/browser/oidc-client-ts.min.js",
    "/auth0-spa-js.js": "@auth0/auth0-spa-js/dist/auth0-spa-js.production.js",
}


class Site:
    """`pages` maps a path to HTML and `files` one to a file, and both may change while the site is served.

    `url` ends with a slash, `origin` does not.
    """

    def __init__(self, thread: ServerThread, host: str = "127.0.0.1", certificate: Path | None = None) -> None:
        self.pages: dict[str, str] = {}
        self.files = {path: npm_file(bundle) for path, bundle in BUNDLES.items()}
        loopback = Loopback(host, certificate)
        self.url = loopback.url
        self.origin = loopback.url.rstrip("/")
        thread.serve(Starlette(routes=[Route("/{path:path}", self._answer)]), loopback)

    def _answer(self, request: Request) -> Response:
        path = request.url.path
        if path in self.files:
            return FileResponse(self.files[path])
        page = self.pages.get(path)
        return HTMLResponse(page) if page is not None else Response(status_code=404)


class MakeSite(Protocol):
    def __call__(self, host: str = "127.0.0.1", *, tls: bool = False) -> Site: ...
