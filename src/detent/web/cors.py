"""Which browser origins may read an answer (Fetch §3.2).

Public documents: everybody. Answers to a client: the origins registered for that client, exactly, and never with
credentials. A preflight carries no client, and lets nothing through but the question.
"""

from typing import Final

from detent.core.client import Client
from detent.core.exchange import Request, Response
from detent.registry.routes import Route

ALLOWED_HEADERS: Final = "authorization, content-type, dpop, auth0-client"
EXPOSED_HEADERS: Final = "dpop-nonce, www-authenticate, retry-after"
PREFLIGHT_SECONDS: Final = 600


def preflight(route: Route, request: Request) -> Response | None:
    """The answer to an OPTIONS request that asks for permission, where the route gives any."""
    origin = request.headers.get("origin")
    asked = request.headers.get("access-control-request-method")
    if route.cors == "nobody" or not origin or not asked:
        return None
    return Response(
        204,
        headers=(
            ("access-control-allow-origin", "*" if route.cors == "everybody" else origin),
            ("access-control-allow-methods", ", ".join(route.methods)),
            ("access-control-allow-headers", ALLOWED_HEADERS),
            ("access-control-max-age", str(PREFLIGHT_SECONDS)),
            ("vary", "origin"),
        ),
    )


def readable_by_everybody(response: Response) -> Response:
    return response.with_headers(("access-control-allow-origin", "*"))


def readable_by(client: Client | None, request: Request, response: Response) -> Response:
    """The response, readable by the request's origin if that is one of the client's."""
    origin = request.headers.get("origin")
    if origin is None:
        return response
    vary = ("vary", "origin")
    if client is None or origin not in client.web_origins:
        return response.with_headers(vary)
    return response.with_headers(
        ("access-control-allow-origin", origin), ("access-control-expose-headers", EXPOSED_HEADERS), vary
    )
