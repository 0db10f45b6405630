"""Families for the people who run the server: found, told as a story, ended.

The story is what the row and its history say, in sentences; what presenting a refresh token would mean now is asked
of `decide` in core/family.py and changes nothing. Rule: no token and no tag is ever repeated in an answer.
"""

from datetime import UTC, datetime
from typing import Final, assert_never

import msgspec

from detent.admin.errors import NotFound
from detent.core.authorization import Epochs
from detent.core.changes import RaiseServerEpoch, changed
from detent.core.client import Client
from detent.core.errors import InvalidRequest
from detent.core.events import Event, told
from detent.core.family import (
    Decision,
    Family,
    Keep,
    Presented,
    Reason,
    Refuse,
    Repeat,
    Reuse,
    Rotate,
    Supersede,
    decide,
    why_over,
)
from detent.core.ids import FamilyKey, Instant
from detent.grants.ending import Ending
from detent.grants.issuing import Issuing
from detent.ports import Clock, Directory, FoundFamily
from detent.registry import RefreshStrategy, strategy_of
from detent.tokens.access import present_epochs
from detent.tokens.handle import REFRESH_PREFIX, family_of, is_of

SERVER: Final = "server"  # what an event is about that concerns everybody
_PORTION: Final = 1000

WHY_OVER: Final[dict[Reason, str]] = {
    "revoked": "It was revoked ({ended_by}).",
    "compromised": "It ended because a refresh token of it was presented twice: one of two holders was a thief.",
    "idle": "It was not used in time: its idle end was {idle_until}.",
    "absolute": "It has reached its absolute end: {absolute_until}.",
    "session_over": "It ended with the sign-in that it came of: it was granted without offline_access.",
}


class Story(msgspec.Struct, frozen=True):
    """A family (None where an event is about something else) and what there is to tell, a sentence a line."""

    family: Family | None
    sentences: tuple[str, ...]
    generation_presented: int | None = None


