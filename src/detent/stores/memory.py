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
from detent.core.changes import (
    Changes,
    ConsumeRecord,
    EndSuspects,
    InsertApi,
    InsertClient,
    InsertFamily,
    InsertRecord,
    InsertUser,
    Part,
    RaiseServerEpoch,
    Record,
    RemoveApi,
    RemoveClient,
    RemoveUser,
    ReplaceApi,
    ReplaceClient,
    ReplaceFamily,
    ReplaceRecord,
    ReplaceUser,
)
from detent.core.client import Client
from detent.core.errors import Conflict
from detent.core.events import Event
from detent.core.family import Family
from detent.core.ids import ClientId, FamilyKey, Instant, Subject
from detent.core.people import User, canonical_username
from detent.ports import FoundFamily, Installation

_SWEEP_PORTION: Final = 200


class _Versioned(Protocol):
    @property
    def version(self) -> int: ...


Key = TypeVar("Key", str, FamilyKey, tuple[str, str])
Row = TypeVar("Row")
VersionedRow = TypeVar("VersionedRow", bound=_Versioned)


class MemoryStore:
    def __init__(self, store_id: str = "memory") -> None:
        self._installations = {"": Installation(store_id)}
        self._clients: dict[str, Client] = {}
        self._apis: dict[str, Api] = {}
        self._users: dict[str, User] = {}
        self._subjects: dict[str, str] = {}  # by canonical username
        self._cutoffs: dict[str, int] = {}  # by subject; outlives the user
        self._families: dict[FamilyKey, Family] = {}
        self._records: dict[tuple[str, str], Record] = {}
        self._events: list[Event] = []
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

    async def family(self, key: FamilyKey) -> FoundFamily | None:
        await asyncio.sleep(0)
        family = self._families.get(key)
        return FoundFamily(family, self._cutoffs.get(family.authorization.subject, 0)) if family else None

    async def record(self, kind: str, key: str) -> Record | None:
        await asyncio.sleep(0)
        return self._records.get((kind, key))

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
        self._events.extend(changes.events)

    async def sweep(self, now: Instant, *, retention: int) -> int:
        await asyncio.sleep(0)
        expired = (name for name, record in self._records.items() if record.expires_at <= now)
        ended = (key for key, family in self._families.items() if family.absolute_until <= now - retention)
        records, families = list(islice(expired, _SWEEP_PORTION)), list(islice(ended, _SWEEP_PORTION))
        for name in records:
            del self._records[name]
        for key in families:
            del self._families[key]
        return len(records) + len(families)

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
        asked = {
            key: family
            for key, family in self._families.items()
            if subject in (None, family.authorization.subject)
            and client_id in (None, family.authorization.client_id)
        }  # fmt: skip
        return _listed(asked, last, limit)

    async def events(
        self, *, about: str | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, Event]]:
        await asyncio.sleep(0)
        numbered = enumerate(self._events[after:], after + 1)
        return list(islice(((n, event) for n, event in numbered if about in (None, event.about)), limit))

    # Parts

    def _carry_out(self, part: Part) -> None:
        match part:
            case InsertFamily(new):
                self._insert(self._families, new.key, new)
            case ReplaceFamily(new):
                self._replace_family(new)
            case EndSuspects():
                self._end_suspects(part)
            case InsertRecord(new):
                self._insert(self._records, (new.kind, new.key), new)
            case ReplaceRecord(new):
                self._replace(self._records, (new.kind, new.key), new)
            case ConsumeRecord(kind, key, version, now):
                if self._remove(self._records, (kind, key), version).expires_at <= now:
                    raise Conflict
            case RaiseServerEpoch():
                present = self._installations[""]
                raised = msgspec.structs.replace(present, server_epoch=present.server_epoch + 1)
                self._put(self._installations, "", raised)
            case _:
                self._register(part)

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
        fixed = {"authorization": old.authorization, "absolute_until": old.absolute_until, "seed": old.seed}
        self._put(self._families, new.key, msgspec.structs.replace(new, **fixed))

    def _end_suspects(self, part: EndSuspects) -> None:
        whose = (part.subject, part.client_id)
        for key, family in list(self._families.items()):
            granted = family.authorization
            if family.suspected and family.status == "live" and whose == (granted.subject, granted.client_id):
                ended = msgspec.structs.replace(
                    family, status="revoked", ended_by=part.reason, version=family.version + 1
                )
                self._put(self._families, key, ended)

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


def _listed(rows: dict[Key, Row], after: Key, limit: int) -> list[Row]:
    return [rows[key] for key in sorted(key for key in rows if key > after)[:limit]]
