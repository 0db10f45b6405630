"""A small JSON app that takes the password itself and hands its caller an access token and a refresh token.

    GET  /           {"message": "access_token_refresh_token"}
    POST /login      {"username", "password"} -> {"accessToken" (1 min), "refreshToken" (30 days)}
    GET  /protected  with the access token as Bearer
    POST /refresh    {"refreshToken"} -> a new pair (access token 10 min); the old refresh token is dead

It keeps no password and no key: detent checks the one and signs with the other. The password grant is for apps that
have their own login form today and move; a new app sends people to detent's, as token_app.py does.
"""

from collections.abc import Mapping

import httpx2
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, request_response
from starlette.types import ASGIApp, Receive, Scope, Send

from detent.resource_server import BearerGuard, JwksCache, Verifier, claims
from examples.running import port, posted, refused, serve, setting


class SmallApp:
    """`audience` is the API that this app is. `first` is one beside it whose tokens may live a minute at most: a token
    for both lives as long as the shorter one allows, so the first of a login does."""

    def __init__(self, issuer: str, audience: str, first: str, credentials: tuple[str, str]) -> None:
        self._issuer = issuer
        self._audience = audience
        self._first = first
        self._credentials = credentials

    async def login(self, request: Request) -> JSONResponse:
        username, password = await posted(request, "username", "password")
        both = [self._audience, self._first]
        form = {"grant_type": "password", "username": username, "password": password}
        return await self._tokens({**form, "resource": both}, "Invalid username or password")

    async def refresh(self, request: Request) -> JSONResponse:
        (token,) = await posted(request, "refreshToken")
        form = {"grant_type": "refresh_token", "refresh_token": token, "resource": self._audience}
        return await self._tokens(form, "Invalid refresh token")

    async def _tokens(self, form: Mapping[str, str | list[str]], refusal: str) -> JSONResponse:
        """A new pair. Raises HTTPException: 401 for what the caller sent, 429 and 503 for what waiting may mend."""
        try:
            async with httpx2.AsyncClient(auth=self._credentials, timeout=10) as http:
                answer = await http.post(f"{self._issuer}oauth/token", data=form)
            told = answer.json()
        except (httpx2.HTTPError, ValueError):
            raise HTTPException(503, "The authorization server does not answer") from None
        if answer.status_code == 200:
            pair = {"accessToken": told["access_token"], "refreshToken": told["refresh_token"]}
            return JSONResponse(pair, headers={"cache-control": "no-store"})
        if told["error"] in ("invalid_grant", "invalid_request"):
            raise HTTPException(401, refusal)
        if answer.status_code == 429:
            raise HTTPException(429, "Too many attempts", {"retry-after": answer.headers["retry-after"]})
        raise HTTPException(503, f"The authorization server refuses this app: {told['error']}")


class Demanded:
    """ASGI middleware: that no token came is said in this app's words, every other refusal in those of RFC 6750."""

    def __init__(self, guarded: ASGIApp) -> None:
        self._guarded = guarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "authorization" in Headers(scope=scope):
            return await self._guarded(scope, receive, send)
        challenge = {"www-authenticate": "Bearer"}
        await JSONResponse({"error": "Access token not provided"}, 401, challenge)(scope, receive, send)


async def home(request: Request) -> JSONResponse:
    return JSONResponse({"message": "access_token_refresh_token"})


async def protected(request: Request) -> JSONResponse:
    """Only good access tokens come this far. `sub` is whose it is, as detent signed it."""
    return JSONResponse({"message": "This is the protected message ", "sub": claims(request.scope).sub})


def app() -> Starlette:
    issuer, audience = setting("ISSUER"), setting("AUDIENCE")
    small = SmallApp(issuer, audience, setting("FIRST_AUDIENCE"), (setting("CLIENT_ID"), setting("CLIENT_SECRET")))
    guarded = BearerGuard(
        request_response(protected),
        verifier=Verifier(issuer=issuer, audience=audience),
        jwks=JwksCache(issuer + ".well-known/jwks.json"),
    )
    return Starlette(
        routes=[
            Route("/", home),
            Route("/login", small.login, methods=["POST"]),
            Route("/protected", Demanded(guarded)),
            Route("/refresh", small.refresh, methods=["POST"]),
        ],
        exception_handlers={HTTPException: refused},
    )


if __name__ == "__main__":
    chosen = port(3000, __doc__)
    serve(app(), chosen)
