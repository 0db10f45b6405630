"""One connection, and one commit for all that a tick of the event loop asks for.

A read is carried out when it is asked for. Those of a tick share a transaction, which ends with it: they only ever see
what is committed, and all that was when their tick began, so when their requests came. The writes of the tick then
share one transaction, and only COMMIT, which waits for the disk, runs in a thread; what is asked for meanwhile waits
for the next pass. Every write is answered after its COMMIT, and a batch that fails answers all of its writes
with StoreUnavailable. The loop never waits for a lock: a busy file is tried again until patience ends.
"""

import asyncio
import errno
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

import apsw
import msgspec

from detent.core.errors import Conflict, StoreUnavailable
from detent.stores.backend import Counters, Work
from detent.stores.rows import Row, Value
from detent.stores.sqlite.reserve import Reserve
from detent.stores.statements import Step

log = logging.getLogger("detent.store")

_PORTION: Final = 256  # of each kind in one pass, so that a flood does not hold up the loop
_RETRY_AFTER: Final = 0.005
_TAKEN: Final = (apsw.SQLITE_CONSTRAINT_UNIQUE, apsw.SQLITE_CONSTRAINT_PRIMARYKEY)
_UNFIT: Final = (ValueError, TypeError, OverflowError)  # what a value is called that no column can hold


class _Read(msgspec.Struct):
    text: str
    values: tuple[Value, ...]
    answer: asyncio.Future[list[Row]]
    deadline: float


class _Write(msgspec.Struct):
    steps: Sequence[Step]
    committed: Callable[[], None] | None
    answer: asyncio.Future[int]
    deadline: float
    only_ends: bool
    outcome: int | Exception = 0


Asked = TypeVar("Asked", _Read, _Write)


