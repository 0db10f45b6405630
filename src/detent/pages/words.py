"""What people read instead of codes: scopes, times, reasons. Pure; English."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from detent.core.api import Api
from detent.core.consent import IDENTITY, Consent, Leave
from detent.core.errors import OAuthError
from detent.core.events import EventName
from detent.core.ids import Instant
from detent.core.interaction import Why
from detent.core.policy import DAY, HOUR, MINUTE

SCOPES: Final = {
    "openid": "Know who you are",
    "profile": "See your name, picture and other profile details",
    "email": "See your email address",
    "address": "See your postal address",
    "phone": "See your phone number",
    "offline_access": "Keep access while you are away, until you withdraw it",
}
WHY: Final[dict[Why, str]] = {
    "signed_out": "",
    "asked": "For your safety, please sign in again.",
    "too_long_ago": "You signed in a while ago. Please confirm that it is you.",
    "other_person": "This was asked for another account than the one that is signed in here.",
    "choose": "",
}
TROUBLE: Final[dict[EventName, str]] = {
    "reuse_detected": "A used key of {app} was presented again, as a thief would do it. Everything that came of that "
    "sign-in was ended at once.",
    "suspected": "A used key of {app} was presented again and refused. If you do not know why, sign in to it anew.",
    "code_replayed": "A sign-in to {app} was presented twice, so everything that came of it was ended.",
}
NEXT: Final[dict[str, str]] = {
    "invalid_request": "Go back to the app and start again. If this page comes back, tell the people who run the app.",
    "access_denied": "Go back to the app and start again if that was not what you meant.",
    "not_found": "Check the address, or go to your account page.",
    "temporarily_unavailable": "Wait a moment and load this page again.",
    "slow_down": "Wait a moment before you try again.",
    "server_error": "Try again. If it stays like this, tell the people who run this server.",
}


class Asked(msgspec.Struct, frozen=True):
    """One place and what is asked for there; `name` is empty for what is about the person."""

    name: str
    wishes: tuple[str, ...]


def asked_for(leave: Leave, apis: Sequence[Api]) -> tuple[Asked, ...]:
    """What the app wants, in sentences: about the person first, then API by API."""
    known = {api.identifier: api for api in apis}
    found = []
    for place, scope in leave.items():
        api = known.get(place)
        sentences = SCOPES if place == IDENTITY or api is None else api.scopes
        wishes = tuple(sentences.get(name) or name for name in scope)
        if place == IDENTITY:
            found.append(Asked("", wishes))
        else:
            found.append(Asked((api.name if api else "") or place, wishes or ("Use it in your name",)))
    return tuple(each for each in found if each.wishes)


def new_in(leave: Leave, before: Consent | None) -> Leave:
    """What of it was not allowed yet; all of it where nothing was."""
    if before is None:
        return leave
    fresh = {place: tuple(s for s in scope if s not in before.leave.get(place, ())) for place, scope in leave.items()}
    return {place: scope for place, scope in fresh.items() if scope or place not in before.leave}


def date(instant: Instant, now: Instant) -> str:
    """About when, as a person would say it."""
    ago = now - instant
    if ago < MINUTE:
        return "just now"
    for size, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if ago >= size and ago < 30 * DAY:
            count = ago // size
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return _utc(instant).strftime("%-d %B %Y")


def exactly(instant: Instant) -> str:
    return _utc(instant).strftime("%-d %B %Y, %H:%M UTC")


def machine_date(instant: Instant) -> str:
    """For `<time datetime>`."""
    return _utc(instant).strftime("%Y-%m-%dT%H:%M:%SZ")


def waiting(seconds: int) -> str:
    """How long, in words."""
    if seconds < 2 * MINUTE:
        return f"{seconds} second{'s' if seconds != 1 else ''}"
    return f"{-(-seconds // MINUTE)} minutes"


def next_for(error: OAuthError) -> str:
    return NEXT.get(error.code, NEXT["invalid_request"])


def _utc(instant: Instant) -> datetime:
    return datetime.fromtimestamp(instant, UTC)
