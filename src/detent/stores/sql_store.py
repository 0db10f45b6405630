"""`Store` and `Directory`, once for every database that carries out the statements of sql.py.

A refresh is one SELECT and one UPDATE. Clients, APIs and the installation are answered from memory; whether another
process registered anything (another node, the command line) is asked at most twice a second.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from detent.core.api import Api
from detent.core.audit import AuditLink, AuditRow
from detent.core.changes import (
    Changes,
    Identify,
    InsertApi,
    InsertClient,
    InsertFamily,
    InsertRecord,
    Part,
    RaiseServerEpoch,
    Record,
    RecordName,
    RemoveApi,
    RemoveClient,
    ReplaceApi,
    ReplaceClient,
    ReplaceFamily,
    Restored,
    TurnKeys,
)
from detent.core.client import Client
from detent.core.consent import Consent
from detent.core.errors import StoreUnavailable
from detent.core.events import Event
from detent.core.family import Family
from detent.core.ids import ClientId, FamilyKey, Instant, SessionKey, Subject, placement_of
from detent.core.people import User, canonical_username
from detent.core.session import Session
from detent.core.webhook import Webhook
from detent.core.wrapped_key import WrappedKeys
from detent.ports import FoundFamily, FoundSession, Installation, Pulse
from detent.stores import rows, sql
from detent.stores.backend import Backend, Counters, Work
from detent.stores.remembered import UNKNOWN, Name, Remembered
from detent.stores.rows import Row
from detent.stores.statements import steps_of, sweep_steps

FRESH_SECONDS: Final = 0.5
_JOINED_SECONDS: Final = 1.0
_NUMBERS_AT_ONCE: Final = 1024
_INSTALLATION: Final[Name] = ("installation", "")
_NEVER_REMEMBERED: Final = {ReplaceFamily, InsertFamily, InsertRecord}  # what nearly every write is of


class SqlStore:
    gapless = True

    def __init__(self, backend: Backend, *, remembered: int) -> None:
        """`remembered`: rows in memory, and as many names that do not exist."""
        self._backend = backend
        self._remembered = Remembered(remembered)
        self._loop = asyncio.get_running_loop()
        self._check: asyncio.Future[list[Row]] | None = None
        self._check_joined_until = 0.0
        self._fresh_until = 0.0
        self._version: Row | None = None

    async def close(self) -> None:
        """Finish what was asked for, then close; everything asked later is StoreUnavailable."""
        await self._backend.close()

    @property
    def counters(self) -> Counters:
        return self._backend.counters

    @property
    def work(self) -> Work:
        return self._backend.work

    @property
    def waiting(self) -> int:
        """How many reads and writes wait for their turn."""
        return self._backend.waiting

    # Store

    def client(self, client_id: str) -> Coroutine[Any, Any, Client | None]:
        return self._recall(("client", client_id), sql.CLIENT, (client_id,), rows.client)

    def api(self, identifier: str) -> Coroutine[Any, Any, Api | None]:
        return self._recall(("api", identifier), sql.API, (identifier,), rows.api)

    def installation(self) -> Coroutine[Any, Any, Installation]:
        return self._recall(_INSTALLATION, sql.INSTALLATION, (), rows.installation)

    async def family(self, key: FamilyKey, *, unless: RecordName | None = None) -> FoundFamily | None:
        text = sql.FAMILY_UNLESS if unless else sql.FAMILY
        found = await self._backend.read(text, (key.placement, key.id, *(unless or ())))
        return rows.found_family(key, found[0]) if found else None

    async def session(self, key: SessionKey) -> FoundSession | None:
        found = await self._backend.read(sql.SESSION, (key.placement, key.text))
        return rows.found_session(found[0]) if found else None

    async def consent(self, subject: Subject, client_id: ClientId) -> Consent | None:
        found = await self._backend.read(sql.CONSENT, (placement_of(subject), subject, client_id))
        return rows.consent(found[0]) if found else None

    async def record(self, kind: str, key: str) -> Record | None:
        found = await self._backend.read(sql.RECORD, (kind, key))
        return rows.record(kind, key, found[0]) if found else None

    async def confirm(self, key: FamilyKey, version: int) -> None:
        """Nobody reads here what is not on the disk."""

    async def apply(self, changes: Changes) -> None:
        names = [name for part in changes.parts if (name := _remembered_as(part))]
        steps, committed = steps_of(changes), None
        if names:
            steps, committed = [*steps, *self._backend.noting], lambda: self._remembered.forget(*names)
        await self._backend.write(steps, committed, only_ends=changes.only_ends)
        self.work.told(changes.events)

    async def sweep(self, now: Instant, *, retention: int) -> int:
        return await self._backend.write(sweep_steps(now, retention))

    # Directory

    async def user(self, subject: str) -> User | None:
        found = await self._backend.read(sql.USER, (subject,))
        return rows.user(found[0]) if found else None

    async def user_by_name(self, username: str) -> User | None:
        found = await self._backend.read(sql.USER_BY_NAME, (canonical_username(username),))
        return rows.user(found[0]) if found else None

    async def clients(self, *, after: str = "", limit: int = 100) -> Sequence[Client]:
        return [rows.client(row) for row in await self._backend.read(sql.CLIENTS, (after, limit))]

    async def apis(self, *, after: str = "", limit: int = 100) -> Sequence[Api]:
        return [rows.api(row) for row in await self._backend.read(sql.APIS, (after, limit))]

    async def users(self, *, after: str = "", limit: int = 100) -> Sequence[User]:
        return [rows.user(row) for row in await self._backend.read(sql.USERS, (after, limit))]

    async def families(
        self, *, subject: Subject | None = None, client_id: ClientId | None = None, after: str = "", limit: int = 100
    ) -> Sequence[Family]:
        last = FamilyKey.parse(after) if after else FamilyKey(-1, b"")
        if last is None:  # no family has such a name, so none follows it
            return []
        of_subject = () if subject is None else (placement_of(subject), subject)
        of_client = () if client_id is None else (client_id,)
        text = sql.families(of_subject=subject is not None, of_client=client_id is not None)
        last_key = (last.placement, last.id)
        found = await self._backend.read(text, (*of_subject, *of_client, *last_key, *last_key, limit))
        return [rows.listed_family(row) for row in found]

    async def sessions(self, subject: Subject) -> Sequence[Session]:
        return [rows.session(row) for row in await self._backend.read(sql.SESSIONS, (placement_of(subject), subject))]

    async def records(self, kind: str, *, after: str = "", limit: int = 1000) -> Sequence[Record]:
        found = await self._backend.read(sql.RECORDS, (kind, after, limit))
        return [rows.record(kind, row[0], row[1:]) for row in found]

    async def consents(self, subject: Subject) -> Sequence[Consent]:
        return [rows.consent(row) for row in await self._backend.read(sql.CONSENTS, (placement_of(subject), subject))]

    async def ended(self, numbers: range, now: Instant) -> Sequence[int]:
        """In portions, each of a few milliseconds: where the loop itself reads, nothing else happens meanwhile."""
        found: list[Row] = []
        for first in range(numbers.start, numbers.stop, _NUMBERS_AT_ONCE):
            found += await self._backend.read(sql.ENDED, (first, min(first + _NUMBERS_AT_ONCE, numbers.stop), now))
        return [number for (number,) in found]

    async def events(
        self, *, about: str | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, Event]]:
        if about is None:
            return [(row.seq, rows.event((row.body,))) for row in await self.audit_rows(after=after, limit=limit)]
        found = await self._backend.read(sql.EVENTS_ABOUT, (about, after, limit))
        return [(row[0], rows.event(row)) for row in found]

    async def audit_rows(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditRow]:
        return [rows.audit_row(row) for row in await self._backend.read(sql.AUDIT_ROWS, (after, limit))]

    async def audit_rows_between(self, after: int, until: int, *, limit: int = 100) -> Sequence[AuditRow]:
        found = await self._backend.read(sql.AUDIT_ROWS_BETWEEN, (after, until, limit))
        return [rows.audit_row(row) for row in found]

    async def audit_links(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditLink]:
        return [rows.audit_link(row) for row in await self._backend.read(sql.AUDIT_LINKS, (after, limit))]

    async def pulse(self) -> Pulse:
        [(beats, latest)] = await self._backend.read(sql.PULSE, ())
        return Pulse(beats, Instant(latest))

    async def last_link(self) -> AuditLink | None:
        found = await self._backend.read(sql.LAST_LINK, ())
        return rows.audit_link(found[0]) if found else None

    async def webhooks(self) -> Sequence[Webhook]:
        return [rows.webhook(row) for row in await self._backend.read(sql.WEBHOOKS, ())]

    async def wrapped_keys(self) -> WrappedKeys:
        return rows.wrapped_keys(await self._backend.read(sql.WRAPPED_KEYS, ()))

    async def time(self) -> float | None:
        return None

    async def notices_who_hangs_up(self) -> bool:
        return True

    # Memory

    async def _recall(self, name: Name, text: str, values: tuple[str, ...], read: Callable[[Row], Any]) -> Any:
        if self._loop.time() >= self._fresh_until and not await self._freshness():
            raise StoreUnavailable("This database answers from the past: it is not the primary.")
        known = self._remembered.get(name)
        if known is not UNKNOWN:
            return known
        forgotten = self._remembered.forgotten
        found = await self._backend.read(text, values)
        value = read(found[0]) if found else None
        if forgotten == self._remembered.forgotten:  # else it may be older than what was written meanwhile
            self._remembered.put(name, value)
        return value

    def _freshness(self) -> asyncio.Future[list[Row]]:
        """One question for all who wait for it; none of them can cancel it for the others.

        Who comes late asks anew: where the store was away, an old question runs out of patience before theirs does.
        """
        now = self._loop.time()
        if self._check is None or now >= self._check_joined_until:
            self._check = asyncio.ensure_future(self._change())  # never done before `_checked` was told
            self._check.add_done_callback(self._checked)
            self._check_joined_until = now + _JOINED_SECONDS
        return asyncio.shield(self._check)

    async def _change(self) -> list[Row]:
        return await self._backend.read(self._backend.changed_since, ())

    def _checked(self, check: asyncio.Future[list[Row]]) -> None:
        if self._check is check:
            self._check = None
        if check.cancelled() or check.exception() or not check.result():
            return
        [version] = check.result()
        if version != self._version:
            self._version = version
            self._remembered.forget_all()
        self._fresh_until = self._loop.time() + FRESH_SECONDS


def _remembered_as(part: Part) -> Name | None:
    if type(part) in _NEVER_REMEMBERED:
        return None
    match part:
        case InsertClient(client) | ReplaceClient(client):
            return "client", client.client_id
        case RemoveClient(client_id, _):
            return "client", client_id
        case InsertApi(api) | ReplaceApi(api):
            return "api", api.identifier
        case RemoveApi(identifier, _):
            return "api", identifier
        case RaiseServerEpoch() | Restored() | TurnKeys() | Identify():
            return _INSTALLATION
        case _:
            return None
