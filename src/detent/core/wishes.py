"""Which claims about the person an app asked for, and what people are asked leave for because of it.

Source: OpenID Connect Core §5.4 (scopes), §5.5 (the claims parameter). Who asks is a `Release` of the registry; what is
known of a person, core/people.py.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from detent.core.people import CLAIMS_OF_SCOPE, User
from detent.core.scope import Scope

Place = Literal["id_token", "userinfo"]
SCOPE_OF_CLAIM: Final = {claim: scope for scope, claims in CLAIMS_OF_SCOPE.items() for claim in claims}


class Wish(msgspec.Struct, frozen=True, omit_defaults=True):
    """One claim; with `values` it is wanted only where it is one of these (§5.5.1)."""

    essential: bool = False
    values: tuple[Any, ...] = ()


Wishes = Mapping[str, Wish]
ANY: Final = Wish()


def wishes_of(scope: Scope) -> Wishes:
    return {claim: ANY for name in scope for claim in CLAIMS_OF_SCOPE.get(name, ())}


def leave_of(claims: Mapping[str, Any]) -> Scope:
    """The scopes that people know these claims under: nobody's email leaves unseen because it was asked for by name."""
    return tuple(dict.fromkeys(SCOPE_OF_CLAIM[name] for name in claims if name in SCOPE_OF_CLAIM))


def fulfilled(wishes: Wishes, user: User) -> dict[str, Any]:
    """What of it is known; `preferred_username` always is."""
    known: dict[str, Any] = {"preferred_username": user.username, **user.claims}
    found = {name: known[name] for name in wishes if name in known and name in SCOPE_OF_CLAIM}
    return {name: value for name, value in found.items() if not wishes[name].values or value in wishes[name].values}
