"""The `claims` parameter (OpenID Connect Core §5.5): claims asked for one by one, each for userinfo or the ID token.

What is asked for is kept with the authorization, so refreshes honour it. People are asked leave for it under the scope
that they know it by. `sub` with a value must be who signs in (§5.5.1); an essential `acr` that cannot be reached is an
error (§5.5.1.1); `auth_time`, `amr` and `acr` every ID token says by itself.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from detent.core.authorization import Authorization
from detent.core.client import Client
from detent.core.errors import InvalidRequest, UnmetRequirements
from detent.core.exchange import Form
from detent.core.interaction import AuthorizationRequest
from detent.core.scope import OPENID, Scope
from detent.core.session import ACR_VALUES
from detent.core.wishes import SCOPE_OF_CLAIM, Place, Wish, Wishes, leave_of
from detent.registry.feature import Feature

CLAIMS: Final = "claims"
MAX_CLAIMS: Final = 4096  # characters: it travels with the request, and stays with the authorization


class _Asked(msgspec.Struct, frozen=True):
    """§5.5.1; members that are not known are ignored."""

    essential: bool = False
    value: Any | UnsetType = UNSET
    values: tuple[Any, ...] = ()

    def wish(self) -> Wish:
        return Wish(self.essential, self.values if self.value is UNSET else (self.value,))


class _Claims(msgspec.Struct, frozen=True):
    userinfo: dict[str, _Asked | None] | None = None
    id_token: dict[str, _Asked | None] | None = None

    def wishes(self, place: Place) -> dict[str, Wish]:
        asked: dict[str, _Asked | None] = getattr(self, place) or {}
        return {name: (each or _Asked()).wish() for name, each in asked.items()}


class Claims:
    name = CLAIMS

    def asked(self, authorization: Authorization, client: Client, scope: Scope, place: Place) -> Wishes:
        kept = authorization.extra.get(CLAIMS, {}).get(place, {})
        return msgspec.convert(kept, dict[str, Wish])


def read(form: Form, client: Client, request: AuthorizationRequest) -> AuthorizationRequest:
    given = form.get(CLAIMS)
    if given is None or OPENID not in request.scope:
        return request
    if len(given) > MAX_CLAIMS:
        raise InvalidRequest(f"The parameter claims is longer than {MAX_CLAIMS} characters.")
    try:
        asked = msgspec.json.decode(given, type=_Claims)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest("The parameter claims is not the JSON of OpenID Connect Core 5.5.") from None
    about = {place: _about_people(asked.wishes(place)) for place in ("userinfo", "id_token")}
    leave = leave_of({**about["userinfo"], **about["id_token"]})
    extra = {**request.extra, CLAIMS: {place: msgspec.to_builtins(wishes) for place, wishes in about.items() if wishes}}
    request = replace(request, leave=tuple(name for name in leave if name not in request.scope), extra=extra)
    return _in_context(request, {**asked.wishes("userinfo"), **asked.wishes("id_token")})


def _about_people(wishes: Mapping[str, Wish]) -> dict[str, Wish]:
    return {name: wish for name, wish in wishes.items() if name in SCOPE_OF_CLAIM}


def _in_context(request: AuthorizationRequest, wishes: Mapping[str, Wish]) -> AuthorizationRequest:
    """What is asked of who signs in, and how. Raises InvalidRequest, UnmetRequirements."""
    acr, sub = wishes.get("acr"), wishes.get("sub")
    if acr and acr.essential:
        reached = tuple(name for name in ACR_VALUES if not acr.values or name in acr.values)
        if not reached:
            raise UnmetRequirements(f"Nobody can sign in like that here; what there is: {', '.join(ACR_VALUES)}.")
        request = replace(request, acr=reached)
    if sub and sub.values:
        named = request.hinted_sub
        wanted = [value for value in sub.values if isinstance(value, str) and named in (None, value)]
        if len(wanted) != 1:
            raise InvalidRequest("claims must name one sub, and the one that id_token_hint names.")
        request = replace(request, hinted_sub=wanted[0])
    return request


def feature() -> Feature:
    return Feature(
        "claims",
        ("OpenID Connect Core §5.5",),
        releases=(Claims(),),
        request_readers=(read,),
        metadata={"claims_parameter_supported": True},
    )
