"""`/userinfo` (OpenID Connect Core §5.3): claims about the person behind an access token with `openid`."""

from typing import Any

from detent.core.client import Client
from detent.core.errors import InsufficientScope, InvalidToken, OAuthError
from detent.core.exchange import Request, Response
from detent.core.ids import Instant
from detent.core.people import claims_for
from detent.core.scope import OPENID
from detent.ports import Clock, Directory, Store
from detent.registry import Route
from detent.tokens.access import AccessTokens, LiveAccessToken
from detent.web.asgi import refused
from detent.web.bearer import bearer_token
from detent.web.cors import readable_by
from detent.web.respond import json_private


class UserinfoEndpoint:
    def __init__(self, issuer: str, access: AccessTokens, store: Store, directory: Directory, clock: Clock) -> None:
        self._store = store
        self._audience = f"{issuer}userinfo"
        self._access = access
        self._directory = directory
        self._clock = clock

    def route(self) -> Route:
        return Route("/userinfo", ("GET", "POST"), self.handle, metadata="userinfo_endpoint", cors="client")

    async def handle(self, request: Request) -> Response:
        token, now = bearer_token(request), self._clock.now()
        live = await self._access.live(token, now)
        if live is None:
            dead = InvalidToken("The access token is unknown, expired or revoked. Get a new one.")
            return readable_by(await self._client_of(token, now), request, refused(request, dead))
        try:
            answer = json_private(await self._claims(live))
        except OAuthError as error:
            answer = refused(request, error)
        return readable_by(live.client, request, answer)

    async def _client_of(self, token: str, now: Instant) -> Client | None:
        """Whose token it was, so that a browser app can read that it is dead; None if it is not ours."""
        claims = self._access.read(token, now)
        return await self._store.client(claims["client_id"]) if claims else None

    async def _claims(self, live: LiveAccessToken) -> dict[str, Any]:
        """`sub` and what the scopes ask for. Raises InsufficientScope and InvalidToken."""
        scope = tuple(live.claims["scope"].split())
        if OPENID not in scope or self._audience not in live.claims["aud"]:
            raise InsufficientScope("The access token was issued without the scope openid.")
        if live.family is None or not live.family.authorization.cnf.is_bearer:
            raise InvalidToken("This access token cannot be used as a bearer token here.")
        user = await self._directory.user(live.claims["sub"])
        if user is None:
            raise InvalidToken("The person of this access token no longer exists.")
        return {"sub": user.subject, **claims_for(user, scope)}
