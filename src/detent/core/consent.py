"""What a person allowed an app, remembered: asked once, and again only for more.

Source: OpenID Connect Core §3.1.2.4, RFC 6749 §10.2, RFC 8252 §8.6. Scopes are kept per API: leave to read one API
and to write another one is no leave to write the first.
"""

import msgspec

from detent.core.api import Api
from detent.core.ids import ClientId, Instant, Subject
from detent.core.scope import IDENTITY_SCOPES, Scope

IDENTITY = ""  # where the scopes stand that are about the person and no API

Leave = dict[str, Scope]  # by API identifier


class Consent(msgspec.Struct, frozen=True):
    subject: Subject
    client_id: ClientId
    leave: Leave
    given_at: Instant
    version: int = 1


def leave_for(apis: tuple[Api, ...], scope: Scope) -> Leave:
    """What a request for this scope at these APIs asks leave for; an API stands there even without a scope."""
    theirs = {api.identifier: tuple(name for name in scope if name in api.scopes) for api in apis}
    return {IDENTITY: tuple(name for name in scope if name in IDENTITY_SCOPES), **theirs}


def covers(given: Consent | None, asked: Leave) -> bool:
    return given is not None and all(
        place in given.leave and set(scope) <= set(given.leave[place]) for place, scope in asked.items()
    )


def widened(given: Consent | None, subject: Subject, client_id: ClientId, asked: Leave, now: Instant) -> Consent:
    """The consent after the person allowed `asked`: what stood and what is new."""
    before = given.leave if given else {}
    leave = {
        place: tuple(dict.fromkeys((*before.get(place, ()), *asked.get(place, ())))) for place in {**before, **asked}
    }
    return Consent(subject, client_id, leave, now, given.version + 1 if given else 1)
