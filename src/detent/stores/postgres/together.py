"""What many requests ask for at once goes to PostgreSQL together: one commit, few round trips, and one plan where
it is one statement.

Rule: while one such statement is under way, what is asked meanwhile waits for its end, so the busier the server, the
more share one; but for no longer than a moment, since one row that somebody locks would hold up everybody. Two kinds
take turns in the same way, for a shorter moment: a commit may wait for the disk, and a read need not. Each is answered
for itself, and a failure of the statement is the failure of all that it carried (docs/decisions/0040).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from detent.core.errors import StoreUnavailable

_MOST: Final = 64  # in one statement
_MOMENT: Final = 0.01  # seconds
_TURN: Final = 0.002  # seconds

Asked = TypeVar("Asked")
Found = TypeVar("Found")


class Together(Generic[Asked, Found]):
    """`carry_out` gives what was found for each, in their order, or an exception that is for that one alone."""

    def __init__(
        self, carry_out: Callable[[Sequence[Asked]], Awaitable[Sequence[Found | Exception]]], *, waiting: int
    ) -> None:
        self._carry_out = carry_out
        self._most = waiting
        self._queue: deque[tuple[Asked, asyncio.Future[Found]]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._start: asyncio.Handle | None = None
        self._other: Together[Any, Any] = self

    def take_turns_with(self, other: "Together[Any, Any]") -> None:
        self._other, other._other = other, self

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def ask(self, what: Asked) -> asyncio.Future[Found]:
        """Who no longer waits takes nothing back. Raises StoreUnavailable for one too many."""
        if len(self._queue) >= self._most:
            raise StoreUnavailable(f"{self._most} requests wait for the store already.")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Found] = loop.create_future()
        self._queue.append((what, answer))
        if self._start is None:
            pause = _MOMENT if self._under_way else _TURN if self._other._under_way else 0
            self._start = loop.call_later(pause, self._go) if pause else loop.call_soon(self._go)
        return answer

    async def finish(self) -> None:
        """Wait for all that was asked."""
        while self._queue or self._under_way:
            self._go()
            await asyncio.wait(self._under_way)

    def _go(self) -> None:
        if self._start:
            self._start.cancel()
            self._start = None
        if batch := [self._queue.popleft() for _ in range(min(len(self._queue), _MOST))]:
            task = asyncio.get_running_loop().create_task(self._carried_out(batch))
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        if self._queue:
            self._start = asyncio.get_running_loop().call_later(_MOMENT, self._go)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        after = self._other if self._other._queue and not self._other._under_way else self
        if after._queue:
            after._go()

    async def _carried_out(self, batch: Sequence[tuple[Asked, asyncio.Future[Found]]]) -> None:
        try:
            found: Sequence[Found | Exception] = await self._carry_out([what for what, _ in batch])
        except Exception as error:
            found = [refusal(error) for _ in batch]
        for (_, answer), outcome in zip(batch, found, strict=True):
            if answer.done():  # nobody waits for it
                continue
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)


def refusal(error: Exception) -> StoreUnavailable:
    """One of its own for each who hears of it."""
    refusal = StoreUnavailable(str(error))
    refusal.__cause__ = error
    return refusal
