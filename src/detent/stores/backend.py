"""What a database must do for the store on top of it: carry out statements, and say when its outcome is known.

`SqlStore` is written once on this; SQLite and PostgreSQL each have one. Raises Conflict, StoreUnavailable, and
ValueError for a value that no column can hold.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from detent.core.events import Event
from detent.stores.rows import Row, Value
from detent.stores.statements import Step


class Counters(msgspec.Struct):
    """Statements carried out: SELECT, UPDATE or DELETE, INSERT; and the COMMITs that made writes durable."""

    reads: int = 0
    writes: int = 0
    inserts: int = 0
    commits: int = 0

    def count(self, text: str, times: int = 1) -> None:
        if text.startswith("SELECT"):
            self.reads += times
        elif text.startswith("INSERT"):
            self.inserts += times
        elif not text.startswith("PRAGMA"):
            self.writes += times


class Work(msgspec.Struct):
    """How the commits were: what took part in them, the most at once, and the seconds from their first statement on.

    `events` are those of the audit log, by name.
    """

    parts: int = 0
    largest: int = 0
    seconds: float = 0.0
    events: dict[str, int] = {}

    def committed(self, parts: int, seconds: float) -> None:
        self.parts += parts
        self.largest = max(self.largest, parts)
        self.seconds += seconds

    def told(self, events: Iterable[Event]) -> None:
        for event in events:
            self.events[event.name] = self.events.get(event.name, 0) + 1


class Backend(Protocol):
    """`changed_since` reads one row that differs once another process registered something; `noting` are the steps
    by which this one says that it did. No row: whatever is remembered must not be believed.
    """

    counters: Counters
    work: Work
    changed_since: str
    noting: tuple[Step, ...]

    @property
    def waiting(self) -> int:
        """How many reads and writes wait for their turn."""
        ...

    def read(self, text: str, values: tuple[Value, ...]) -> Awaitable[list[Row]]:
        """All rows; sees only what is committed."""
        ...

    def write(
        self, steps: Sequence[Step], committed: Callable[[], None] | None = None, *, only_ends: bool = False
    ) -> Awaitable[int]:
        """All steps or none, durable; the answer is how many rows they changed.

        `only_ends` may use what a database keeps back for that, where it keeps something.
        `committed` is called before anyone is answered, also when the fate of the commit is unknown. A caller that
        no longer waits takes nothing back.
        """
        ...

    async def close(self) -> None:
        """Finish what was asked for; everything asked later is StoreUnavailable."""
        ...
