"""From the audit log to what is owed: whose sessions ended, and which apps are to be told so by a logout token.

Source: OpenID Connect Back-Channel Logout 1.0 §2.3: every app that was given an ID token in the session, as its
families say. Events are in the log with the commit of what they tell, so no end is lost (decision 0025). Of what was
told stands a mark, in the commit of what is owed: an event that is read again, by any node, owes nothing more.
Sending is logouts.py.
"""

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Final

import msgspec

from detent.core.audit import AuditRow, read_link
from detent.core.authorization import Epochs
from detent.core.changes import Changes, InsertRecord, Record, ReplaceRecord
from detent.core.claims import wants_id_token
from detent.core.client import BACKCHANNEL_LOGOUT_URI
from detent.core.errors import Conflict
from detent.core.events import SERVER, Event
from detent.core.family import Family
from detent.core.ids import ClientId, FamilyKey, Instant, Subject
from detent.core.logout import CURSOR, LOG, NEVER, WATCHED, OwedLogout
from detent.core.policy import DAY
from detent.core.session import Session, why_session_over
from detent.ports import Clock, Directory, Entropy, Store

log = logging.getLogger("detent.webhooks")

BY_OTHERS: Final = frozenset({"person", "operator"})  # whatever else ends a family, its session goes on
SETTLED: Final = 2  # seconds until every node has read the counter that a cut-off of everything raised
PORTION: Final = 500
UNWANTED: Final = 1000  # rows that may be read again after a restart
MARKED_FOR: Final = 400 * DAY  # beyond the end of the session, whose row is swept long before
MARK: Final = "logout_told"


class Endings:
    def __init__(self, store: Store, directory: Directory, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._entropy = entropy
        self._cursor: Record | None = None
        self._read_to = 0

    async def look(self) -> None:
        """At all that happened since the last time, on any node. Raises StoreUnavailable."""
        cursor = self._cursor or await self._stored_cursor()
        self._read_to = max(self._read_to, int(cursor.value))
        while rows := await self._directory.audit_rows(after=self._read_to, limit=PORTION):
            settled = list(takewhile(self._is_settled, rows))
            wanted = [row for row in settled if row.name in WATCHED]
            await self._note(wanted)
            self._read_to = settled[-1].seq if settled else self._read_to
            if wanted or self._read_to - int(cursor.value) >= UNWANTED:
                cursor = await self._moved(cursor)
            if len(settled) < len(rows):
                return

    async def _stored_cursor(self) -> Record:
        """At first where the chain ends: what came before was before anybody could want to be told."""
        if (stored := await self._store.record(CURSOR, LOG)) is None:
            link = await self._directory.last_link()
            linked = read_link(link) if link else None
            stored = Record(CURSOR, LOG, str(linked.last if linked else 0).encode(), NEVER)
            try:
                await self._store.apply(Changes((InsertRecord(stored),)))
            except Conflict:
                return await self._stored_cursor()
        self._cursor = stored
        return stored

    async def _moved(self, cursor: Record) -> Record:
        after = msgspec.structs.replace(cursor, value=str(self._read_to).encode(), version=cursor.version + 1)
        try:
            await self._store.apply(Changes((ReplaceRecord(after),)))
        except Conflict:
            return await self._stored_cursor()  # another node was here
        self._cursor = after
        return after

    def _is_settled(self, row: AuditRow) -> bool:
        fresh = self._clock.now() - row.at < SETTLED
        return not (fresh and row.name == "cut_off_raised" and row.about == SERVER)

    async def _note(self, rows: Sequence[AuditRow]) -> None:
        people: dict[Subject, None] = {}
        for row in rows:
            try:
                event = msgspec.json.decode(row.body, type=Event)
            except msgspec.MsgspecError:
                log.error("Event %d cannot be read: no app is told of what it ended.", row.seq)
                continue
            if event.name == "revoked":
                await self._family_ended(row.seq, event)
            elif event.name == "consent_withdrawn":
                await self._withdrawn(row.seq, event)
            elif event.subject:
                people[Subject(event.subject)] = None
            elif event.about == SERVER:
                people |= {subject: None async for subject in self._everybody()}
        for subject in people:
            await self._sessions_ended(subject)

    async def _sessions_ended(self, subject: Subject) -> None:
        sessions = {session.sid: session for session in await self._over(subject)}
        apps: dict[str, set[ClientId]] = {}
        if sessions:
            async for family in self._families(subject):
                if family.authorization.session_id in sessions:
                    apps.setdefault(family.authorization.session_id, set()).add(family.authorization.client_id)
        for sid, names in apps.items():
            await self._owe(sid, sessions[sid].life.absolute_until, subject, sid, names)

    async def _over(self, subject: Subject) -> list[Session]:
        user = await self._directory.user(subject)
        server = (await self._store.installation()).server_epoch
        now = self._clock.now()
        return [
            session
            for session in await self._directory.sessions(subject)
            if user is None or why_session_over(session, Epochs(user.epoch, 0, server), now)
        ]

    async def _family_ended(self, seq: int, event: Event) -> None:
        """One app of a session was ended by the person or an operator: it alone is told."""
        key = FamilyKey.parse(event.about) if event.reason in BY_OTHERS else None
        found = await self._store.family(key) if key else None
        granted = found.family.authorization if found else None
        if found and granted and granted.session_id and wants_id_token(granted.scope):
            until = found.family.absolute_until
            await self._owe(str(seq), until, granted.subject, granted.session_id, (granted.client_id,))

    async def _withdrawn(self, seq: int, event: Event) -> None:
        """An app lost its leave: it alone is told, of each session that goes on."""
        subject, app = Subject(event.subject), ClientId(event.client_id)
        over = {session.sid for session in await self._over(subject)}
        live = {session.sid: session for session in await self._directory.sessions(subject) if session.sid not in over}
        known = {each.authorization.session_id async for each in self._families(subject, app)}
        for sid in sorted(live.keys() & known):
            await self._owe(f"{seq}.{sid}", live[sid].life.absolute_until, subject, sid, (app,))

    async def _owe(self, mark: str, until: Instant, subject: Subject, sid: str, apps: Iterable[ClientId]) -> None:
        """One logout token to each of these apps that wants them; nothing where the mark stands already."""
        found = [await self._store.client(name) for name in sorted(apps)]
        names = [each.client_id for each in found if each and each.enabled and BACKCHANNEL_LOGOUT_URI in each.extra]
        if not names or await self._store.record(MARK, mark):
            return
        now = self._clock.now()
        owed = [OwedLogout(self._entropy.token_bytes(8).hex(), name, subject, sid, now) for name in names]
        told = Record(MARK, mark, b"", Instant(max(until, now) + MARKED_FOR))
        with suppress(Conflict):  # another node was faster
            await self._store.apply(Changes(tuple(map(InsertRecord, (told, *(each.due(now) for each in owed))))))

    async def _families(self, subject: Subject, app: ClientId | None = None) -> AsyncIterator[Family]:
        """Those that came with ID tokens."""
        after = ""
        while families := await self._directory.families(subject=subject, client_id=app, after=after, limit=PORTION):
            for family in families:
                if wants_id_token(family.authorization.scope):
                    yield family
            after = families[-1].key.text

    async def _everybody(self) -> AsyncIterator[Subject]:
        after = ""
        while users := await self._directory.users(after=after, limit=PORTION):
            for user in users:
                yield user.subject
            after = users[-1].subject