class Families:
    def __init__(self, issuing: Issuing, ending: Ending, directory: Directory, clock: Clock) -> None:
        self._issuing = issuing
        self._ending = ending
        self._store = issuing.store
        self._directory = directory
        self._clock = clock

    async def find(self, text: str) -> FoundFamily:
        """By its id. Raises NotFound."""
        key = FamilyKey.parse(text)
        found = await self._store.family(key) if key else None
        if found is None:
            raise NotFound(f"There is no family {text[:40]!r}: it never was, or it was swept after its end.")
        return found

    async def end(self, text: str) -> Family:
        """Revoke it, with its access tokens; one that is over already is answered as it is. Raises NotFound."""
        key = (await self.find(text)).family.key
        return await self._ending.end(key, "operator", self._clock.now()) or (await self.find(text)).family

    async def end_all(self) -> None:
        """Cut off everything that was ever issued to anybody, sessions too: one write."""
        event = Event("cut_off_raised", self._clock.now(), about=SERVER, reason="operator")
        await self._store.apply(changed(RaiseServerEpoch(), events=(event,)))

    async def explain(self, text: str) -> Story:
        """The story behind a family's id, a refresh token, or the support id of an answer. Raises NotFound."""
        if text.startswith(REFRESH_PREFIX):
            return await self._explain_token(text)
        if strategy := strategy_of(text, self._issuing.strategies):
            return await self._explain_jwt(text, strategy)
        if FamilyKey.parse(text):
            found = await self.find(text)
            return Story(found.family, await self._told(found))
        return await self._explain_support_id(text)

    async def _explain_token(self, token: str) -> Story:
        key = family_of(token)
        found = await self._store.family(key) if key else None
        if found is None:
            raise NotFound("This is no refresh token of a family that this store knows: it is incomplete, or swept.")
        family = found.family
        handle = self._issuing.handles.open_refresh(token, family.authorization.client_id)
        if handle is None or not is_of(handle, family):
            raise InvalidRequest("This looks like a refresh token of ours, but its tags are wrong: it was altered.")
        client = await self._store.client(family.authorization.client_id)
        presented = Presented(handle.generation, handle.epoch, origin=family.origin)
        sentences = [f"This is refresh token {handle.generation}; the present one is {family.generation}."]
        if client:
            now = self._clock.now()
            over = found.session_over(now)
            around = await self._issuing.surroundings(client, found.user_epoch, session_over=over)
            decision = decide(family, presented, client.policy, around, now)
            sentences.append(f"Presented now from the same place: {_meaning(decision, client)}")
        return Story(family, (*await self._told(found), *sentences), handle.generation)

    async def _explain_jwt(self, token: str, strategy: RefreshStrategy) -> Story:
        key = strategy.family_of(token)
        found = await self._store.family(key) if key else None
        if found is None:
            raise NotFound("This is no refresh token of a sign-in that this store knows: it was altered, or swept.")
        this = f"This says that it is one of its refresh tokens ({strategy.name}); whether it is was not checked."
        return Story(found.family, (*await self._told(found), this))

    async def _explain_support_id(self, support_id: str) -> Story:
        after = 0
        while events := await self._directory.events(after=after, limit=_PORTION):
            for number, event in events:
                after = number
                if support_id and event.support_id == support_id:
                    return await self._explain_event(event)
        raise NotFound(
            f"The audit log holds no support id {support_id[:40]!r}: only what changed something is in it. The "
            "reason of a plain refusal is in the server's log, under the same id."
        )

    async def _explain_event(self, event: Event) -> Story:
        this = f"The answer with this support id, at {when(event.at)}: {told(event)}"
        key = FamilyKey.parse(event.about)
        found = await self._store.family(key) if key else None
        if found is None:
            return Story(None, (this,))
        return Story(found.family, (this, *await self._told(found)))

    async def _told(self, found: FoundFamily) -> tuple[str, ...]:
        family, now = found.family, self._clock.now()
        granted = family.authorization
        client = await self._store.client(granted.client_id)
        user = await self._directory.user(granted.subject)
        person = user.username if user else f"{granted.subject} (removed)"
        app = (client.client_name or client.client_id) if client else f"{granted.client_id} (removed)"
        scope = " ".join(granted.scope) or "no scope"
        opening = f"{person} signed in to {app} at {when(granted.created_at)}, for {scope}."
        standing = await self._standing(found, client, now)
        return opening, *(_line(event) for event in family.history), standing, *self._by_strategy(family, client)

    def _by_strategy(self, family: Family, client: Client | None) -> tuple[str, ...]:
        """What there is to say of JWT refresh tokens, which have no generation."""
        strategy = self._issuing.strategies.get(client.refresh_strategy) if client else None
        if strategy is None or family.generation:
            return ()
        return (f"Its refresh tokens are JWTs by the strategy {strategy.name}. {strategy.told}",)

    async def _standing(self, found: FoundFamily, client: Client | None, now: Instant) -> str:
        """How it is now, and why it is over if it is."""
        family = found.family
        if client is None:
            return "It is over: its client was removed."
        epochs = await present_epochs(self._store, client, found.user_epoch)
        over = why_over(family, epochs, now, session_over=found.session_over(now))
        ends = {"idle_until": when(family.idle_until), "absolute_until": when(family.absolute_until)}
        if over == "cut_off":
            return f"It is over: everything issued before was cut off for {_whom(family.authorization.epochs, epochs)}."
        if over:
            return f"It is over. {WHY_OVER[over].format(ended_by=family.ended_by, **ends)}"
        if not family.generation:
            return f"It lives until {ends['absolute_until']} at the latest."
        suspected = " It is suspected: it ends at the next sign-in." if family.suspected else ""
        return (
            f"It lives with refresh token {family.generation}, last used at {when(family.last_used_at)}: until "
            f"{ends['idle_until']} if it is not used again, until {ends['absolute_until']} at the latest.{suspected}"
        )


def _meaning(decision: Decision, client: Client) -> str:
    match decision:
        case Refuse(reason=reason):
            because = "it is newer than the store, which lost state" if reason == "store_behind" else "it is over"
            return f"refused, and nothing changes: {because}."
        case Keep():
            return "a new access token, and the same refresh token again."
        case Rotate(after=after):
            return f"a new access token, and refresh token {after.generation} in its place."
        case Repeat(bare=True):
            return "a new access token only: it was repeated too often."
        case Repeat(head=head):
            return f"answered once more with its successor, refresh token {head.generation}."
        case Supersede(after=after):
            return f"answered late with refresh token {after.generation}; the unused one before it would be dead."
        case Reuse(after=None):
            return "refused as a used one; nothing changes."
        case Reuse(after=after):
            end = "is marked as suspected" if after and after.suspected else "ends at once, with its access tokens"
            return f"reuse, so it is refused and the family {end} (on_reuse {client.policy.on_reuse})."
        case _:
            assert_never(decision)


def _whom(issued: Epochs, present: Epochs) -> str:
    behind = {"the person": issued.user < present.user, "the client": issued.client < present.client}
    return " and ".join(name for name, is_behind in behind.items() if is_behind) or "everybody"


def _line(event: Event) -> str:
    whence = f" From {event.network}." if event.network else ""
    support = f" Support id {event.support_id}." if event.support_id else ""
    return f"{when(event.at)}  {told(event)}{whence}{support}"


def when(instant: Instant | None) -> str:
    """A point in time as people read it."""
    return "-" if instant is None else datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
