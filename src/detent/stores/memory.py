"""A store in memory: for tests, models and trying things out. Everything is lost with the process.

Every verb gives way to the loop once, so that requests interleave as they do over a disk; what it then does, it
does at once, so a reader never sees half of a `Changes`. A part that conflicts undoes the parts before it.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final, Protocol, TypeVar, assert_never

import msgspec

from detent.core.api import Api
from detent.core.audit import AuditLink, AuditRow
from detent.core.authorization import Epochs
from detent.core.changes import (
    AppendLink,
    Beat,
    Changes,
    ConsumeRecord,
    EndFamilies,
    EndSessions,
    Identify,
    InsertApi,
    InsertClient,
    InsertFamily,
    InsertRecord,
    InsertSession,
    InsertUser,
    InsertWebhook,
    Part,
    PruneLink,
    RaiseServerEpoch,
    Record,
    RecordName,
    RemoveApi,
    RemoveClient,
    RemoveConsent,
    RemoveUser,
    RemoveWebhook,
    ReplaceApi,
    ReplaceClient,
    ReplaceFamily,
    ReplaceRecord,
    ReplaceSession,
    ReplaceUser,
    ReplaceWebhook,
    Restored,
    SaveConsent,
    SetClock,
    SlideSession,
    TurnKeys,
)
from detent.core.client import Client
from detent.core.consent import Consent
from detent.core.errors import Conflict
from detent.core.events import Event
from detent.core.family import Family
from detent.core.ids import ClientId, FamilyKey, Instant, SessionKey, Subject
from detent.core.people import User, canonical_username
from detent.core.session import Session
from detent.core.webhook import Webhook
from detent.core.wrapped_key import WrappedKey, WrappedKeys
from detent.ports import FoundFamily, FoundSession, Installation, Pulse
from detent.stores.rows import json_of

_SWEEP_PORTION: Final = 200


class _Versioned(Protocol):
    @property
    def version(self) -> int: ...


Key = TypeVar("Key", str, int, FamilyKey, SessionKey, tuple[str, str], tuple[int, FamilyKey])
Row = TypeVar("Row")
VersionedRow = TypeVar("VersionedRow", bound=_Versioned)


class MemoryStore:
    gapless = True

    def __init__(self, store_id: str = "memory") -> None:
        self._installations = {"": Installation(store_id)}
        self._pulses = {"": Pulse()}
        self._clients: dict[str, Client] = {}
        self._apis: dict[str, Api] = {}
        self._users: dict[str, User] = {}
        self._subjects: dict[str, str] = {}  # by canonical username
        self._cutoffs: dict[str, int] = {}  # by subject; outlives the user
        self._families: dict[FamilyKey, Family] = {}
        self._sessions: dict[SessionKey, Session] = {}
        self._consents: dict[tuple[str, str], Consent] = {}
        self._records: dict[RecordName, Record] = {}
        self._events: dict[int, Event] = {}
        self._last_event = 0
        self._links: dict[int, AuditLink] = {}
        self._webhooks: dict[str, Webhook] = {}
        self._keys: dict[tuple[str, str], WrappedKey] = {}
        self._before: list[tuple[dict[Any, Any], Any, Any]] = []  # rows that the apply under way has changed

    async def close(self) -> None:
        """Nothing is open."""

    # Store

    async def client(self, client_id: str) -> Client | None:
        await asyncio.sleep(0)
        return self._clients.get(client_id)

    async def api(self, identifier: str) -> Api | None:
        await asyncio.sleep(0)
        return self._apis.get(identifier)

    async def installation(self) -> Installation:
        await asyncio.sleep(0)
        return self._installations[""]

    async def family(self, key: FamilyKey, *, unless: RecordName | None = None) -> FoundFamily | None:
        await asyncio.sleep(0)
        family = self._families.get(key)
        return self._found(family) if family and unless not in self._records else None

    def _found(self, family: Family) -> FoundFamily:
        sid = SessionKey.parse(family.authorization.session_id or "")
        session = self._sessions.get(sid) if sid else None
        user_epoch = self._cutoffs.get(family.authorization.subject, 0)
        return FoundFamily(family, user_epoch, session.life if session else None)

    async def session(self, key: SessionKey) -> FoundSession | None:
        await asyncio.sleep(0)
        session = self._sessions.get(key)
        return FoundSession(session, self._cutoffs.get(session.subject, 0)) if session else None

    async def consent(self, subject: Subject, client_id: ClientId) -> Consent | None:
        await asyncio.sleep(0)
        return self._consents.get((subject, client_id))

    async def record(self, kind: str, key: str) -> Record | None:
        await asyncio.sleep(0)
        return self._records.get((kind, key))

    async def confirm(self, key: FamilyKey, version: int) -> None:
        await asyncio.sleep(0)

    async def apply(self, changes: Changes) -> None:
        await asyncio.sleep(0)
        self._before = []
        try:
            for part in changes.parts:
                self._carry_out(part)
        except BaseException:
            for rows, key, row in reversed(self._before):
                _set(rows, key, row)
            raise
        for event in changes.events:
            self._last_event += 1
            self._events[self._last_event] = event

    async def sweep(self, now: Instant, *, retention: int) -> int:
        await asyncio.sleep(0)
        expired = (name for name, record in self._records.items() if record.expires_at <= now)
        ended = (key for key, family in self._families.items() if family.absolute_until <= now - retention)
        over = (sid for sid, session in self._sessions.items() if session.life.absolute_until <= now - retention)
        records, families = list(islice(expired, _SWEEP_PORTION)), list(islice(ended, _SWEEP_PORTION))
        sessions = list(islice(over, _SWEEP_PORTION))
        for name in records:
            del self._records[name]
        for key in families:
            del self._families[key]
        for sid in sessions:
            del self._sessions[sid]
        return len(records) + len(families) + len(sessions)

    # Directory

    async def user(self, subject: str) -> User | None:
        await asyncio.sleep(0)
        return self._users.get(subject)

    async def user_by_name(self, username: str) -> User | None:
        await asyncio.sleep(0)
        return self._users.get(self._subjects.get(canonical_username(username), ""))

    async def clients(self, *, after: str = "", limit: int = 100) -> Sequence[Client]:
        await asyncio.sleep(0)
        return _listed(self._clients, after, limit)

    async def apis(self, *, after: str = "", limit: int = 100) -> Sequence[Api]:
        await asyncio.sleep(0)
        return _listed(self._apis, after, limit)

    async def users(self, *, after: str = "", limit: int = 100) -> Sequence[User]:
        await asyncio.sleep(0)
        return _listed(self._users, after, limit)

    async def families(
        self, *, subject: Subject | None = None, client_id: ClientId | None = None, after: str = "", limit: int = 100
    ) -> Sequence[Family]:
        await asyncio.sleep(0)
        last = FamilyKey.parse(after) if after else FamilyKey(-1, b"")
        if last is None:  # no family has such a name, so none follows it
            return []
        ended = self._families[last].absolute_until if last in self._families else 0
        asked: dict[tuple[int, FamilyKey], Family] = {
            (family.absolute_until, key): family
            for key, family in self._families.items()
            if subject in (None, family.authorization.subject)
            and client_id in (None, family.authorization.client_id)
        }  # fmt: skip
        return _listed(asked, (ended, last), limit)

    async def sessions(self, subject: Subject) -> Sequence[Session]:
        await asyncio.sleep(0)
        found = [session for session in self._sessions.values() if session.subject == subject]
        return sorted(found, key=lambda session: (-session.life.last_used_at, session.sid))[:200]

    async def records(self, kind: str, *, after: str = "", limit: int = 1000) -> Sequence[Record]:
        await asyncio.sleep(0)
        keys = sorted(key for each, key in self._records if each == kind and key > after)
        return [self._records[kind, key] for key in keys[:limit]]

    async def consents(self, subject: Subject) -> Sequence[Consent]:
        await asyncio.sleep(0)
        return [self._consents[key] for key in sorted(self._consents) if key[0] == subject]

    async def ended(self, numbers: range, now: Instant) -> Sequence[int]:
        await asyncio.sleep(0)
        numbered = [(family.authorization.number, family) for family in self._families.values()]
        return sorted(n for n, family in numbered if n is not None and n in numbers and self._over(family, now))

    async def events(
        self, *, about: str | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, Event]]:
        await asyncio.sleep(0)
        numbers = (n for n in range(after + 1, self._last_event + 1) if n in self._events)
        numbered = ((n, self._events[n]) for n in numbers)
        return list(islice(((n, event) for n, event in numbered if about in (None, _told_under(event))), limit))

    async def audit_rows(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditRow]:
        found = await self.events(after=after, limit=limit)
        return [AuditRow(seq, event.at, event.name, event.about, json_of(event)) for seq, event in found]

    async def audit_rows_between(self, after: int, until: int, *, limit: int = 100) -> Sequence[AuditRow]:
        return await self.audit_rows(after=max(after, 0), limit=max(min(limit, until - max(after, 0)), 0))

    async def audit_links(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditLink]:
        await asyncio.sleep(0)
        return _listed(self._links, after, limit)

    async def pulse(self) -> Pulse:
        await asyncio.sleep(0)
        return self._pulses[""]

    async def last_link(self) -> AuditLink | None:
        await asyncio.sleep(0)
        return self._links[max(self._links)] if self._links else None

    async def webhooks(self) -> Sequence[Webhook]:
        await asyncio.sleep(0)
        return [self._webhooks[name] for name in sorted(self._webhooks)]

    async def wrapped_keys(self) -> WrappedKeys:
        await asyncio.sleep(0)
        return WrappedKeys(self._installations[""].keys_version, tuple(self._keys[name] for name in sorted(self._keys)))

    async def time(self) -> float | None:
        await asyncio.sleep(0)
        return None

    async def notices_who_hangs_up(self) -> bool:
        await asyncio.sleep(0)
        return True

    def _over(self, family: Family, now: Instant) -> bool:
        found, client = self._found(family), self._clients.get(family.authorization.client_id)
        if client is None or not client.enabled or family.status != "live" or found.session_over(now):
            return True
        present = Epochs(found.user_epoch, client.epoch, self._installations[""].server_epoch)
        return family.authorization.epochs.behind(present)

    # Parts

    def _carry_out(self, part: Part) -> None:
        match part:
            case InsertFamily():
                self._insert_family(part)
            case ReplaceFamily(new):
                self._replace_family(new)
            case EndFamilies():
                self._end_families(part)
            case InsertRecord() | ReplaceRecord() | ConsumeRecord():
                self._keep_record(part)
            case (
                RaiseServerEpoch() | AppendLink() | PruneLink() | InsertWebhook() | ReplaceWebhook() | RemoveWebhook()
            ):  # fmt: skip
                self._operate(part)
            case Beat() | SetClock() | Restored() | TurnKeys() | Identify():
                self._keep_installation(part)
            case InsertSession() | ReplaceSession() | SlideSession() | EndSessions() | SaveConsent() | RemoveConsent():
                self._sign_in(part)
            case _:
                self._register(part)

    def _keep_record(self, part: InsertRecord | ReplaceRecord | ConsumeRecord) -> None:
        match part:
            case InsertRecord(new):
                self._insert(self._records, (new.kind, new.key), new)
            case ReplaceRecord(new):
                self._replace(self._records, (new.kind, new.key), new)
            case ConsumeRecord(kind, key, version, now):
                if self._remove(self._records, (kind, key), version).expires_at <= now:
                    raise Conflict
            case _:
                assert_never(part)

    def _operate(
        self, part: RaiseServerEpoch | AppendLink | PruneLink | InsertWebhook | ReplaceWebhook | RemoveWebhook
    ) -> None:
        match part:
            case RaiseServerEpoch():
                present = self._installations[""]
                raised = msgspec.structs.replace(present, server_epoch=present.server_epoch + 1)
                self._put(self._installations, "", raised)
            case AppendLink(new):
                self._insert(self._links, new.number, new)
            case PruneLink():
                self._prune(part)
            case InsertWebhook(new):
                self._insert(self._webhooks, new.id, new)
            case ReplaceWebhook(new):
                self._replace(self._webhooks, new.id, new)
            case RemoveWebhook(name, version):
                self._remove(self._webhooks, name, version)
            case _:
                assert_never(part)

    def _keep_installation(self, part: Beat | SetClock | Restored | TurnKeys | Identify) -> None:
        match part:
            case Beat(at):
                last = self._pulses[""]
                self._put(self._pulses, "", Pulse(last.beats + 1, max(last.latest, at)))
            case SetClock(at):
                self._put(self._pulses, "", Pulse(self._pulses[""].beats, at))
            case Restored(restore_epoch):
                self._restored(restore_epoch)
            case TurnKeys():
                self._turn_keys(part)
            case Identify(new, old):
                present = self._installations[""]
                if present.identity != old:
                    raise Conflict
                self._put(self._installations, "", msgspec.structs.replace(present, identity=new))
            case _:
                assert_never(part)

    def _restored(self, restore_epoch: int) -> None:
        raised = msgspec.structs.replace(self._installations[""], restore_epoch=restore_epoch)
        self._put(self._installations, "", raised)
        for record in list(self._records):
            self._put(self._records, record, None)
        for key, session in list(self._sessions.items()):
            if not session.life.ended_by:
                life = msgspec.structs.replace(session.life, ended_by="restore")
                ended = msgspec.structs.replace(session, life=life, version=session.version + 1)
                self._put(self._sessions, key, ended)

    def _turn_keys(self, part: TurnKeys) -> None:
        present = self._installations[""]
        if present.keys_version != part.version:
            raise Conflict
        self._put(self._installations, "", msgspec.structs.replace(present, keys_version=part.version + 1))
        for key in part.put:
            self._put(self._keys, (key.purpose, key.id), key)
        for name in part.drop:
            if name not in self._keys:
                raise Conflict
            self._put(self._keys, name, None)

    def _prune(self, part: PruneLink) -> None:
        if part.number not in self._links:
            raise Conflict
        self._put(self._links, part.number, None)
        self._put(self._links, part.anchor.number, part.anchor)
        for seq in part.events:
            self._put(self._events, seq, None)

    def _sign_in(
        self, part: InsertSession | ReplaceSession | SlideSession | EndSessions | SaveConsent | RemoveConsent
    ) -> None:
        match part:
            case InsertSession(new):
                self._insert(self._sessions, new.key, new)
            case ReplaceSession(new):
                self._replace(self._sessions, new.key, new)
            case SlideSession(key, life):
                old = self._sessions.get(key)
                if old and not old.life.ended_by and old.life.idle_until <= life.idle_until:
                    slid = msgspec.structs.replace(old.life, last_used_at=life.last_used_at, idle_until=life.idle_until)
                    self._put(self._sessions, key, msgspec.structs.replace(old, life=slid))
            case EndSessions():
                self._end_sessions(part)
            case SaveConsent(new) if new.version == 1:
                self._insert(self._consents, (new.subject, new.client_id), new)
            case SaveConsent(new):
                self._replace(self._consents, (new.subject, new.client_id), new)
            case RemoveConsent(subject, client_id):
                self._put(self._consents, (subject, client_id), None)
            case _:
                assert_never(part)

    def _register(
        self,
        part: InsertClient | ReplaceClient | RemoveClient | InsertApi | ReplaceApi | RemoveApi
        | InsertUser | ReplaceUser | RemoveUser,
    ) -> None:  # fmt: skip
        match part:
            case InsertClient(new):
                self._insert(self._clients, new.client_id, new)
            case ReplaceClient(new):
                self._replace(self._clients, new.client_id, new)
            case RemoveClient(client_id, version):
                self._remove(self._clients, client_id, version)
            case InsertApi(new):
                self._insert(self._apis, new.identifier, new)
            case ReplaceApi(new):
                self._replace(self._apis, new.identifier, new)
            case RemoveApi(identifier, version):
                self._remove(self._apis, identifier, version)
            case InsertUser(new):
                self._insert_user(new)
            case ReplaceUser(new):
                self._replace_user(new)
            case RemoveUser(subject, version):
                gone = self._remove(self._users, subject, version)
                self._put(self._subjects, canonical_username(gone.username), None)
                self._put(self._cutoffs, subject, gone.epoch + 1)
            case _:
                assert_never(part)

    def _replace_family(self, new: Family) -> None:
        old = self._expected(self._families, new.key, new.version - 1)
        if old.status != "live":
            raise Conflict
        fixed = {"authorization": old.authorization, "absolute_until": old.absolute_until, "seed": old.seed}
        self._put(self._families, new.key, msgspec.structs.replace(new, **fixed))

    def _insert_family(self, part: InsertFamily) -> None:
        granted = part.family.authorization
        key = SessionKey.parse(granted.session_id or "")
        session = self._sessions.get(key) if key else None
        if part.in_session and (session is None or session.life.ended_by):
            raise Conflict
        if part.consented and (granted.subject, granted.client_id) not in self._consents:
            raise Conflict
        self._insert(self._families, part.family.key, part.family)

    def _end_families(self, part: EndFamilies) -> None:
        for key, family in list(self._families.items()):
            granted = family.authorization
            meant = (
                family.status == "live"
                and granted.subject == part.subject
                and part.client_id in (None, granted.client_id)
                and part.session_id in (None, granted.session_id)
                and (part.but_session_id is None or part.but_session_id != granted.session_id)
                and (part.which != "suspected" or family.suspected)
                and (part.which != "bound" or granted.ends_with_session)
            )
            if meant:
                ended = msgspec.structs.replace(
                    family, status="revoked", ended_by=part.reason, version=family.version + 1
                )
                self._put(self._families, key, ended)

    def _end_sessions(self, part: EndSessions) -> None:
        for key, session in list(self._sessions.items()):
            meant = (
                session.subject == part.subject
                and not session.life.ended_by
                and part.only in (None, session.sid)
                and (part.but is None or part.but != session.sid)
            )
            if meant:
                life = msgspec.structs.replace(session.life, ended_by=part.reason)
                self._put(self._sessions, key, msgspec.structs.replace(session, life=life, version=session.version + 1))

    def _insert_user(self, new: User) -> None:
        if new.subject in self._cutoffs:
            raise Conflict
        self._insert(self._users, new.subject, new)
        self._insert(self._subjects, canonical_username(new.username), new.subject)

    def _replace_user(self, new: User) -> None:
        old = self._expected(self._users, new.subject, new.version - 1)
        if new.epoch < old.epoch:
            raise Conflict
        self._put(self._users, new.subject, new)
        self._put(self._subjects, canonical_username(old.username), None)
        self._insert(self._subjects, canonical_username(new.username), new.subject)
        if new.epoch:
            self._put(self._cutoffs, new.subject, new.epoch)

    # Rows

    def _insert(self, rows: dict[Key, Row], key: Key, row: Row) -> None:
        if key in rows:
            raise Conflict
        self._put(rows, key, row)

    def _replace(self, rows: dict[Key, VersionedRow], key: Key, row: VersionedRow) -> None:
        self._expected(rows, key, row.version - 1)
        self._put(rows, key, row)

    def _remove(self, rows: dict[Key, VersionedRow], key: Key, version: int) -> VersionedRow:
        row = self._expected(rows, key, version)
        self._put(rows, key, None)
        return row

    def _expected(self, rows: dict[Key, VersionedRow], key: Key, version: int) -> VersionedRow:
        row = rows.get(key)
        if row is None or row.version != version:
            raise Conflict
        return row

    def _put(self, rows: dict[Key, Row], key: Key, row: Row | None) -> None:
        self._before.append((rows, key, rows.get(key)))
        _set(rows, key, row)


def _set(rows: dict[Any, Any], key: Any, row: Any) -> None:
    """None is no row."""
    if row is None:
        rows.pop(key, None)
    else:
        rows[key] = row


def _told_under(event: Event) -> str | None:
    return None if event.name == "family_created" else event.about


def _listed(rows: dict[Key, Row], after: Key, limit: int) -> list[Row]:
    return [rows[key] for key in sorted(key for key in rows if key > after)[:limit]]
