"""The story of a family, in sentences and in order: how it began, what happened, why it ended, what to do next.

Pure: what was read of the store comes in as `Known`. Nothing is written when a family expires or is cut off, so that
is told from its row, the cut-offs in force and the audit log beside it. Rule: a time that nothing tells is not told.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from detent.core.authorization import Epochs
from detent.core.client import Client
from detent.core.events import SERVER, Event, told
from detent.core.family import NOTABLE_EVENTS, Family, why_over
from detent.core.ids import Instant
from detent.core.people import User
from detent.core.policy import DAY, HOUR, MINUTE
from detent.ports import FoundFamily

_ARE_REFRESHES: Final = frozenset({"narrowed", "superseded", "store_behind"})
_RAISES: Final = frozenset({"cut_off_raised", "user_removed"})
_UNITS: Final = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (1, "second"))

WHY: Final[dict[str, str]] = {
    "reuse": "It ended{at} because a used refresh token was presented again: one of two holders was a thief.",
    "person": "The person ended it{at}: on the account page, or by signing out.",
    "logout": "The person signed out{at}, and it was granted without offline_access.",
    "operator": "An operator ended it{at}.",
    "client": "The app ended it{at}: it revoked its token, as apps do when somebody signs out there.",
    "consent_withdrawn": "It ended{at}: the person's consent for this app was withdrawn.",
    "code_replay": "It ended{at} because its authorization code was presented a second time.",
    "suspected": "It ended because it was suspected and the person signed in to this app again.",
    "replaced": "It ended{at}: another person signed in with the same browser.",
    "idle": "It expired idle{at} because no refresh came for {idle}.",
    "absolute": "It expired{at}, {life} after the sign-in: no use prolongs that.",
    "session_ended": "It ended with the sign-in session that it came of, which was ended by the {by}: it was granted "
    "without offline_access.",
    "session_idle": "It ended{at} with the sign-in session that it came of, which was not used in time: it was "
    "granted without offline_access.",
    "session_absolute": "It ended{at} with the sign-in session that it came of, which had reached its absolute end: "
    "it was granted without offline_access.",
    "session_gone": "It ended with the sign-in session that it came of: it was granted without offline_access.",
    "client_removed": "It ended{at}: its client was removed.",
    "cut_off_user": "It was cut off{at} with everything issued to the person until then ({by}).",
    "cut_off_client": "It was cut off{at} with everything issued to the client until then ({by}).",
    "cut_off_server": "It was cut off{at} with everything issued to anybody until then ({by}).",
}
_AGAIN: Final = "The person can sign in to {app} again; nothing revives this family."
NEXT: Final[dict[str, str]] = {
    "reuse": _AGAIN + " If it happens to honest people, their app shares or copies its tokens: docs/explain.md.",
    "idle": _AGAIN + " A longer idle life: detent client update {client_id} --idle SECONDS.",
    "absolute": _AGAIN + " A longer life: detent client update {client_id} --absolute SECONDS.",
    "client_removed": "Nobody can sign in to it any more, unless it is registered anew: detent client add.",
}


class Known(msgspec.Struct, frozen=True):
    """What was read. `device` is the browser of the sign-in, `devices` are user agents by their digest, all in words.

    `beside` is the audit log of the person, the client and the installation, in order.
    """

    found: FoundFamily
    client: Client | None
    person: User | None
    epochs: Epochs
    device: str
    devices: Mapping[str, str]
    beside: tuple[Event, ...]
    now: Instant

    @property
    def family(self) -> Family:
        return self.found.family

    @property
    def app(self) -> str:
        client_id = self.family.authorization.client_id
        return (self.client.client_name or client_id) if self.client else f"{client_id} (removed)"


class End(msgspec.Struct, frozen=True):
    """`reason` is one of WHY, or as the row says; `by` is what a cut-off or the session's end came of."""

    reason: str
    at: Instant | None = None
    by: str = ""


def sentences(known: Known, end: End | None, by_strategy: str) -> tuple[str, ...]:
    return (
        _opening(known),
        *_happened(known),
        *([by_strategy] if by_strategy else []),
        _why(known, end) if end else _lives(known.family),
        next_step(known, end),
    )


def end_of(known: Known) -> End | None:
    """Why it is over, None while it lives."""
    family, now = known.family, known.now
    over = why_over(family, known.epochs, now, session_over=known.found.session_over(now))
    match over:
        case "revoked" | "compromised":
            return End(family.ended_by, _ended_at(known))
        case _ if known.client is None:
            return End("client_removed", _beside(known, "client_removed"))
        case "cut_off":
            return _cut_off(known)
        case "idle":
            return End("idle", family.idle_until)
        case "absolute":
            return End("absolute", family.absolute_until)
        case "session_over":
            return _session_over(known)
        case _:
            return None


def next_step(known: Known, end: End | None) -> str:
    """What the person or an operator can do."""
    granted, person = known.family.authorization, known.person
    if end is None:
        return f"To end it: detent family revoke {known.family.key.text}."
    if person is None:
        return "Nobody can sign in as this person any more."
    if not person.enabled:
        return f"The person cannot sign in before: detent user update {person.username} --enable."
    if known.client and not known.client.enabled:
        return f"Nobody can sign in to it before: detent client update {granted.client_id} --enable."
    return NEXT.get(end.reason, _AGAIN).format(app=known.app, client_id=granted.client_id)


