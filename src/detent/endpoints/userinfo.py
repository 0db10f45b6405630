"""`/userinfo` (OpenID Connect Core §5.3): claims about the person behind an access token with `openid`.

Plain JSON, or a JWT where the client registered that it wants one (§5.3.2).
"""

from collections.abc import Sequence
from typing import Any

from detent.core.client import USERINFO_ALG, Client
from detent.core.errors import InsufficientScope, InvalidToken, OAuthError
from detent.core.exchange import Request, Response
from detent.core.family import Family
from detent.core.ids import Instant
from detent.core.scope import OPENID
from detent.endpoints.presentation import Presentation
from detent.ports import Clock, Directory, Keys, Store
from detent.registry.routes import Route
from detent.registry.tokens import Envelope, wrapped
from detent.tokens.access import AccessTokens, LiveAccessToken
from detent.tokens.disclosure import Disclosure
from detent.web.asgi import refused
from detent.web.cors import readable_by
from detent.web.respond import json_private, jwt_private


class UserinfoEndpoint:
    def __init__(
        self,
        issuer: str,
        access: AccessTokens,
        presentation: Presentation,
        store: Store,
        directory: Directory,
        keys: Keys,
        clock: Clock,
        disclosure: Disclosure,
        envelopes: Sequence[Envelope],
    ) -> None:
        self._issuer = issuer
        self._presentation = presentation
        self._store = store
        self._audience = f"{issuer}userinfo"
        self._access = access
        self._directory = directory
        self._keys = keys
        self._clock = clock
        self._disclosure = disclosure
        self._envelopes = envelopes

    def route(self) -> Route:
        return Route("/userinfo", ("GET", "POST"), self.handle, metadata="userinfo_endpoint", cors="client")

    async def handle(self, request: Request) -> Response:
        presented, now = self._presentation.read(request), self._clock.now()
        live = await self._access.live(presented.token, now)
        if live is None:
            dead = InvalidToken("The access token is unknown, expired or revoked. Get a new one.")
            answer = refused(request, dead.challenged(presented.challenge))
            return readable_by(await self._client_of(presented.token, now), request, answer)
        try:
            headers = await self._presentation.check(request, presented, live, now)
            answer = (await self._answer(live, now)).with_headers(*headers)
        except OAuthError as error:
            error.challenge = error.challenge or presented.challenge
            answer = refused(request, error)
        return readable_by(live.client, request, answer)

    async def _client_of(self, token: str, now: Instant) -> Client | None:
        """Whose token it was, so that a browser app can read that it is dead; None if it is not ours."""
        claims = self._access.read(token, now)
        return await self._store.client(claims["client_id"]) if claims else None

    async def _answer(self, live: LiveAccessToken, now: Instant) -> Response:
        """§5.3.2: signed, the claims are said by this issuer to this client."""
        client, claims = live.client, await self._claims(live)
        alg = client.extra.get(USERINFO_ALG)
        if alg is None:
            return json_private(claims)
        said = {**claims, "iss": self._issuer, "aud": client.client_id, "iat": now}
        signed = await self._keys.sign(alg, "JWT", said)
        return jwt_private(await wrapped(signed, client, "userinfo", self._envelopes))

    async def _claims(self, live: LiveAccessToken) -> dict[str, Any]:
        """`sub` and what was asked for. Raises InsufficientScope and InvalidToken."""
        scope = tuple(live.claims["scope"].split())
        if OPENID not in scope or self._audience not in live.claims["aud"]:
            raise InsufficientScope("The access token was issued without the scope openid.")
        family: Family | None = live.family
        if family is None:
            raise InvalidToken("There is no person behind this access token.")
        authorization = family.authorization
        user = await self._directory.user(authorization.subject)
        if user is None:
            raise InvalidToken("The person of this access token no longer exists.")
        told = await self._disclosure.person(authorization, live.client, scope, "userinfo", user)
        return {"sub": self._disclosure.subject(user.subject, live.client), **told}
