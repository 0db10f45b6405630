"""`Store` and `Directory` on one PostgreSQL database, shared by any number of processes."""

import asyncio
from collections.abc import Sequence
from typing import Final

import psycopg
from psycopg_pool import PoolTimeout

from detent.core.audit import AuditRow
from detent.core.changes import Changes, Restored
from detent.core.errors import StoreUnavailable
from detent.core.ids import FamilyKey
from detent.stores import rows
from detent.stores.backend import Backend
from detent.stores.migrations import known_migrations
from detent.stores.postgres.connection import Connection, check_pooler, check_server, new_pool
from detent.stores.postgres.migrations import migrate
from detent.stores.postgres.statements import Statements
from detent.stores.sql_store import SqlStore
from detent.stores.statements import Step

# A number is given out before its row is committed, so numbers are not in the order of commits. Transactions are:
# what was written by one that none under way can precede (whatever database of the server it is in) is settled.
_AFTER: Final = (  # where the row of that number is gone, from where it was
    "(written_by, seq) > "
    "(coalesce((SELECT written_by FROM event WHERE seq <= ? ORDER BY seq DESC LIMIT 1), '0'::xid8), ?) AND "
)
_IS_SETTLED: Final = "written_by < pg_snapshot_xmin(pg_current_snapshot())"
_ROWS: Final = "SELECT seq, at, name, about, body FROM event WHERE "
_SETTLED: Final = _ROWS + "{after}" + _IS_SETTLED + " ORDER BY written_by, seq LIMIT ?"
_BETWEEN: Final = _ROWS + "seq > ? AND seq <= ? AND " + _IS_SETTLED + " ORDER BY seq LIMIT ?"
_ORDERED_BY_NUMBER: Final = "UPDATE event SET written_by = '0'"
_UNSETTLED: Final = "SELECT 1 FROM event WHERE written_by >= pg_snapshot_xmin(pg_current_snapshot()) LIMIT 1"
_TIME: Final = "SELECT extract(epoch FROM clock_timestamp())::double precision"
_LOOKS_EVERY: Final = "SELECT current_setting('client_connection_check_interval')"
_EMPTY: Final = (
    "SELECT pg_logical_emit_message(true, 'detent', '') FROM family "
    "WHERE placement = ? AND id = ? AND version = ? AND status = 'live'"
)
_PAUSES: Final = (0.005, 0.02, 0.1, 0.4)  # seconds in which what is committed is usually settled


class PostgresStore(SqlStore):
    gapless = False

    def __init__(self, backend: Backend, *, remembered: int, replicated: bool = False) -> None:
        super().__init__(backend, remembered=remembered)
        self._replicated = replicated

    @classmethod
    async def open(
        cls,
        conninfo: str,
        *,
        replicated: bool = False,
        connections: int = 10,
        opening: float = 5.0,
        patience: float = 5.0,
        waiting: int = 10_000,
        remembered: int = 10_000,
    ) -> "PostgresStore":
        """Open the database and bring its schema up to date. Raises StoreUnavailable with what to do.

        `replicated`: refuse a primary without synchronous standbys. `opening`: seconds in which a server may still come
        up. `patience`: seconds until an outcome counts as unknown; `waiting`: requests that may queue for one of the
        `connections`.
        """
        pool = new_pool(conninfo, connections=connections, waiting=waiting, patience=patience)
        try:
            await pool.open(wait=True, timeout=opening)
            async with pool.connection() as connection:
                await check_server(connection, replicated=replicated)
            if connections > 1:
                await check_pooler(pool)
            async with pool.connection() as connection:
                await migrate(connection, known_migrations("postgres"))
                await _refuse_moved(connection)
        except (psycopg.Error, PoolTimeout, StoreUnavailable) as error:
            await pool.close()
            if isinstance(error, StoreUnavailable):
                raise
            raise StoreUnavailable(f"PostgreSQL cannot be opened: {error}") from error
        return cls(Statements(pool, patience=patience, waiting=waiting), remembered=remembered, replicated=replicated)

    async def confirm(self, key: FamilyKey, version: int) -> None:
        """Commits wait for the standbys in their order: once this empty one is there, so is what its server had before.

        That may be another server than the one that was read, so the row is looked for in the same statement.
        """
        if self._replicated:
            await self._backend.write([Step(_EMPTY, (key.placement, key.id, version))])

    async def apply(self, changes: Changes) -> None:
        """A restored log may come from another server, whose transactions say nothing of the order here."""
        if any(isinstance(part, Restored) for part in changes.parts):
            await self._backend.write([Step(_ORDERED_BY_NUMBER, (), least=0)])
        await super().apply(changes)

    async def time(self) -> float | None:
        [(seconds,)] = await self._backend.read(_TIME, ())
        return float(seconds)

    async def notices_who_hangs_up(self) -> bool:
        [(interval,)] = await self._backend.read(_LOOKS_EVERY, ())
        return str(interval) != "0"

    async def audit_rows(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditRow]:
        """Of the whole log only what is settled, which a long transaction anywhere on the server can delay."""
        for pause in _PAUSES:
            if not await self._backend.read(_UNSETTLED, ()):
                break
            await asyncio.sleep(pause)
        text = _SETTLED.format(after=_AFTER if after else "")
        found = await self._backend.read(text, (*([after, after] if after else []), limit))
        return [rows.audit_row(row) for row in found]

    async def audit_rows_between(self, after: int, until: int, *, limit: int = 100) -> Sequence[AuditRow]:
        return [rows.audit_row(row) for row in await self._backend.read(_BETWEEN, (after, until, limit))]


async def _refuse_moved(connection: Connection) -> None:
    cursor = await connection.execute("SELECT moved FROM installation")
    [(home,)] = await cursor.fetchall()
    if home:
        raise StoreUnavailable(
            f"The move into this database was undone: the store is in {home} again. Take the setting `store` out to "
            "serve that one (if it says that it is not there, give `detent migrate --to ADDRESS --undo` again), or "
            "name another database."
        )
