"""A web app with a secret that signs people in, gives its page both tokens, and renews them at `/api/auth/token`.

    GET  /api/auth/login     to detent's own login page (authorization code, PKCE, state, nonce)
    GET  /api/auth/callback  what came back -> {"accessToken", "refreshToken", "expiresIn"}
    POST /api/auth/token     {"refreshToken"} -> the next pair; 401 once it is spent, revoked or expired
    POST /api/auth/logout    {"refreshToken"} -> it is worth nothing any more
    GET  /api/me             with the access token as Bearer

The page (token_app.html, token_app.js) keeps both in memory and asks for the next pair before the access token ends.
What proves a refresh token good is the client's refresh strategy at detent: this code is the same for all of them.
"""

import re
import secrets
from collections.abc import Callable
from pathlib import Path

import httpx2
from authlib.integrations.starlette_client import OAuth, OAuthError
from joserfc.errors import JoseError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, request_response

from detent.resource_server import BearerGuard, JwksCache, Verifier, claims
from examples.running import port, posted, refused, serve, setting

CODE = re.compile(r"[a-z_]{1,40}")
STATUS = {"invalid_grant": 401, "access_denied": 403, "slow_down": 429, "invalid_client": 503}
HERE = Path(__file__).parent
LOCKS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; connect-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "referrer-policy": "no-referrer",  # the callback's URL holds a code
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class TokenApp:
    def __init__(self, origin: str, issuer: str, audience: str, credentials: tuple[str, str]) -> None:
        self._callback = f"{origin}/callback"
        self._issuer = issuer
        self._audience = audience
        self._credentials = client_id, client_secret = credentials
        self._server = OAuth().register(
            "detent",
            client_id=client_id,
            client_secret=client_secret,
            server_metadata_url=f"{issuer}.well-known/openid-configuration",
            client_kwargs={"scope": "openid profile read", "code_challenge_method": "S256", "leeway": 0},
        )

    async def login(self, request: Request) -> Response:
        """State, nonce and verifier are kept in a cookie that no script reads."""
        redirect: Response = await self._server.authorize_redirect(request, self._callback, resource=self._audience)
        return redirect

    async def callback(self, request: Request) -> Response:
        """Authlib compares the state, proves the verifier and checks the ID token."""
        return _pair(await self._server.authorize_access_token(request))

    async def token(self, request: Request) -> Response:
        (refresh_token,) = await posted(request, "refreshToken")
        return _pair(await self._server.fetch_access_token(grant_type="refresh_token", refresh_token=refresh_token))

    async def logout(self, request: Request) -> Response:
        """RFC 7009. Where the client's strategy cannot revoke, the answer says how long the token still lives."""
        (refresh_token,) = await posted(request, "refreshToken")
        async with httpx2.AsyncClient(auth=self._credentials, timeout=10) as http:
            answer = await http.post(f"{self._issuer}oauth/revoke", data={"token": refresh_token})
        if answer.status_code != 200:
            raise HTTPException(409 if answer.status_code == 400 else 503, answer.json()["error_description"])
        return JSONResponse({"message": "Signed out"}, headers=LOCKS)


def _pair(token: dict[str, str]) -> Response:
    members = {"accessToken": "access_token", "refreshToken": "refresh_token", "expiresIn": "expires_in"}
    return JSONResponse({ours: token[theirs] for ours, theirs in members.items()}, headers=LOCKS)


async def me(request: Request) -> Response:
    return JSONResponse({"sub": claims(request.scope).sub}, headers=LOCKS)


async def failed(request: Request, error: Exception) -> Response:
    """What Authlib raises. Of an error only the code is told: the rest may be from a link that anybody made."""
    if isinstance(error, OAuthError) and CODE.fullmatch(str(error.error)):
        return JSONResponse({"error": error.error}, STATUS.get(error.error, 400), headers=LOCKS)
    if isinstance(error, httpx2.HTTPError):
        return JSONResponse({"error": "The authorization server does not answer"}, 503, headers=LOCKS)
    return JSONResponse({"error": "What came back is not what was asked for"}, 400, headers=LOCKS)


def file(name: str) -> Callable[[Request], Response]:
    return lambda request: FileResponse(HERE / name, headers=LOCKS)


def app(origin: str) -> Starlette:
    issuer, audience = setting("ISSUER"), setting("AUDIENCE")
    token_app = TokenApp(origin, issuer, audience, (setting("CLIENT_ID"), setting("CLIENT_SECRET")))
    guarded = BearerGuard(
        request_response(me),
        verifier=Verifier(issuer=issuer, audience=audience),
        jwks=JwksCache(issuer + ".well-known/jwks.json"),
    )
    signing_in = Middleware(  # for as long as a sign-in may take; SameSite=Lax, HttpOnly
        SessionMiddleware,
        secret_key=secrets.token_urlsafe(),
        session_cookie="token_app",
        max_age=600,
        https_only=origin.startswith("https:"),
    )
    return Starlette(
        routes=[
            Route("/", file("token_app.html")),
            Route("/callback", file("token_app.html")),
            Route("/token_app.js", file("token_app.js")),
            Route("/api/auth/login", token_app.login),
            Route("/api/auth/callback", token_app.callback),
            Route("/api/auth/token", token_app.token, methods=["POST"]),
            Route("/api/auth/logout", token_app.logout, methods=["POST"]),
            Route("/api/me", guarded),
        ],
        middleware=[signing_in],
        exception_handlers={HTTPException: refused, **dict.fromkeys((OAuthError, JoseError, httpx2.HTTPError), failed)},
    )


if __name__ == "__main__":
    chosen = port(3003, __doc__)
    serve(app(f"http://127.0.0.1:{chosen}"), chosen)
