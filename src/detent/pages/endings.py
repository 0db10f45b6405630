"""Which apps and devices of a person were signed out lately, and why: a plain sentence each, without numbers or places.

Pure: what the account page has read already. What is a matter of safety is told in a list of its own (`words.TROUBLE`).
Rule: a time that nothing tells is not told.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from detent.core.authorization import Epochs
from detent.core.client import Client
from detent.core.family import Family, why_over
from detent.core.ids import Instant
from detent.core.policy import DAY
from detent.core.session import Session
from detent.pages import words
from detent.pages.app_card import name_of

TOLD_FOR: Final = 30 * DAY
SHOWN: Final = 10
_END_EVENTS: Final = ("revoked",)


class Ended(msgspec.Struct, frozen=True):
    """`at` is when it ended, as far as that is known."""

    name: str
    last: Instant
    at: Instant | None
    sentence: str

    @property
    def when(self) -> Instant:
        return self.at or self.last


def why_app_over(
    family: Family, client: Client | None, present: Epochs, over: Mapping[str, object], now: Instant
) -> str | None:
    """Why the app is signed out, as words.ENDED has it; None while it is not. `over` says which sessions are."""
    granted = family.authorization
    if client is None:
        return "client_removed"
    session_over = granted.ends_with_session and bool(over.get(granted.session_id or "", True))
    epochs = msgspec.structs.replace(present, client=client.epoch)
    why = why_over(family, epochs, now, session_over=session_over)
    if why == "cut_off":
        return "cut_off_user" if granted.epochs.user < epochs.user else "cut_off_all"
    if why:
        return family.ended_by or why
    return None if client.enabled else "cut_off_all"


def recently_ended(
    families: Iterable[tuple[Family, Client | None, str | None]],
    sessions: Iterable[tuple[Session, str | None]],
    now: Instant,
) -> Sequence[Ended]:
    """The latest first; what ended for the same reason is told of each app or device once."""
    found = [_app(family, client, why) for family, client, why in families if why and family.generation]
    found += [_device(session, why) for session, why in sessions if why]
    told: dict[tuple[str, str], Ended] = {}
    for each in sorted((each for each in found if each), key=lambda each: each.when, reverse=True):
        if now - each.when < TOLD_FOR:
            told.setdefault((each.name, each.sentence), each)
    return list(told.values())[:SHOWN]


def _app(family: Family, client: Client | None, why: str) -> Ended | None:
    sentence = words.ENDED.get(why)
    if sentence is None:
        return None
    last = family.history[-1] if family.history else None
    at = {"idle": family.idle_until, "absolute": family.absolute_until}.get(why)
    if last and last.name in _END_EVENTS:
        at = last.at
    name = name_of(client) if client else family.authorization.client_id
    return Ended(name, family.last_used_at, at, sentence)


def _device(session: Session, why: str) -> Ended | None:
    life = session.life
    sentence = words.ENDED.get(life.ended_by if why == "ended" else f"device_{why}")
    at = {"idle": life.idle_until, "absolute": life.absolute_until}.get(why)
    return Ended(session.device, life.last_used_at, at, sentence) if sentence else None
