"""Who is signed in with this browser: sessions found by their cookie, begun, kept alive, and ended.

Source: OpenID Connect Core §1.2, OpenID Connect Session Management (`sid`), ASVS 5 §7. The cookie holds the
session's key and a secret of 192 bits; the store holds a digest of the secret, so a leaked database signs nobody in.
How long a session lives is core/session.py; the cookie's name and flags are web/cookies.py. Rule: a session, what ends
with it and the event that tells of it are one commit.
"""

import hmac
import logging
from hashlib import blake2b
from typing import Final

from msgspec.structs import replace

from detent.core.authorization import Epochs
from detent.core.base64url import base64url, from_base64url
from detent.core.changes import (
    EndFamilies,
    EndSessions,
    InsertSession,
    Part,
    ReplaceSession,
    SlideSession,
    changed,
)
from detent.core.errors import Conflict, StoreUnavailable
from detent.core.events import Event, EventName
from detent.core.family import Origin
from detent.core.ids import Instant, SessionKey, Subject, placement_of
from detent.core.people import User
from detent.core.session import Session, SessionLife, SessionPolicy, acr_of, new_life, why_session_over
from detent.ports import Entropy, EventSink, Store

log = logging.getLogger("detent.identity")

_COOKIE_CHARACTERS: Final = 56  # of 42 bytes
_PLACEMENT_BYTES, _KEY_BYTES, _SECRET_BYTES = 2, 18, 24


class Sessions:
    def __init__(
        self, store: Store, entropy: Entropy, sink: EventSink, policy: SessionPolicy = SessionPolicy()
    ) -> None:
        self._store = store
        self._entropy = entropy
        self._sink = sink
        self._policy = policy

    async def find(self, cookie: str | None, now: Instant) -> Session | None:
        """The live session of this cookie value; what cannot be one costs no read."""
        raw = from_base64url(cookie) if cookie and len(cookie) == _COOKIE_CHARACTERS else None
        if raw is None:
            return None
        placement, id = int.from_bytes(raw[:_PLACEMENT_BYTES], "big"), raw[_PLACEMENT_BYTES:_KEY_BYTES]
        found = await self._store.session(SessionKey(placement, id))
        if found is None or not hmac.compare_digest(found.session.secret, _digest(raw[_KEY_BYTES:])):
            return None
        server_epoch = (await self._store.installation()).server_epoch
        over = why_session_over(found.session, Epochs(found.user_epoch, 0, server_epoch), now)
        await note_expiry(self._store, self._sink, found.session.key, found.session.subject, found.session.life, now)
        return None if over else found.session

    async def begin(
        self,
        user: User,
        now: Instant,
        *,
        request_origin: Origin,
        device: str,
        amr: tuple[str, ...],
        present: Session | None,
        support_id: str = "",
    ) -> tuple[Session, str]:
        """A session of this person who just proved who they are, and its cookie value.

        `present` is the live session of this browser. Of the same person it goes on under a new secret, and so do the
        families that end with it; another's ends.
        """
        secret = self._entropy.token_bytes(_SECRET_BYTES)
        server_epoch = (await self._store.installation()).server_epoch
        session = Session(
            SessionKey(placement_of(user.subject), self._entropy.token_bytes(16)),
            user.subject,
            _digest(secret),
            created_at=now,
            auth_time=now,
            amr=amr,
            acr=acr_of(amr),
            life=new_life(self._policy, now),
            epochs=Epochs(user.epoch, 0, server_epoch),
            origin=request_origin,
            device=device,
        )
        parts: tuple[Part, ...] = (InsertSession(session),)
        events: tuple[Event, ...] = (_event("signed_in", user.subject, now, device, request_origin, support_id),)
        if present and present.subject == user.subject:
            if again := await self._again(present, session, events):
                return again, _cookie(again, secret)
        elif present:
            parts += _ending(present, "replaced")
            why = "another person signed in"
            events += (_event("signed_out", present.subject, now, why, request_origin, support_id),)
        await self._commit(*parts, events=events)
        return session, _cookie(session, secret)

    async def _again(self, present: Session, session: Session, events: tuple[Event, ...]) -> Session | None:
        """The present session as the new one is, under its own name; None if it ended or changed since it was read."""
        again = replace(session, key=present.key, created_at=present.created_at, version=present.version + 1)
        try:
            await self._commit(ReplaceSession(again), events=events)
        except Conflict:
            return None
        return again

    async def touch(self, session: Session, now: Instant) -> None:
        """The session was used. A store that cannot write just now takes nothing from whoever only reads."""
        life = session.life.slid(self._policy, now)
        if life is None:
            return
        try:
            await self._store.apply(changed(SlideSession(session.key, life)))
        except StoreUnavailable as error:
            log.warning("the life of a session was not prolonged: %s", error)

    async def end(
        self, session: Session, now: Instant, reason: str, *, origin: Origin = Origin(), support_id: str = ""
    ) -> None:
        """Sign out of this browser: the session and every family that ends with it."""
        event = _event("signed_out", session.subject, now, reason, origin, support_id)
        await self._commit(*_ending(session, reason), events=(event,))

    async def sign_out(
        self,
        subject: Subject,
        now: Instant,
        *,
        only: str | None = None,
        but: str | None = None,
        by: str = "person",
        origin: Origin = Origin(),
        support_id: str = "",
    ) -> None:
        """End `only` this session (a `sid`), all `but` this one, or all of a person, with everything begun in them.

        That is every family, those too that outlive a session and, unless `only` is said, those that know of none.
        `by` is who wanted it: the person, or the operator.
        """
        placement = placement_of(subject)
        which = "one session" if only else "all other sessions" if but else "all sessions"
        which += "" if by == "person" else f", by the {by}"
        await self._commit(
            EndSessions(placement, subject, by, only=only, but=but),
            EndFamilies(placement, subject, by, session_id=only, but_session_id=but),
            events=(_event("signed_out", subject, now, which, origin, support_id),),
        )

    async def _commit(self, *parts: Part, events: tuple[Event, ...]) -> None:
        await self._store.apply(changed(*parts, events=events))
        for event in events:
            self._sink.emit(event)


async def note_expiry(
    store: Store, sink: EventSink, key: SessionKey, subject: Subject, life: SessionLife, now: Instant
) -> None:
    """The first to notice that a session ended by time writes it down: the audit log tells it, and apps are told.

    A store that cannot write just now takes nothing away: whoever comes next notices too.
    """
    if not (over := life.expired(now)):
        return
    event = _event("signed_out", subject, now, over, Origin(), "")
    try:
        await store.apply(changed(EndSessions(key.placement, subject, over, only=key.text), events=(event,)))
        sink.emit(event)
    except StoreUnavailable as error:
        log.warning("the end of a session was not written down: %s", error)


def _ending(session: Session, reason: str) -> tuple[Part, ...]:
    placement = session.key.placement
    return (
        EndSessions(placement, session.subject, reason, only=session.sid),
        EndFamilies(placement, session.subject, reason, "bound", session_id=session.sid),
    )


def _event(name: EventName, subject: Subject, now: Instant, reason: str, origin: Origin, support_id: str) -> Event:
    """About the person: so one read of the audit log tells when they came and went."""
    return Event(
        name,
        now,
        about=subject,
        subject=subject,
        reason=reason,
        network=origin.network,
        agent=origin.agent.hex(),
        support_id=support_id,
    )


def _cookie(session: Session, secret: bytes) -> str:
    return session.key.text + base64url(secret)


def _digest(secret: bytes) -> bytes:
    return blake2b(secret, digest_size=32, person=b"detent session").digest()
