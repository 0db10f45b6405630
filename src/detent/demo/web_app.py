"""The demo web app: a server with a secret signs people in by Authlib's Starlette client, and keeps their tokens.

The browser gets a cookie and no token. Source: RFC 9700 §2.1.1 (PKCE for confidential clients too), OpenID Connect
Core §3.1, RP-Initiated Logout. Needs the extra `demo`; what it holds is in memory and ends with the process.
"""

import json
import re
import secrets
import ssl
import time
from collections import OrderedDict
from importlib.resources import files
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import httpx2
import msgspec
from authlib.integrations.starlette_client import OAuth, OAuthError
from jinja2 import Environment
from joserfc.errors import JoseError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from detent.demo.origin import MARK, OwnOrigin, file_route, origin_of

SCOPE: Final = "openid profile email read write"
SOON: Final = 10  # seconds before its end at which an access token is replaced
SEATS: Final = 1000  # the one longest unseen makes room
_FOLDER: Final = files("detent.demo")
_CODE: Final = re.compile(r"[a-z_]{1,40}")


Trust = ssl.SSLContext | Literal[True]  # whom it believes about hosts; True: whom the system does


class Seat(msgspec.Struct):
    """What the server holds for one browser. `token` is Authlib's, `person` what the ID token and userinfo say."""

    token: dict[str, Any]
    person: dict[str, Any]
    refreshes: int = 0
    api: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Seat({self.person['sub']}, ***)"


