"""`/userinfo` (OpenID Connect Core §5.3): claims about the person behind an access token with `openid`."""

from typing import Any

from detent.core.errors import InsufficientScope, InvalidToken, OAuthError
from detent.core.exchange import Request, Response
from detent.core.people import claims_for
from detent.core.scope import OPENID
from detent.ports import Clock, Directory
from detent.registry import Route
from detent.tokens.access import AccessTokens, LiveAccessToken
from detent.web.asgi import refused
from detent.web.bearer import bearer_token
from detent.web.cors import readable_by
from detent.web.respond import json_private


class UserinfoEndpoint:
    def __init__(self, issuer: str, access: AccessTokens, directory: Directory, clock: Clock) -> None:
        self._audience = f"{issuer}userinfo"
        self._access = access
        self._directory = directory
        self._clock = clock

    def route(self) -> Route:
        return Route("/userinfo", ("GET", "POST"), self.handle, metadata="userinfo_endpoint", cors="client")

    async def handle(self, request: Request) -> Response:
        live = await self._access.live(bearer_token(request), self._clock.now())
        if live is None:
            raise InvalidToken("The access token is unknown, expired or revoked. Get a new one.")
        try:
            answer = json_private(await self._claims(live))
        except OAuthError as error:
            answer = refused(request, error)
        return readable_by(live.client, request, answer)

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