class GroupCommit:
    """SQLite itself says whether another process wrote, so nothing is noted."""

    changed_since = "PRAGMA data_version"
    noting: tuple[Step, ...] = ()

    def __init__(
        self, db: apsw.Connection, thread: ThreadPoolExecutor, reserve: Reserve, *, patience: float, waiting: int
    ) -> None:
        self.counters = Counters()
        self.work = Work()
        self._db = db
        self._cursor = db.cursor()
        self._file = os.stat(db.filename)
        self._thread = thread
        self._reserve = reserve
        self._patience = patience
        self._most = waiting
        self._loop = asyncio.get_running_loop()
        self._reads: deque[_Read] = deque()
        self._writes: deque[_Write] = deque()
        self._due = False
        self._read_in_tick = 0
        self._committing = False
        self._retry: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None
        self._broken = ""

    @property
    def waiting(self) -> int:
        return len(self._reads) + len(self._writes)

    def read(self, text: str, values: tuple[Value, ...]) -> asyncio.Future[list[Row]]:
        deadline = self._admitted()
        read = _Read(text, values, self._loop.create_future(), deadline)
        if self._committing or self._reads or self._read_in_tick == _PORTION:
            self._reads.append(read)
        else:
            self._read_in_tick += 1
            self._carry_out_read(read)
        return read.answer

    def write(
        self, steps: Sequence[Step], committed: Callable[[], None] | None = None, *, only_ends: bool = False
    ) -> asyncio.Future[int]:
        deadline = self._admitted()
        answer: asyncio.Future[int] = self._loop.create_future()
        self._writes.append(_Write(steps, committed, answer, deadline, only_ends))
        return answer

    async def close(self) -> None:
        """Finish what was asked for, then close the file."""
        if self._drained is None:
            self._drained = self._loop.create_future()
            self._wake()
            await self._drained
            try:
                await self._loop.run_in_executor(self._thread, self._db.close)
            finally:
                self._thread.shutdown(wait=False)

    def _admitted(self) -> float:
        """Until when the request may wait for another process. Raises StoreUnavailable for one too many."""
        if self._drained is not None:
            raise StoreUnavailable("The store is closed.")
        if self._broken:
            raise StoreUnavailable(self._broken)
        if self.waiting >= self._most:
            raise StoreUnavailable(f"{self._most} requests wait for the store already.")
        self._wake()
        return self._loop.time() + self._patience

    def _wake(self) -> None:
        if not self._due and not self._committing:
            self._due = True
            self._loop.call_soon(self._pass)

    def _pass(self) -> None:
        self._due = False
        for read in _portion(self._reads):
            self._carry_out_read(read)
        self._read_in_tick = 0
        self._leave_transaction()
        if self._writes:
            self._carry_out_writes()
        if self._committing:
            return  # `_finish` goes on
        if (self._reads or self._writes) and self._retry is None:
            self._wake()
        if self._drained and not (self._reads or self._writes or self._drained.done()):
            self._drained.set_result(None)

    def _carry_out_read(self, read: _Read) -> None:
        if read.answer.done():  # nobody waits for it
            return
        try:
            if not self._db.in_transaction:
                self._cursor.execute("BEGIN")
            # Always to the end: a statement left open would keep its snapshot for the reads after it.
            found = self._cursor.execute(read.text, read.values).fetchall()
        except apsw.BusyError as error:
            self._try_again(self._reads, [read], error)
        except _UNFIT as error:
            read.answer.set_exception(error)
        except Exception as error:
            _refuse([read], error)
        else:
            self.counters.count(read.text)
            read.answer.set_result(found)

    def _carry_out_writes(self) -> None:
        batch = self._affordable(_portion(self._writes))
        if not batch:
            return
        began = self._loop.time()
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
            if not self._all_carried_out(batch):
                self._cursor.execute("ROLLBACK")
                self._cursor.execute("BEGIN IMMEDIATE")
                for write in batch:
                    write.outcome = self._by_itself(write.steps)
        except apsw.BusyError as error:
            self._leave_transaction()
            self._try_again(self._writes, batch, error)
        except Exception as error:  # SQLite may have undone more than the statement that failed
            self._failed(batch, error)
        else:
            self._committing = True
            commit = self._loop.run_in_executor(self._thread, self._commit)
            commit.add_done_callback(partial(self._finish, batch, began))

    def _all_carried_out(self, batch: Iterable[_Write]) -> bool:
        """False, and the rest is left, where one was half done: then all must be undone and done again by itself.

        To make each undoable from the start would be a twelfth of a code's cost: SQLite copies every page it changes.
        """
        for write in batch:
            changed, error = self._carried_out(write.steps)
            if changed and error:
                return False
            write.outcome = error or changed
        return True

    def _by_itself(self, steps: Sequence[Step]) -> int | Exception:
        """How many rows the steps changed, or why they changed none."""
        self._cursor.execute("SAVEPOINT part")
        changed, error = self._carried_out(steps)
        if error:
            self._cursor.execute("ROLLBACK TO part")
        self._cursor.execute("RELEASE part")
        return error or changed

    def _carried_out(self, steps: Iterable[Step]) -> tuple[int, Exception | None]:
        """How many rows they changed, up to the one that failed if one did."""
        changed = 0
        try:
            for step in steps:
                self.counters.count(step.text)
                self._cursor.execute(step.text, step.values)
                rows = self._db.changes()
                if rows < step.least:
                    return changed, Conflict()
                changed += rows
        except apsw.ConstraintError as error:
            taken = getattr(error, "extendedresult", 0) in _TAKEN
            return changed, Conflict() if taken else ValueError(f"The schema does not allow this value: {error}")
        except _UNFIT as error:
            return changed, error
        return changed, None

    def _commit(self) -> None:
        self._db.execute("COMMIT")
        if not self._in_place():
            raise apsw.IOError("the file was taken away while it was served")

    def _in_place(self) -> bool:
        try:
            return os.path.samestat(self._file, os.stat(self._db.filename))
        except OSError:
            return False

    def _finish(self, batch: list[_Write], began: float, commit: asyncio.Future[None]) -> None:
        self._committing = False
        for write in batch:
            if write.committed:
                write.committed()
        if error := commit.exception():
            self._failed(batch, error)
        else:
            self.counters.commits += 1
            self.work.committed(len(batch), self._loop.time() - began)
            _answer(batch)
            if not self._reserve.whole:
                self._reserve.refill()
        if self._reads or self._writes or self._drained:
            self._wake()

    def _failed(self, batch: list[_Write], error: BaseException) -> None:
        full = self._is_full(error)
        self._leave_transaction()
        if full:
            ending = [write for write in batch if write.only_ends]
            if ending and self._reserve.release():
                self._writes.extendleft(reversed(ending))
                batch = [write for write in batch if not write.only_ends]
            else:
                self._reserve.refill()
        _refuse(batch, error)
        if isinstance(error, apsw.IOError) and not full:
            self._break(error)

    def _is_full(self, error: BaseException) -> bool:
        """A quota that is used up is a full disk as well; SQLite calls it a write that failed."""
        if getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_WRITE:
            return self._db.system_errno == errno.EDQUOT
        return isinstance(error, apsw.FullError)

    def _affordable(self, batch: list[_Write]) -> list[_Write]:
        """All of it, or while the disk is full what only ends something; the rest is refused."""
        if self._reserve.whole:
            return batch
        ending = [write for write in batch if write.only_ends]
        if not ending and self._reserve.refill():
            return batch
        _refuse([write for write in batch if not write.only_ends], OSError("the disk is full"))
        return ending

    def _break(self, error: apsw.IOError) -> None:
        """A disk that failed once may say yes to the next sync and mean only what came since. So there is none:
        nothing more is read or written until the process is started again, and finds what the disk has.
        """
        self._broken = f"The disk failed at a commit ({error}). Check it, then start detent again."
        log.critical("%s", self._broken)
        _refuse([*self._reads, *self._writes], error)
        self._reads.clear()
        self._writes.clear()

    def _try_again(self, queue: deque[Asked], batch: list[Asked], error: apsw.BusyError) -> None:
        """Another process is writing: put the batch back, less what has waited too long."""
        now = self._loop.time()
        _refuse([each for each in batch if each.deadline <= now], error)
        queue.extendleft(each for each in reversed(batch) if each.deadline > now)
        if queue and self._retry is None:
            self._retry = self._loop.call_later(_RETRY_AFTER, self._retry_now)

    def _retry_now(self) -> None:
        self._retry = None
        self._wake()

    def _leave_transaction(self) -> None:
        if self._db.in_transaction:
            self._cursor.execute("ROLLBACK")


def _portion(queue: deque[Asked]) -> list[Asked]:
    return [queue.popleft() for _ in range(min(len(queue), _PORTION))]


def _answer(batch: Iterable[_Write]) -> None:
    for write in batch:
        if write.answer.done():  # nobody waits for it
            continue
        if isinstance(write.outcome, Exception):
            write.answer.set_exception(write.outcome)
        else:
            write.answer.set_result(write.outcome)


def _refuse(batch: Iterable[_Read | _Write], error: BaseException) -> None:
    for each in batch:
        if not each.answer.done():
            refusal = StoreUnavailable(f"The store could not answer: {error}")
            refusal.__cause__ = error
            each.answer.set_exception(refusal)
