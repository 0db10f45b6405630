"""`refresh_token` (RFC 6749 §6): load the family, decide, mint, compare and swap.

Order of checks: outer tag (before the client is authenticated) → row → inner tag → client → key binding → life,
cut-offs → generation → scope and target. Consequences come last, so no stranger, wrong client or wrong key can
end somebody's family. What a generation means is `decide` in core/family.py.
"""

import hashlib
from typing import Final, assert_never

import msgspec

from detent.core.authorization import Authorization
from detent.core.changes import Part, ReplaceFamily, SlideSession
from detent.core.errors import (
    Conflict,
    InvalidGrant,
    InvalidRequest,
    SlowDown,
    TemporarilyUnavailable,
)
from detent.core.events import REMEMBERED_ONLY, Event
from detent.core.exchange import Form, TokenResponse
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
)
from detent.core.ids import Instant, SessionKey
from detent.core.session import SessionPolicy
from detent.grants.commit import commit
from detent.grants.issuing import Issuing
from detent.grants.repeats import RepeatLimit
from detent.identity.sessions import note_expiry
from detent.ports import EventSink, FoundFamily, Meter
from detent.registry.requests import TokenRequest
from detent.registry.tokens import RefreshStrategy, strategy_of
from detent.tokens.handle import MAX_GENERATION, REFRESH_PREFIX, RefreshHandle, is_of

REFUSED: Final = "Unknown or invalid refresh token."
RETRY_KEY_CHARACTERS: Final = 22
_ATTEMPTS: Final = 4


class RefreshToken:
    grant_type = "refresh_token"

    def __init__(
        self,
        issuing: Issuing,
        sink: EventSink,
        meter: Meter,
        session_policy: SessionPolicy,
    ) -> None:
        self._meter = meter
        self._session_policy = session_policy
        self._issuing = issuing
        self._sink = sink
        self._repeats = RepeatLimit()

    def screen(self, form: Form, client_id: str, now: Instant) -> RefreshHandle | RefreshStrategy:
        token = form.get("refresh_token")
        if token is None:
            raise InvalidRequest("The parameter refresh_token is missing.")
        if not token.startswith(REFRESH_PREFIX) and (strategy := strategy_of(token, self._issuing.strategies)):
            return strategy
        handle = self._issuing.handles.open_refresh(token, client_id)
        if handle is None:
            raise self._refusal("not_ours", "not a refresh token of this server for this client")
        return handle

    async def issue(self, request: TokenRequest, screened: RefreshHandle | RefreshStrategy) -> TokenResponse:
        if not isinstance(screened, RefreshHandle):
            answer = await screened.redeem(request.form["refresh_token"], request)
            self._meter.count("refreshes", "redeemed", "")
            return answer
        try:
            return await self._redeem(screened, request)
        except InvalidGrant as refusal:
            refusal.detail += f", family {screened.key.text}"  # so that the log leads there
            raise

    async def _redeem(self, screened: RefreshHandle, request: TokenRequest) -> TokenResponse:
        for _ in range(_ATTEMPTS):
            found = await self._proved(screened, request)
            over = found.session_over(request.now)
            around = await self._issuing.surroundings(request.client, found.user_epoch, session_over=over)
            presented = Presented(
                screened.generation,
                screened.epoch,
                _retry_key_digest(request.form),
                request.origin,
                _less(request.form, found.family.authorization),
            )
            decision = decide(found.family, presented, request.client.policy, around, request.now)
            try:
                answer = await self._carry_out(decision, found, request)
                self._meter.count("refreshes", type(decision).__name__.lower(), "")
                return answer
            except Conflict:
                continue  # somebody else moved the family: read it again and decide again
        raise TemporarilyUnavailable("This refresh token is being used at the same moment; try again.", retry_after=1)

    async def _proved(self, handle: RefreshHandle, request: TokenRequest) -> FoundFamily:
        """The row of the handle, once the handle, the client and the key are proved. Raises InvalidGrant."""
        found = await self._issuing.store.family(handle.key)
        if found is None:
            raise self._refusal("deleted", "the family was deleted")
        if not is_of(handle, found.family):
            raise self._refusal("forged", "the inner tag is wrong")
        authorization = found.family.authorization
        if authorization.client_id != request.client.client_id:
            raise self._refusal("another_client", "issued to another client")
        if not authorization.cnf.accepts(request.proved):
            raise self._refusal("another_key", "bound to another key")
        return found

    async def _carry_out(self, decision: Decision, found: FoundFamily, request: TokenRequest) -> TokenResponse:
        """Mint what the decision allows, write what it changes. Raises Conflict if the family has moved."""
        match decision:
            case Rotate(after=after):
                return await self._answered(after, after, found, request)
            case Refuse(reason=reason):
                if reason == "session_over":
                    await self._note_expiry(found, request.now)
                raise self._refusal(reason, reason)
            case Reuse(reason=reason, after=after):
                await self._write(found.family, after, request)
                raise self._refusal(reason, reason, outcome="reuse")
            case Keep(head=head, after=after):
                return await self._answered(head, after, found, request)
            case Repeat(head=head, after=after, bare=bare):
                if after is None:  # the few that write limit themselves, and may have to decide again
                    self._limit_repeats(found.family, request.now)
                return await self._answered(head, after, found, request, with_refresh_token=not bare)
            case Supersede(after=after):
                self._limit_repeats(found.family, request.now)
                return await self._answered(after, after, found, request)
            case _:
                assert_never(decision)

    async def _answered(
        self,
        head: Family,
        after: Family | None,
        before: FoundFamily,
        request: TokenRequest,
        *,
        with_refresh_token: bool = True,
    ) -> TokenResponse:
        if head.generation >= MAX_GENERATION:
            raise self._refusal("used_up", "the family has used up its generations")
        wanted = await self._issuing.narrowed(head.authorization, request.form)
        answer = await self._issuing.answer(
            head,
            wanted,
            request,
            with_refresh_token=with_refresh_token,
        )
        await self._write(before.family, after, request, session_used(before, self._session_policy, request.now))
        return answer

    async def _write(
        self, before: Family, after: Family | None, request: TokenRequest, used: tuple[Part, ...] = ()
    ) -> None:
        family: tuple[Part, ...] = ()
        events: tuple[Event, ...] = ()
        if after:
            family, events = (ReplaceFamily(after),), _news(before, after, request.support_id)
        else:  # the answer rests on what another request wrote
            await self._issuing.store.confirm(before.key, before.version)
        await commit(self._issuing.store, request.once, (*family, *used), events)
        for event in events:
            self._sink.emit(event)

    async def _note_expiry(self, found: FoundFamily, now: Instant) -> None:
        granted = found.family.authorization
        key = SessionKey.parse(granted.session_id or "")
        if key and found.session:
            await note_expiry(self._issuing.store, self._sink, key, granted.subject, found.session, now)

    def _refusal(self, reason: str, detail: str, *, outcome: str = "refused") -> InvalidGrant:
        self._meter.count("refreshes", outcome, reason)
        return InvalidGrant(REFUSED, detail=detail)

    def _limit_repeats(self, family: Family, now: Instant) -> None:
        wait = self._repeats.seconds_to_wait(family.key, family.parent or 0, now)
        if wait:
            raise SlowDown("This refresh token was repeated too often; wait a minute.", retry_after=wait)


