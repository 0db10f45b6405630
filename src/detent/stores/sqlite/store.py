"""`Store` and `Directory` on one SQLite file.

A refresh is one SELECT and one UPDATE, and its COMMIT is shared with its tick. Clients, APIs and the installation
are answered from memory; whether another process wrote (the command line, say) is asked at most twice a second.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from detent.core.api import Api
from detent.core.changes import (
    Changes,
    InsertApi,
    InsertClient,
    Part,
    RaiseServerEpoch,
    Record,
    RemoveApi,
    RemoveClient,
    ReplaceApi,
    ReplaceClient,
)
from detent.core.client import Client
from detent.core.consent import Consent
from detent.core.events import Event
from detent.core.family import Family
from detent.core.ids import ClientId, FamilyKey, Instant, SessionKey, Subject, placement_of
from detent.core.people import User, canonical_username
from detent.core.session import Session
from detent.ports import FoundFamily, FoundSession, Installation
from detent.stores import rows, sql
from detent.stores.rows import Row
from detent.stores.sqlite.connection import open_connection
from detent.stores.sqlite.group_commit import Counters, GroupCommit
from detent.stores.sqlite.remembered import UNKNOWN, Name, Remembered
from detent.stores.statements import steps_of, sweep_steps

FRESH_SECONDS: Final = 0.5
_DATA_VERSION: Final = "PRAGMA data_version"
_INSTALLATION: Final[Name] = ("installation", "")


class SqliteStore:
    def __init__(self, group: GroupCommit, remembered: Remembered) -> None:
        """Use `open`."""
        self._group = group
        self._remembered = remembered
        self._loop = asyncio.get_running_loop()
        self._check: asyncio.Future[list[Row]] | None = None
        self._fresh_until = 0.0
        self._data_version: int | None = None

    @classmethod
    async def open(
        cls,
        path: Path | str,
        *,
        patience: float = 5.0,
        waiting: int = 10_000,
        remembered: int = 10_000,
        vfs: str | None = None,
    ) -> "SqliteStore":
        """Open or make the store; it belongs to the running loop. Raises StoreUnavailable with what to do.

        `patience`: seconds to wait for another process that writes; `waiting`: requests that may queue;
        `remembered`: rows in memory, and as many names that do not exist.
        """
        thread = ThreadPoolExecutor(1, thread_name_prefix="detent-commit")
        try:
            db = await asyncio.get_running_loop().run_in_executor(thread, lambda: open_connection(Path(path), vfs=vfs))
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(GroupCommit(db, thread, patience=patience, waiting=waiting), Remembered(remembered))

    async def close(self) -> None:
        """Finish what was asked for, then close the file; everything asked later is StoreUnavailable."""
        await self._group.close()

    @property
    def counters(self) -> Counters:
        return self._group.counters

    # Store

    async def client(self, client_id: str) -> Client | None:
        found: Client | None = await self._recall(("client", client_id), sql.CLIENT, (client_id,), rows.client)
        return found

    async def api(self, identifier: str) -> Api | None:
        found: Api | None = await self._recall(("api", identifier), sql.API, (identifier,), rows.api)
        return found

    async def installation(self) -> Installation:
        found: Installation = await self._recall(_INSTALLATION, sql.INSTALLATION, (), rows.installation)
        return found

    async def family(self, key: FamilyKey) -> FoundFamily | None:
        found = await self._group.read(sql.FAMILY, (key.placement, key.id))
        return rows.found_family(key, found[0]) if found else None

    async def session(self, key: SessionKey) -> FoundSession | None:
        found = await self._group.read(sql.SESSION, (key.placement, key.text))
        return rows.found_session(found[0]) if found else None

    async def consent(self, subject: Subject, client_id: ClientId) -> Consent | None:
        found = await self._group.read(sql.CONSENT, (placement_of(subject), subject, client_id))
        return rows.consent(found[0]) if found else None

    async def record(self, kind: str, key: str) -> Record | None:
        found = await self._group.read(sql.RECORD, (kind, key))
        return rows.record(kind, key, found[0]) if found else None

    async def apply(self, changes: Changes) -> None:
        names = [name for part in changes.parts if (name := _remembered_as(part))]
        committed = (lambda: self._remembered.forget(*names)) if names else None
        await self._group.write(steps_of(changes), committed)

    async def sweep(self, now: Instant, *, retention: int) -> int:
        return await self._group.write(sweep_steps(now, retention))

    # Directory

    async def user(self, subject: str) -> User | None:
        found = await self._group.read(sql.USER, (subject,))
        return rows.user(found[0]) if found else None

    async def user_by_name(self, username: str) -> User | None:
        found = await self._group.read(sql.USER_BY_NAME, (canonical_username(username),))
        return rows.user(found[0]) if found else None

    async def clients(self, *, after: str = "", limit: int = 100) -> Sequence[Client]:
        return [rows.client(row) for row in await self._group.read(sql.CLIENTS, (after, limit))]

    async def apis(self, *, after: str = "", limit: int = 100) -> Sequence[Api]:
        return [rows.api(row) for row in await self._group.read(sql.APIS, (after, limit))]

    async def users(self, *, after: str = "", limit: int = 100) -> Sequence[User]:
        return [rows.user(row) for row in await self._group.read(sql.USERS, (after, limit))]

    async def families(
        self, *, subject: Subject | None = None, client_id: ClientId | None = None, after: str = "", limit: int = 100
    ) -> Sequence[Family]:
        last = FamilyKey.parse(after) if after else FamilyKey(-1, b"")
        if last is None:  # no family has such a name, so none follows it
            return []
        of_subject = () if subject is None else (placement_of(subject), subject)
        of_client = () if client_id is None else (client_id,)
        text = sql.families(of_subject=subject is not None, of_client=client_id is not None)
        found = await self._group.read(text, (*of_subject, *of_client, last.placement, last.id, limit))
        return [rows.listed_family(row) for row in found]

    async def sessions(self, subject: Subject) -> Sequence[Session]:
        return [rows.session(row) for row in await self._group.read(sql.SESSIONS, (placement_of(subject), subject))]

    async def consents(self, subject: Subject) -> Sequence[Consent]:
        return [rows.consent(row) for row in await self._group.read(sql.CONSENTS, (placement_of(subject), subject))]

    async def events(
        self, *, about: str | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, Event]]:
        if about is None:
            found = await self._group.read(sql.EVENTS, (after, limit))
        else:
            found = await self._group.read(sql.EVENTS_ABOUT, (about, after, limit))
        return [(row[0], rows.event(row)) for row in found]

    # Memory

    async def _recall(self, name: Name, text: str, values: tuple[str, ...], read: Callable[[Row], Any]) -> Any:
        if self._loop.time() >= self._fresh_until:
            await self._freshness()
        known = self._remembered.get(name)
        if known is not UNKNOWN:
            return known
        # The loop runs this before it notices any later commit, ours or another's: nothing stale is remembered.
        found = await self._group.read(text, values)
        value = read(found[0]) if found else None
        self._remembered.put(name, value)
        return value

    def _freshness(self) -> asyncio.Future[list[Row]]:
        """One question for all who wait for it; none of them can cancel it for the others."""
        if self._check is None:
            self._check = self._group.read(_DATA_VERSION, ())
            self._check.add_done_callback(self._checked)
        return asyncio.shield(self._check)

    def _checked(self, check: asyncio.Future[list[Row]]) -> None:
        self._check = None
        if check.exception():
            return
        [(version,)] = check.result()
        if version != self._data_version:
            self._data_version = version
            self._remembered.forget_all()
        self._fresh_until = self._loop.time() + FRESH_SECONDS


def _remembered_as(part: Part) -> Name | None:
    match part:
        case InsertClient(client) | ReplaceClient(client):
            return "client", client.client_id
        case RemoveClient(client_id, _):
            return "client", client_id
        case InsertApi(api) | ReplaceApi(api):
            return "api", api.identifier
        case RemoveApi(identifier, _):
            return "api", identifier
        case RaiseServerEpoch():
            return _INSTALLATION
        case _:
            return None
