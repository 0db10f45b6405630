"""An API whose one page, `/secret`, an access token opens. It checks the token by itself: of the server it knows the
issuer's URL, and fetches its published keys once.
"""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, request_response

from detent.resource_server import BearerGuard, JwksCache, Verifier, claims
from examples.running import port, refused, serve, setting


async def welcome(request: Request) -> JSONResponse:
    return JSONResponse({"message": "This page is open to everybody. /secret is not."})


async def secret(request: Request) -> JSONResponse:
    """Only good access tokens come this far: of the issuer, for this API, unexpired, with the scope."""
    return JSONResponse({"message": "This is the secret area.", "sub": claims(request.scope).sub})


def app() -> Starlette:
    issuer = setting("ISSUER")
    guarded = BearerGuard(
        request_response(secret),
        verifier=Verifier(issuer=issuer, audience=setting("AUDIENCE")),
        jwks=JwksCache(issuer + ".well-known/jwks.json"),
        scopes_required=["read"],
    )
    routes = [Route("/", welcome), Route("/secret", guarded)]
    return Starlette(routes=routes, exception_handlers={HTTPException: refused})


if __name__ == "__main__":
    chosen = port(3002, __doc__)
    serve(app(), chosen)
