"""Families for the people who run the server: found, told as a story, ended.

The story is told by story.py, from what is read here; what presenting a refresh token would mean now is asked
of `decide` in core/family.py and changes nothing. Rule: no token and no tag is ever repeated in an answer.
"""

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final, assert_never

import msgspec
from msgspec.structs import replace

from detent.admin.errors import NotFound
from detent.admin.story import End, Known, end_of, sentences, when
from detent.core.authorization import Epochs
from detent.core.changes import RaiseServerEpoch, changed
from detent.core.client import Client
from detent.core.errors import InvalidRequest
from detent.core.events import SERVER, Event, told
from detent.core.family import (
    Decision,
    Family,
    Keep,
    Presented,
    Refuse,
    Repeat,
    Reuse,
    Rotate,
    Supersede,
    decide,
    waits,
)
from detent.core.ids import FamilyKey, Instant
from detent.grants.ending import Ending
from detent.grants.issuing import Issuing
from detent.ports import Clock, Directory, FoundFamily
from detent.registry.tokens import RefreshStrategy, strategy_of
from detent.tokens.access import AccessTokens
from detent.tokens.handle import REFRESH_PREFIX, family_of, is_of

_PORTION: Final = 1000
_END_OF_TIME: Final = 253_402_300_800  # the year 10000, which nobody can write
_FAMILY: Final = re.compile(r"family ([A-Za-z0-9_-]{24})$")


class _Logged(msgspec.Struct, frozen=True):
    time: str
    message: str


class Story(msgspec.Struct, frozen=True):
    """A family (None where an event is about something else) and what there is to tell, a sentence a line."""

    family: Family | None
    sentences: tuple[str, ...]
    generation_presented: int | None = None
    end: End | None = None