def session_used(found: FoundFamily, policy: SessionPolicy, now: Instant) -> tuple[Part, ...]:
    """A refresh is a use of the session that the family ends with: nobody is signed out in the middle of work."""
    authorization = found.family.authorization
    key = SessionKey.parse(authorization.session_id or "") if authorization.ends_with_session else None
    life = found.session.slid(policy, now) if found.session else None
    return (SlideSession(key, life),) if key and life else ()


def _news(before: Family, after: Family, support_id: str) -> tuple[Event, ...]:
    """The events that this change added to the family's history, as the audit log is told them."""
    known = before.history
    if after.history is known:
        return ()
    new = [event for event in after.history if event not in known and event.name not in REMEMBERED_ONLY]
    return tuple(msgspec.structs.replace(event, support_id=support_id) for event in new)


def _less(form: Form, granted: Authorization) -> str:
    """What the request asks for where that is less than what was granted; empty where it is not."""
    named = form.get("scope")
    if not named and not form.resources:
        return ""
    scope, resources = set((named or "").split()), set(form.resources)
    asked = [" ".join(sorted(scope))] if scope and scope < set(granted.scope) else []
    asked += [f"at {' '.join(sorted(resources))}"] if resources and resources < set(granted.audience) else []
    return " ".join(asked)


def _retry_key_digest(form: Form) -> bytes | None:
    """The client's `retry_key` at rest; one with less than 128 bits counts as none (it only adds tolerance)."""
    retry_key = form.get("retry_key")
    if retry_key is None or len(retry_key) < RETRY_KEY_CHARACTERS:
        return None
    return hashlib.blake2b(retry_key.encode(), digest_size=16, person=b"retry key").digest()