class WebApp:
    """One page; every form is answered with a redirect to it, and it shows what became of that."""

    def __init__(
        self, origin: str, issuer: str, api: str, audience: str, credentials: tuple[str, str], trust: Trust
    ) -> None:
        self._origin = origin
        self._issuer = issuer
        self._api = api
        self._audience = audience
        self._seats: OrderedDict[str, Seat] = OrderedDict()
        self._page = Environment(autoescape=True).from_string((_FOLDER / "web" / "home.html").read_text("utf-8"))
        self._client_id, client_secret = credentials
        self._server = OAuth().register(
            "detent",
            client_id=self._client_id,
            client_secret=client_secret,
            server_metadata_url=f"{issuer}.well-known/openid-configuration",
            client_kwargs={"scope": SCOPE, "code_challenge_method": "S256", "leeway": 0, "verify": trust},
        )

    def routes(self) -> list[Route]:
        look = _FOLDER / "browser"
        return [
            Route("/", self.home),
            Route("/sign-in", self.sign_in),
            Route("/callback", self.callback),
            Route("/call-api", self.call_api, methods=["POST"]),
            Route("/refresh", self.refresh, methods=["POST"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
            Route("/signed-out", self.signed_out),
            file_route("/style.css", look / "style.css"),
            file_route("/icon.svg", MARK),
            file_route("/privacy", look / "privacy.html"),
        ]

    async def home(self, request: Request) -> Response:
        seat = self._seat(request)
        shown: dict[str, Any] = {name: request.session.pop(name, "") for name in ("note", "alert")}
        if seat:
            shown |= {
                "person": seat.person,
                "claims": [(name, value if isinstance(value, str) else json.dumps(value))
                           for name, value in seat.person.items()],
                "expires_in": max(0, round(seat.token["expires_at"] - time.time())),
                "scope": seat.token["scope"],
                "refreshes": seat.refreshes,
                "api": seat.api,
            }  # fmt: skip
        return HTMLResponse(self._page.render(issuer=self._issuer, **shown))

    async def sign_in(self, request: Request) -> Response:
        callback = f"{self._origin}/callback"
        redirect: Response = await self._server.authorize_redirect(request, callback, resource=self._audience)
        return redirect

    async def callback(self, request: Request) -> Response:
        """Authlib compares the state, exchanges the code and checks the ID token."""
        token = await self._server.authorize_access_token(request)
        self._leave(request)
        request.session["seat"] = secrets.token_urlsafe()
        person = {**token.pop("userinfo"), **await self._server.userinfo(token=token)}
        self._seats[request.session["seat"]] = Seat(token, person)
        while len(self._seats) > SEATS:
            self._seats.popitem(last=False)
        return self._home(request, note="You are signed in. Your browser has a cookie, this server has the tokens.")

    async def call_api(self, request: Request) -> Response:
        seat = self._seat(request)
        if seat:
            if seat.token["expires_at"] - time.time() < SOON:
                await self._refreshed(request, seat)
            answer = await self._server.get(f"{self._api}secret", token=seat.token)
            seat.api = {"status": answer.status_code, "body": answer.text}
        return self._home(request)

    async def refresh(self, request: Request) -> Response:
        seat = self._seat(request)
        if seat:
            await self._refreshed(request, seat)
        return self._home(request)

    async def sign_out(self, request: Request) -> Response:
        seat = self._seat(request)
        if seat is None:
            return self._home(request)
        self._leave(request)
        redirect: Response = await self._server.logout_redirect(
            request,
            post_logout_redirect_uri=f"{self._origin}/signed-out",
            id_token_hint=seat.token["id_token"],
            client_id=self._client_id,
        )
        return redirect

    async def signed_out(self, request: Request) -> Response:
        await self._server.validate_logout_response(request)
        return self._home(request, note="You have signed out, here and at the server.")

    async def failed(self, request: Request, error: Exception) -> Response:
        """What Authlib raises. Of an error only the code is shown: the rest may be from a link that anybody made."""
        if isinstance(error, OAuthError):
            code = error.error if _CODE.fullmatch(str(error.error)) else "an error"
            return self._home(request, alert=f"That did not work: {code}.")
        if isinstance(error, JoseError):
            return self._home(request, alert="The ID token is not what it should be. You are not signed in.")
        return self._home(request, alert=f"No answer from {self._issuer} or {self._api}. Is `detent up` running?")

    async def _refreshed(self, request: Request, seat: Seat) -> None:
        """Raises OAuthError where the server ended these tokens; then they are gone here too."""
        if "refresh_token" not in seat.token:  # profile auth0: none without offline_access
            raise OAuthError("no_refresh_token")
        try:
            token = await self._server.fetch_access_token(
                grant_type="refresh_token", refresh_token=seat.token["refresh_token"]
            )
        except OAuthError:
            self._leave(request)
            raise
        seat.person |= await self._server.parse_id_token(token, nonce=None)
        seat.token |= token
        seat.refreshes += 1

    def _seat(self, request: Request) -> Seat | None:
        key = request.session.get("seat", "")
        if key in self._seats:
            self._seats.move_to_end(key)
        return self._seats.get(key)

    def _leave(self, request: Request) -> None:
        self._seats.pop(request.session.pop("seat", ""), None)

    def _home(self, request: Request, **told: str) -> Response:
        request.session.update(told)
        return RedirectResponse("/", 303)


def web_app(
    origin: str, issuer: str, api: str, audience: str, credentials: tuple[str, str], trust: Trust = True
) -> Starlette:
    """An ASGI application for this origin, as the confidential client of these credentials: id and secret."""
    app = WebApp(origin, issuer, api, audience, credentials, trust)
    policy = {
        "style-src": ("'self'",),
        "img-src": ("'self'",),
        "form-action": ("'self'", origin_of(issuer)),  # signing out leads there
        "frame-ancestors": ("'none'",),
    }
    https = origin.startswith("https:")
    cookie = f"{'__Host-' if https else ''}demo_web_{urlsplit(origin).port}"  # cookies know no ports
    return Starlette(
        routes=app.routes(),
        middleware=[
            Middleware(OwnOrigin, origin=origin, policy=policy),
            Middleware(
                SessionMiddleware,
                secret_key=secrets.token_urlsafe(),
                session_cookie=cookie,
                max_age=None,
                https_only=https,
            ),
        ],
        exception_handlers={OAuthError: app.failed, JoseError: app.failed, httpx2.HTTPError: app.failed},
    )
