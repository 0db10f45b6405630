"""The demo browser app: an origin of its own that serves files, and knows no secret.

All of it happens in the browser, in demo/browser/: oidc-client-ts, unmodified, signs in and refreshes; app.js shows
what it holds. Which server, which client and which API it learns from `/config.json`.
"""

from importlib.resources import files
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from detent.demo.cast import BROWSER_APP
from detent.demo.origin import MARK, OwnOrigin, file_route, origin_of

# One page, wherever the browser comes back to; and the one that a hidden frame comes back to.
_PAGES: Final = {
    "/": "index.html",
    "/callback": "index.html",
    "/signed-out": "index.html",
    "/silent": "silent.html",
    "/privacy": "privacy.html",
}
_FILES: Final = (
    "app.js",
    "keeping.js",
    "screen.js",
    "silent.js",
    "story.js",
    "tokens.js",
    "style.css",
    "vendor/oidc-client-ts.min.js",
)


def browser_app(
    origin: str, issuer: str, api: str, audience: str, *, client_id: str = BROWSER_APP, scope: str = "read write"
) -> Starlette:
    """An ASGI application for this origin; `scope` is what it asks for at the API `audience`, which is at `api`."""
    config = {
        "issuer": issuer,
        "client_id": client_id,
        "demo_api": api,
        "audience": audience,
        "scope": f"openid profile email {scope}",
    }
    server = origin_of(issuer)
    policy = {
        "script-src": ("'self'",),
        "style-src": ("'self'",),
        "img-src": ("'self'",),
        "connect-src": ("'self'", server, origin_of(api)),
        "frame-src": ("'self'", server),
        "frame-ancestors": ("'self'",),
        "form-action": ("'none'",),
    }

    async def configuration(request: Request) -> JSONResponse:
        return JSONResponse(config)

    folder = files("detent.demo") / "browser"
    routes = [Route("/config.json", configuration)]
    routes += [file_route(path, folder / name) for path, name in _PAGES.items()]
    routes += [file_route(f"/{name}", folder / name) for name in _FILES]
    routes.append(file_route("/icon.svg", MARK))
    return Starlette(routes=routes, middleware=[Middleware(OwnOrigin, origin=origin, policy=policy)])