def when(instant: Instant | None) -> str:
    """A point in time as people read it."""
    return "-" if instant is None else datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def line(event: Event, devices: Mapping[str, str]) -> str:
    device = devices.get(event.agent, "")
    whence = [f"from {event.network}"] if event.network else []
    whence += [f"with {device}"] if device else []
    place = ", ".join(whence)
    place = f" {place[0].upper()}{place[1:]}." if place else ""
    support = f" Support id {event.support_id}." if event.support_id else ""
    return f"{when(event.at)}  {told(event)}{place}{support}"


def _opening(known: Known) -> str:
    granted = known.family.authorization
    person = known.person.username if known.person else f"{granted.subject} (removed)"
    scope = " ".join(granted.scope) or "no scope"
    device = f" with {known.device}" if known.device else ""
    return f"{person} signed in to {known.app}{device} at {when(granted.created_at)}, for {scope}."


def _happened(known: Known) -> Iterator[str]:
    """The events, and between them how many ordinary refreshes there were."""
    family, seen = known.family, 0
    if len(family.history) == NOTABLE_EVENTS and family.history[0].name != "family_created":
        yield f"Of what happened then it remembers the last {NOTABLE_EVENTS} events."
    for event in family.history:
        if event.refreshes > seen:
            yield f"Then {_counted(event.refreshes - seen, 'ordinary refresh', 'es')}."
        seen = max(seen, event.refreshes + (event.name in _ARE_REFRESHES))
        yield line(event, known.devices)
    if family.refreshes > seen:
        yield (
            f"Then {_counted(family.refreshes - seen, 'ordinary refresh', 'es')}, the last at "
            f"{when(family.last_used_at)}."
        )


def _lives(family: Family) -> str:
    if not family.generation:
        return f"It lives until {when(family.absolute_until)} at the latest."
    suspected = " It is suspected: it ends at the next sign-in." if family.suspected else ""
    return (
        f"It lives with refresh token {family.generation}, last used at {when(family.last_used_at)}: until "
        f"{when(family.idle_until)} if it is not used again, until {when(family.absolute_until)} at the latest."
        f"{suspected}"
    )


def _why(known: Known, end: End) -> str:
    family = known.family
    at = f" at {when(end.at)}" if end.at else ""
    idle = _lasting(family.idle_until - family.last_used_at)
    life = _lasting(family.absolute_until - family.authorization.created_at)
    text = WHY.get(end.reason, "It was revoked{at} ({reason}).")
    frozen = " It was suspected, so no refresh prolonged it." if end.reason == "idle" and family.suspected else ""
    return f"It is over. {text.format(at=at, reason=end.reason, by=end.by, idle=idle, life=life)}{frozen}"


def _ended_at(known: Known) -> Instant | None:
    """From the family's own history, else from the one event beside it that can have ended it."""
    last = known.family.history[-1] if known.family.history else None
    if last and last.name in ("reuse_detected", "revoked", "code_replayed"):
        return last.at
    if known.family.ended_by == "consent_withdrawn":
        return _beside(known, "consent_withdrawn")
    return _beside(known, "signed_out") if known.family.ended_by != "suspected" else None


def _beside(known: Known, name: str) -> Instant | None:
    """When it happened, if since its last use it happened once."""
    granted, since = known.family.authorization, known.family.last_used_at
    times = [
        event.at
        for event in known.beside
        if event.name == name and event.at >= since and event.client_id in ("", granted.client_id)
    ]
    return times[0] if len(times) == 1 else None


def _cut_off(known: Known) -> End:
    """The first cut-off that it fell behind: the person's, else the client's, else everybody's."""
    granted, present = known.family.authorization, known.epochs
    whose, about, behind = next(
        (whose, about, now - issued)
        for whose, about, issued, now in (
            ("user", granted.subject, granted.epochs.user, present.user),
            ("client", granted.client_id, granted.epochs.client, present.client),
            ("server", SERVER, granted.epochs.server, present.server),
        )
        if issued < now
    )
    raised = [event for event in known.beside if event.name in _RAISES and event.about == about]
    if not raised:
        return End(f"cut_off_{whose}", by="unknown")
    first = raised[-min(behind, len(raised))]  # one event for each step that the counter rose
    return End(f"cut_off_{whose}", first.at, first.reason or "removed")


def _session_over(known: Known) -> End:
    life = known.found.session
    if life is None:
        return End("session_gone")
    over = life.over(known.now)
    at = {"idle": life.idle_until, "absolute": life.absolute_until}.get(over or "")
    return End(f"session_{over or 'gone'}", at, life.ended_by)


def _lasting(seconds: int) -> str:
    """The largest unit in which it is a whole number."""
    size, name = next((unit for unit in _UNITS if seconds >= unit[0] and seconds % unit[0] == 0), _UNITS[-1])
    return _counted(seconds // size, name, "s")


def _counted(count: int, name: str, plural: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else plural}"