class Families:
    def __init__(
        self, issuing: Issuing, access: AccessTokens, ending: Ending, directory: Directory, clock: Clock
    ) -> None:
        self._issuing = issuing
        self._access = access
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

    async def explain(self, text: str, log: Iterable[str] = ()) -> Story:
        """The story behind a family's id, a refresh or access token, or the support id of an answer.

        `log` is the server's: it alone knows the support id of a refusal that changed nothing. Raises NotFound.
        """
        if text.startswith(REFRESH_PREFIX):
            return await self._explain_token(text)
        if strategy := strategy_of(text, self._issuing.strategies):
            return await self._explain_jwt(text, strategy)
        if self._access.recognises(text):
            return await self._explain_access_token(self._access.said(text) or {})
        if FamilyKey.parse(text):
            return await self._story(await self.find(text))
        return await self._explain_support_id(text, log)

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
        this = [f"This is refresh token {handle.generation}; the present one is {family.generation}."]
        if client:
            now = self._clock.now()
            over = found.session_over(now)
            around = await self._issuing.surroundings(client, found.user_epoch, session_over=over)
            decision = decide(family, presented, client.policy, around, now)
            this.append(f"Presented now from the same place: {_meaning(decision, client)}")
        return replace(await self._story(found, *this), generation_presented=handle.generation)

    async def _explain_jwt(self, token: str, strategy: RefreshStrategy) -> Story:
        key = strategy.family_of(token)
        found = await self._store.family(key) if key else None
        if found is None:
            raise NotFound("This is no refresh token of a sign-in that this store knows: it was altered, or swept.")
        this = f"This says that it is one of its refresh tokens ({strategy.name}); whether it is was not checked."
        return await self._story(found, this)

    async def _explain_access_token(self, claims: Mapping[str, Any]) -> Story:
        until, now = claims.get("exp"), self._clock.now()
        if "client_id" not in claims or not isinstance(until, int) or not 0 < until < _END_OF_TIME:
            raise InvalidRequest(
                "This looks like a token, but it is no access token of ours: it was altered, is incomplete, or is an "
                "ID token, which opens nothing. Paste the refresh token, or give the support id."
            )
        this = f"This says that it is an access token that {'expired' if now >= until else 'expires'} at "
        this += f"{when(Instant(until))}; whether it is was not checked."
        key = FamilyKey.parse(str(claims.get("authorization_id", "")))
        if key is None:
            return Story(None, (this, "It is a client's own token (client_credentials): there is no family behind it."))
        found = await self._store.family(key)
        if found is None:
            raise NotFound("This is no access token of a family that this store knows: it was altered, or swept.")
        return await self._story(found, this)

    async def _explain_support_id(self, support_id: str, log: Iterable[str]) -> Story:
        async for event in self._events():
            if support_id and event.support_id == support_id:
                return await self._explain_event(event)
        for text in log if support_id else ():
            if refusal := _refusal(text, support_id):
                key = FamilyKey.parse(refusal[1])
                found = await self._store.family(key) if key else None
                return await self._story(found, refusal[0]) if found else Story(None, (refusal[0],))
        raise NotFound(
            f"The audit log holds no support id {support_id[:40]!r}: only what changed something is in it. A plain "
            "refusal is in the server's log, under the same id: give that with --log FILE."
        )

    async def _explain_event(self, event: Event) -> Story:
        this = f"The answer with this support id, at {when(event.at)}: {told(event)}"
        key = FamilyKey.parse(event.about)
        found = await self._store.family(key) if key else None
        return await self._story(found, this) if found else Story(None, (this,))

    async def _events(self, about: str | None = None) -> AsyncIterator[Event]:
        after = 0
        while events := await self._directory.events(about=about, after=after, limit=_PORTION):
            for number, event in events:
                after = number
                yield event

    async def _story(self, found: FoundFamily, *this: str) -> Story:
        """After what there is to say of `this`, which was pasted, the whole story."""
        granted = found.family.authorization
        client = await self._store.client(granted.client_id)
        server = (await self._store.installation()).server_epoch
        epochs = Epochs(found.user_epoch, client.epoch if client else granted.epochs.client, server)
        sessions = await self._directory.sessions(granted.subject)
        about = (granted.subject, granted.client_id, SERVER)
        known = Known(
            found,
            client,
            await self._directory.user(granted.subject),
            epochs,
            next((each.device for each in sessions if each.sid == granted.session_id), ""),
            {each.origin.agent.hex(): each.device for each in sessions},
            tuple([event for name in about async for event in self._events(name) if event.at >= granted.created_at]),
            self._clock.now(),
        )
        end = end_of(known)
        return Story(found.family, (*this, *sentences(known, end, self._by_strategy(found.family, client))), end=end)

    def _by_strategy(self, family: Family, client: Client | None) -> str:
        """What there is to say of JWT refresh tokens, which have no generation."""
        strategy = self._issuing.strategies.get(client.refresh_strategy) if client else None
        if strategy is None or family.generation:
            return ""
        return f"Its refresh tokens are JWTs by the strategy {strategy.name}. {strategy.told}"


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
            is_equal = waits(after, Presented(after.generation - 1, after.epoch))
            fate = "as good until one of the two is used" if is_equal else "dead"
            return f"answered late with refresh token {after.generation}; the unused one before it would be {fate}."
        case Reuse(after=None):
            return "refused as a used one; nothing changes."
        case Reuse(after=after):
            end = "is marked as suspected" if after and after.suspected else "ends at once, with its access tokens"
            return f"reuse, so it is refused and the family {end} (on_reuse {client.policy.on_reuse})."
        case _:
            assert_never(decision)


def _refusal(text: str, support_id: str) -> tuple[str, str] | None:
    """A line of the server's log, if it is of this id: as a sentence, and the family that it names."""
    try:
        logged = msgspec.json.decode(text, type=_Logged)
    except msgspec.MsgspecError:
        return None
    _, of_this, detail = logged.message.partition(f"support_id={support_id}: ")
    if not of_this:
        return None
    named = _FAMILY.search(detail)
    return f"The answer with this support id, at {logged.time}: {detail}.", named[1] if named else ""
