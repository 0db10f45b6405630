"""Carrying out statements, and the three ways in which that ends: done, refused, or unknown.

Unknown is a commit whose acknowledgement did not come: the connection broke, the deadline passed, or the server
warned that it gave up waiting for its standbys. It may have happened. It is `StoreUnavailable`, its connection is
never used again, and nothing here asks a second time: a second attempt would find its own first one and take it for
somebody else's. Only what PostgreSQL says it undid (deadlock, serialization) is done again.
"""

import asyncio
import os
import re
import select
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import nullcontext, suppress
from functools import lru_cache, partial
from itertools import count
from time import monotonic
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors
from psycopg.errors import Diagnostic
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from detent.core.errors import Conflict, StoreUnavailable
from detent.stores import sql
from detent.stores.backend import Counters, Work
from detent.stores.postgres.connection import Connection, Pool
from detent.stores.postgres.gathered import (
    FOUND,
    FOUND_UNLESS,
    READ,
    REPLACED,
    asked_in_json,
    gathered,
    in_arrays,
    replaced_in_json,
)
from detent.stores.postgres.standbys import Standbys
from detent.stores.postgres.together import Together, refusal
from detent.stores.rows import Row, Value
from detent.stores.statements import Step

_UNDONE: Final = (errors.SerializationFailure, errors.DeadlockDetected)
_UNFIT: Final = (errors.DataError, errors.IntegrityError)  # what a value is called that no column can hold
_ATTEMPTS: Final = 5
_LOG: Final = "INSERT INTO event "
_OF_FAMILIES: Final = (sql.FAMILY, sql.FAMILY_UNLESS)

T = TypeVar("T")
Found = TypeVar("Found")
Asked = tuple[str, tuple[Value, ...]]  # a statement and its values


