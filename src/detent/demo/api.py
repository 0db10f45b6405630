"""The demo API: what any API does with access tokens, in one screen. Of the server it knows the issuer's URL alone.

`/secret` takes JWTs and checks them here with the issuer's published keys and status lists; `/opaque/secret` takes
opaque tokens and asks the issuer what they mean (RFC 7662), as a client of its own.
"""

import time
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, request_response

from detent.resource_server import BearerGuard, DPoP, Introspector, JwksCache, StatusLists, Verifier, claims
from detent.resource_server.fetch import Fetch, fetch


def demo_api(
    issuer: str,
    audience: str,
    opaque_audience: str,
    credentials: tuple[str, str],
    *,
    origins: Sequence[str] = (),
    reached_at: Sequence[str] = (),
    clock: Callable[[], float] = time.time,
    fetch: Fetch = fetch,
) -> Starlette:
    """An ASGI application. `credentials` are the client id and secret with which it introspects; pages of `origins`
    may read its answers. Tokens that are bound to a key are taken where it is told the origins that it is `reached_at`.
    """
    client_id, client_secret = credentials
    jwks = JwksCache(issuer + ".well-known/jwks.json", fetch=fetch, clock=clock)
    lists = StatusLists(issuer, jwks, fetch=fetch, clock=clock)
    here = Verifier(issuer=issuer, audience=audience)
    there = Verifier(issuer=issuer, audience=opaque_audience)
    introspector = Introspector(
        issuer + "oauth/introspect",
        client_id=client_id,
        client_secret=client_secret,
        verifier=there,
        fetch=fetch,
        clock=clock,
    )

    dpop = DPoP(*reached_at) if reached_at else None

    async def welcome(request: Request) -> JSONResponse:
        guarded = {"/secret": audience, "/opaque/secret": opaque_audience}
        return JSONResponse({"message": "The demo API.", "issuer": issuer, "guarded": guarded})

    inside = request_response(secret)
    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_headers=["authorization", "dpop"],
        expose_headers=["www-authenticate", "dpop-nonce"],
    )
    return Starlette(
        middleware=[cors],
        routes=[
            Route("/", welcome),
            Route(
                "/secret",
                BearerGuard(inside, verifier=here, jwks=jwks, status_lists=lists, dpop=dpop, clock=clock),
            ),
            Route(
                "/opaque/secret",
                BearerGuard(inside, verifier=there, jwks=jwks, introspection=introspector, dpop=dpop, clock=clock),
            ),
        ],
        exception_handlers={HTTPException: _refused},
    )


async def secret(request: Request) -> JSONResponse:
    """Only good access tokens come this far."""
    known = claims(request.scope)
    return JSONResponse(
        {"message": "This is the secret area.", "sub": known.sub, "scope": " ".join(sorted(known.scope))}
    )


async def _refused(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"error": "not_found" if status == 404 else "invalid_request"}, status)
