"""What people read instead of codes: scopes, times, networks, reasons. Pure; English."""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from detent.core.api import Api
from detent.core.consent import IDENTITY, Consent, Leave
from detent.core.errors import (
    AccessDenied,
    Forged,
    NotFound,
    OAuthError,
    ServerError,
    SlowDown,
    TemporarilyUnavailable,
)
from detent.core.events import Event, EventName
from detent.core.ids import Instant
from detent.core.interaction import Why
from detent.core.policy import DAY, HOUR, MINUTE

MAX_NAME: Final = 120
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
    "other_person": "The app asks for another account than the one that is signed in here. Sign in with that one.",
    "choose": "",
}
WRONG: Final = "The username or the password is wrong. Check both and try again."
TAKEN: Final = "This username is taken. Choose another one, or sign in if the account is yours."
WRONG_DEVICE_CODE: Final = "No device waits under this code. Check it; codes are good for ten minutes."
TROUBLE: Final[dict[EventName, str]] = {
    "reuse_detected": "A used key of this app was presented again{whence}, as a thief would do it. Everything that "
    "came of that sign-in was ended at once.",
    "suspected": "A used key of this app was presented again{whence}. It was refused, and all of that sign-in ends "
    "the next time you sign in to the app.",
    "code_replayed": "A sign-in to this app was presented twice{whence}. Everything that came of it was ended.",
}
ENDED: Final[dict[str, str]] = {
    "person": "You signed it out, or ended its access here.",
    "logout": "You signed out.",
    "operator": "The people who run this server signed it out.",
    "client": "The app signed you out itself.",
    "consent_withdrawn": "You withdrew what it was allowed, so it was signed out.",
    "replaced": "Somebody else signed in with the same browser, so it was signed out.",
    "idle": "It was not used for a long time, so it was signed out.",
    "absolute": "It had been signed in for as long as an app may be, so it was signed out.",
    "session_over": "It was signed out together with the device that you used it on.",
    "cut_off_user": "Your password was set anew or your account was locked, so everything was signed out.",
    "cut_off_all": "The people who run this server signed everybody out of it.",
    "client_removed": "The app is not offered here any more.",
    "device_idle": "It was not used for a long time, so it was signed out.",
    "device_absolute": "It had been signed in for as long as a device may be, so it was signed out.",
    "device_cut_off": "Your password was set anew, or everybody was signed out, so this device was too.",
}
TITLES: Final[dict[type[OAuthError], str]] = {
    AccessDenied: "Not signed in",
    Forged: "That did not come from here",
    NotFound: "Nothing here",
    SlowDown: "Slow down",
    TemporarilyUnavailable: "Just a moment",
    ServerError: "A fault of ours",
}
NEXT: Final[dict[type[OAuthError], str]] = {
    AccessDenied: "Go back to where you came from and start again if that was not what you meant.",
    Forged: "Go back, load the page again and try once more.",
    NotFound: "Check the address, or go to your account page.",
    SlowDown: "Wait a moment before you try again.",
    TemporarilyUnavailable: "Wait a moment and load this page again.",
    ServerError: "Try again. If it stays like this, tell the people who run this server.",
}
_LOOPBACK_V6: Final = ipaddress.ip_address("::1")
_GO_BACK: Final = (
    "Go back to the app and start again. If this page comes back, tell the people who run the app what it says."
)


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


def split(leave: Leave, given: Consent | None) -> tuple[Leave, Leave]:
    """What of it was not allowed yet, and what was; a place whose scopes are all new stands in the first alone."""
    allowed = given.leave if given else {}
    fresh, before = {}, {}
    for place, scope in leave.items():
        known = allowed.get(place)
        new = tuple(name for name in scope if name not in (known or ()))
        if new or known is None:
            fresh[place] = new
        if known is not None and len(new) < max(1, len(scope)):
            before[place] = tuple(name for name in scope if name in known)
    return fresh, before


def date(instant: Instant, now: Instant) -> str:
    """About when, as a person would say it."""
    ago = now - instant
    if ago < MINUTE:
        return "just now"
    if ago >= 30 * DAY:
        return f"on {_day(instant)}"
    size, name = next(unit for unit in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")) if ago >= unit[0])
    return f"{_counted(ago // size, name)} ago"


def exactly(instant: Instant) -> str:
    return f"{_day(instant)}, {_utc(instant):%H:%M} UTC"


def machine_date(instant: Instant) -> str:
    """For `<time datetime>`."""
    return _utc(instant).strftime("%Y-%m-%dT%H:%M:%SZ")


def waiting(seconds: int) -> str:
    """How long, in words; never less than it takes."""
    if seconds < 2 * MINUTE:
        return _counted(seconds, "second")
    return _counted(-(-seconds // MINUTE), "minute")


def failed_too_often(seconds: int) -> str:
    return (
        f"Too many sign-ins have failed. Try again in {waiting(seconds)}, or sign in with a browser in which you have "
        "signed in before."
    )


def signed_up_too_often(seconds: int) -> str:
    return f"Too many accounts were asked for of late. Try again in {waiting(seconds)}."


def guessed_too_often(seconds: int) -> str:
    return f"Too many wrong codes. Wait {waiting(seconds)} before you try again."


def whence(network: str) -> str:
    """The part of an address that all of a network share, as far as it is kept; empty where nothing is known."""
    if not network:
        return ""
    found = ipaddress.ip_network(network)
    if found.is_loopback or _LOOPBACK_V6 in found:
        return "this computer"
    address = str(found.network_address)
    return address.removesuffix("0") + "x" if found.version == 4 else f"{address}…"


def trouble(event: Event) -> str:
    """One of TROUBLE, as its person is told it."""
    place = whence(event.network)
    return TROUBLE[event.name].format(whence=f" from {place}" if place else "")


def plain(name: str) -> str:
    """A name that others chose, on one line, without what cannot be seen or turns the text around it (UTS 39)."""
    seen = "".join(character for character in " ".join(name.split()) if character.isprintable())
    return seen if len(seen) <= MAX_NAME else seen[: MAX_NAME - 1] + "…"


def title_for(error: OAuthError) -> str:
    return TITLES.get(type(error), "That did not work")


def next_for(error: OAuthError) -> str:
    return NEXT.get(type(error), _GO_BACK)


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"


def _day(instant: Instant) -> str:
    day = _utc(instant)
    return f"{day.day} {day:%B %Y}"


def _utc(instant: Instant) -> datetime:
    return datetime.fromtimestamp(instant, UTC)