class Statements:
    """`changed_since` says whether a process registered anything; `noting` is how this one says that it did."""

    changed_since = "SELECT registrations FROM installation WHERE NOT pg_is_in_recovery()"
    noting: tuple[Step, ...] = (Step("UPDATE installation SET registrations = registrations + 1", ()),)

    def __init__(self, pool: Pool, *, patience: float, waiting: int) -> None:
        self.counters = Counters()
        self.work = Work()
        self._pool = pool
        self._patience = patience
        self._standbys = Standbys(patience=patience)
        self._under_way: set[asyncio.Task[Any]] = set()
        self._families = Together(self._found, waiting=waiting)
        self._turns = Together(self._replaced, waiting=waiting)
        self._turns.take_turns_with(self._families)
        self._rows = Together(self._read_all, waiting=waiting)
        self._inserts = Together(self._inserted, waiting=waiting)
        self._together: tuple[Together[Any, Any], ...] = (self._families, self._turns, self._rows, self._inserts)

    @property
    def waiting(self) -> int:
        asked = sum(each.waiting for each in self._together)
        return asked + self._pool.get_stats().get("requests_waiting", 0)

    def read(self, text: str, values: tuple[Value, ...]) -> Awaitable[list[Row]]:
        if text in _OF_FAMILIES:
            return self._families.ask(values)
        if text in READ:
            return self._rows.ask((text, values))
        return self._kept(self._read((text, values)))

    def write(
        self, steps: Sequence[Step], committed: Callable[[], None] | None = None, *, only_ends: bool = False
    ) -> Awaitable[int]:
        """All steps or none; the answer is how many rows they changed. A caller that leaves takes nothing back."""
        if committed is None and len(steps) == 1 and steps[0].text is sql.REPLACE_FAMILY:
            return self._turns.ask(steps[0])
        if committed is None and all(step.least and step.text.startswith("INSERT") for step in steps):
            return self._inserts.ask(steps)

        async def work() -> int:
            try:
                return await self._write(steps)
            finally:
                if committed:
                    committed()

        return self._kept(work())

    async def close(self) -> None:
        for each in self._together:
            await each.finish()
        while self._under_way:
            await asyncio.wait(self._under_way)
        await self._pool.close()

    async def _write(self, steps: Sequence[Step]) -> int:
        for attempt in range(_ATTEMPTS):
            try:
                return await self._written(partial(self._carry_out, steps, 1))
            except _Undone as undone:
                if attempt == _ATTEMPTS - 1:
                    raise StoreUnavailable(f"The store could not answer: {undone}") from undone
        raise AssertionError

    async def _read(self, asked: Asked) -> list[Row]:
        text, values = asked
        if _holds_nul(values):
            return []
        if text is not self.changed_since:
            self.counters.count(text)

        async def work(connection: Connection) -> list[Row]:
            cursor = await connection.execute(numbered(text), values, binary=True)
            return await cursor.fetchall()

        return await self._on_a_connection(work)

    async def _read_all(self, asked: Sequence[Asked]) -> Sequence[list[Row] | Exception]:
        """On one connection, in one statement for each kind, without a wait in between."""
        if len(asked) > 1:
            with suppress(_Undone, ValueError):  # then each for itself
                found = await self._read_together(asked)
                self.counters.reads += len(asked)
                return found
        return await _each(self._read, asked)

    async def _read_together(self, asked: Sequence[Asked]) -> Sequence[list[Row]]:
        kinds: dict[str, list[tuple[int, tuple[Value, ...]]]] = {}
        for number, (text, values) in enumerate(asked):
            kinds.setdefault(text, []).append((number, values))
        questions = [(READ[text], asked_in_json(those)) for text, those in kinds.items()]

        async def work(connection: Connection) -> list[Row]:
            async with connection.pipeline() if len(questions) > 1 else nullcontext():
                cursors = [await connection.execute(text, (those,), binary=True) for text, those in questions]
            return [row for cursor in cursors for row in await cursor.fetchall()]

        found: list[list[Row]] = [[] for _ in asked]
        for number, *row in await self._on_a_connection(work):
            found[number].append(tuple(row))
        return found

    async def _inserted(self, writes: Sequence[Sequence[Step]]) -> Sequence[int | Exception]:
        """In one transaction, unless one of them is not to be: then each half in its own, down to that one."""
        if len(writes) == 1:
            return await _each(self._write, writes)
        with suppress(_Undone, Conflict, ValueError):
            steps = gathered([step for write in writes for step in write])
            await self._written(partial(self._carry_out, steps, len(writes)))
            return [len(write) for write in writes]
        middle = len(writes) // 2
        first, last = await asyncio.gather(*map(self._half_inserted, (writes[:middle], writes[middle:])))
        return [*first, *last]

    async def _half_inserted(self, writes: Sequence[Sequence[Step]]) -> Sequence[int | Exception]:
        """What became of it, whatever becomes of the other half."""
        try:
            return await self._inserted(writes)
        except StoreUnavailable as error:
            return [refusal(error) for _ in writes]

    async def _found(self, asked_for: Sequence[tuple[Value, ...]]) -> Sequence[list[Row]]:
        """Each is a placement and an id; then, if it is asked for so, the kind and key of a record."""
        unless = [(None, None) if _holds_nul(values) else values[2:] or (None, None) for values in asked_for]
        text = FOUND
        values: tuple[Any, ...] = in_arrays(asked_for)
        if any(kind for kind, _ in unless):
            text, values = FOUND_UNLESS, (*values, [kind for kind, _ in unless], [key for _, key in unless])

        async def work(connection: Connection) -> list[Row]:
            cursor = await connection.execute(text, values, binary=True)
            return await cursor.fetchall()

        self.counters.reads += len(asked_for)
        found: list[list[Row]] = [[] for _ in asked_for]
        for asked, *row in await self._on_a_connection(work):
            found[asked - 1].append(tuple(row))
        return found

    async def _replaced(self, steps: Sequence[Step]) -> Sequence[int | Exception]:
        """Rows are locked in one order everywhere. What is undone for the sake of one is done again one by one."""
        order = sorted(range(len(steps)), key=lambda number: steps[number].values[-3:-1])
        families = replaced_in_json(steps[number].values for number in order)

        async def work(connection: Connection) -> list[Row]:
            cursor = await connection.execute(REPLACED, (families,))
            return await cursor.fetchall()

        began = monotonic()
        try:
            changed = {order[asked - 1] for (asked,) in await self._written(work)}
        except (_Undone, ValueError):
            return await _each(self._write, [[step] for step in steps])
        self.counters.writes += len(steps)
        self._committed(len(steps), began)
        return [1 if number in changed else Conflict() for number in range(len(steps))]

    async def _carry_out(self, steps: Sequence[Step], writes: int, connection: Connection) -> int:
        began, changed = monotonic(), 0
        # Last what draws a number: one that was drawn for what is then undone would leave a gap in the log.
        events = [step for step in steps if step.text.startswith(_LOG)]
        others = [step for step in steps if not step.text.startswith(_LOG)]
        async with nullcontext() if len(steps) == writes == 1 else connection.transaction():
            for portion in filter(None, (others, events)):
                changed += await _changed(connection, portion)
        for step in steps:
            self.counters.count(step.text, max(step.least, 1))
        self._committed(writes, began)
        return changed

    def _committed(self, writes: int, began: float) -> None:
        self.counters.commits += 1
        self.work.committed(writes, monotonic() - began)

    def _kept(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Run to its end, whatever becomes of whoever waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return asyncio.shield(task)

    async def _written(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async def expected(connection: Connection) -> T:
            await self._standbys.expected(connection)
            return await work(connection)

        try:
            return await self._on_a_connection(expected)
        except StoreUnavailable:
            self._standbys.suspected = True
            raise

    async def _on_a_connection(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What `work` says; one deadline for connection and answer. Raises StoreUnavailable, Conflict, ValueError."""
        deadline = asyncio.get_running_loop().time() + self._patience
        connection = await self._connection(deadline)
        try:
            return await self._within_patience(connection, work, deadline)
        except errors.UniqueViolation as error:
            raise Conflict from error
        except _UNDONE as error:
            raise _Undone(str(error)) from error
        except _UNFIT as error:
            raise ValueError(f"The schema does not allow this value: {error}") from error
        except (psycopg.Error, OSError) as error:
            raise StoreUnavailable(f"The store could not answer: {error}") from error

    async def _connection(self, deadline: float) -> Connection:
        """One whose server has not gone away since: else every restart would cost each connection a request."""
        while True:
            try:
                connection = await self._pool.getconn(deadline - asyncio.get_running_loop().time())
            except (PoolTimeout, TooManyRequests, PoolClosed, psycopg.Error) as error:
                raise StoreUnavailable(f"No connection to PostgreSQL: {error}") from error
            if not _has_been_hung_up(connection):
                return connection
            await connection.close()
            await self._pool.putconn(connection)

    async def _within_patience(
        self, connection: Connection, work: Callable[[Connection], Awaitable[T]], deadline: float
    ) -> T:
        """The connection goes back to the pool only if its last outcome is known."""
        said: list[str | None] = []

        def hear(notice: Diagnostic) -> None:
            said.append(notice.severity_nonlocalized)  # read now: what it is of does not outlive this call

        connection.add_notice_handler(hear)
        end = asyncio.get_running_loop().call_at(deadline, _hang_up, connection)
        try:
            found = await work(connection)
            if "WARNING" in said:
                await connection.close()
                raise StoreUnavailable("PostgreSQL warned that the commit may not be on its standbys.")
            return found
        finally:
            end.cancel()
            connection.remove_notice_handler(hear)
            await self._pool.putconn(connection)


class _Undone(Exception):
    """PostgreSQL undid it all, and says so."""


async def _changed(connection: Connection, steps: Sequence[Step]) -> int:
    """How many rows, without a wait between the steps. Raises Conflict where one must find its row and does not."""
    async with connection.pipeline() if len(steps) > 1 else nullcontext():
        cursors = [await connection.execute(numbered(step.text), step.values) for step in steps]
    changed = [cursor.rowcount for cursor in cursors]
    if any(rows < step.least for step, rows in zip(steps, changed, strict=True)):
        raise Conflict
    return sum(changed)


async def _each(carry_out: Callable[[T], Awaitable[Found]], asked: Iterable[T]) -> list[Found | Exception]:
    """By itself, on a connection of its own."""

    async def alone(what: T) -> Found | Exception:
        try:
            return await carry_out(what)
        except Exception as error:
            return error

    return await asyncio.gather(*map(alone, asked))


def _has_been_hung_up(connection: Connection) -> bool:
    """An idle server has nothing to say but its farewell."""
    if connection.closed:
        return True
    idle = select.poll()
    idle.register(connection.pgconn.socket, select.POLLIN)
    return bool(idle.poll(0))


def _hang_up(connection: Connection) -> None:
    """Not a cancel request: that ends the wait for the standbys and lets others see what they do not have."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.pgconn.socket)) as line:
        line.shutdown(socket.SHUT_RDWR)


def _holds_nul(values: tuple[Value, ...]) -> bool:
    """What no column can hold, so that no row has it."""
    return any(isinstance(value, str) and "\0" in value for value in values)


@lru_cache(maxsize=1000)
def numbered(text: str) -> bytes:
    """The same statement with the parameters of PostgreSQL: $1, $2 … for ?, or for ?1, ?2 …"""
    numbers = count(1)
    return re.sub(r"\?(\d*)", lambda mark: f"${mark[1] or next(numbers)}", text).encode()
