"""`/oauth/introspect` (RFC 7662): what a token says and whether it is good, asked by those it concerns.

A client may ask about the tokens it was given, and a resource server about tokens of its API (`introspected_by`).
Everything else is `{"active": false}` and nothing more (RFC 7662 §2.2, §4). Public clients may not ask.
"""

from collections.abc import Mapping
from typing import Any, Final

from detent.core.client import Client
from detent.core.errors import InvalidClient, InvalidRequest
from detent.core.exchange import Form, Request, Response
from detent.core.family import Family, why_over
from detent.core.ids import Instant
from detent.endpoints.door import Door
from detent.grants.issuing import Issuing
from detent.registry.routes import Route
from detent.registry.tokens import RefreshStrategy, strategy_of
from detent.tokens.access import AccessTokens, LiveAccessToken, present_epochs
from detent.tokens.disclosure import Disclosure
from detent.tokens.handle import Handles, RefreshHandle, is_of
from detent.web.respond import json_private

INACTIVE: Final = {"active": False}
_TOLD: Final = frozenset(
    {"iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti", "cnf", "auth_time", "acr", "amr", "sid"}
)


class IntrospectionEndpoint:
    def __init__(
        self,
        door: Door,
        handles: Handles,
        access: AccessTokens,
        issuing: Issuing,
        strategies: Mapping[str, RefreshStrategy],
        disclosure: Disclosure,
    ) -> None:
        self._door = door
        self._strategies = strategies
        self._disclosure = disclosure
        self._handles = handles
        self._access = access
        self._issuing = issuing
        self._store = issuing.store

    def route(self) -> Route:
        return Route("/oauth/introspect", ("POST",), self.handle, metadata="introspection_endpoint")

    async def handle(self, request: Request) -> Response:
        return await self._door.answer(request, self._introspect, browsers=False)

    async def _introspect(self, request: Request, form: Form) -> Response:
        now = self._door.now()
        client = await self._door.client_at_once(request, form, now)
        if client.is_public:
            raise InvalidClient("A public client cannot introspect: anybody could claim to be it.")
        token = form.get("token")
        if token is None:
            raise InvalidRequest("The parameter token is missing.")
        if handle := self._handles.open_refresh(token, client.client_id):
            return json_private(await self._refresh_token(handle, client, now))
        if strategy := strategy_of(token, self._strategies):
            told = await strategy.introspect(token, client, now)
            return json_private({"active": True, "token_type": "refresh_token", **told} if told else INACTIVE)
        live = await self._access.live(token, now)
        if live is None or not await self._concerns(live.claims, client):
            return json_private(INACTIVE)
        return json_private(_access_token(live))

    async def _concerns(self, claims: Mapping[str, Any], client: Client) -> bool:
        if claims["client_id"] == client.client_id:
            return True
        apis = [await self._issuing.api(audience) for audience in claims["aud"]]
        return any(client.client_id in api.introspected_by for api in apis if api)

    async def _refresh_token(self, handle: RefreshHandle, client: Client, now: Instant) -> dict[str, Any]:
        """Active: the family lives and this is its present generation."""
        found = await self._store.family(handle.key)
        if found is None or not is_of(handle, found.family):
            return INACTIVE
        family = found.family
        present = await present_epochs(self._store, client, found.user_epoch)
        head = (handle.generation, handle.epoch) == (family.generation, family.epoch)
        over = why_over(family, present, now, session_over=found.session_over(now))
        if not head or family.authorization.client_id != client.client_id or over:
            return INACTIVE
        granted, disclosure = family.authorization, self._disclosure
        known = {"sub": disclosure.subject(granted.subject, client), "sid": disclosure.sid(granted.session_id, client)}
        return _refresh_claims(family, known)


def _access_token(live: LiveAccessToken) -> dict[str, Any]:
    token_type = "DPoP" if "jkt" in live.claims.get("cnf", {}) else "Bearer"
    told = {name: value for name, value in live.claims.items() if name in _TOLD}
    return {"active": True, "token_type": token_type, **told}


def _refresh_claims(family: Family, known: Mapping[str, str | None]) -> dict[str, Any]:
    authorization = family.authorization
    told = {"cnf": authorization.cnf.claim(), **known}
    return {
        **{name: value for name, value in told.items() if value},
        "active": True,
        "token_type": "refresh_token",
        "client_id": authorization.client_id,
        "scope": " ".join(authorization.scope),
        "iat": authorization.created_at,
        "exp": family.idle_until,
    }
