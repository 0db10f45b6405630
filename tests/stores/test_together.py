"""What goes in one statement, without a database: decision 0040."""

import asyncio
from collections.abc import Sequence

import pytest

from detent.stores.postgres import together
from detent.stores.postgres.together import Together


class Statements:
    """Each is told what it carries as it begins, and ends when the test says so."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[list[str]] = asyncio.Queue()
        self.ends: list[asyncio.Event] = []

    async def __call__(self, asked: Sequence[str]) -> Sequence[str]:
        self.ends.append(end := asyncio.Event())
        self.begun.put_nowait(list(asked))
        await end.wait()
        return [each.upper() for each in asked]


async def passes() -> None:
    """As many of the loop as a statement takes to begin, and more."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_asked_while_one_of_either_kind_is_under_way_goes_together_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(together, "_MOMENT", 3600)
    monkeypatch.setattr(together, "_TURN", 3600)
    reads, writes = Statements(), Statements()
    found, turned = Together(reads, waiting=10), Together(writes, waiting=10)
    turned.take_turns_with(found)
    first = turned.ask("a")
    assert await writes.begun.get() == ["a"]
    others = [found.ask("b"), found.ask("c")]
    later = turned.ask("d")
    await passes()
    assert reads.begun.empty()
    writes.ends[0].set()
    assert await first == "A"
    assert await reads.begun.get() == ["b", "c"]
    await passes()
    assert writes.begun.empty()
    reads.ends[0].set()
    assert await asyncio.gather(*others) == ["B", "C"]
    assert await writes.begun.get() == ["d"]
    writes.ends[1].set()
    assert await later == "D"


async def test_a_statement_that_does_not_end_holds_up_neither_kind_for_long() -> None:
    reads, writes = Statements(), Statements()
    found, turned = Together(reads, waiting=10), Together(writes, waiting=10)
    turned.take_turns_with(found)
    held = turned.ask("a")
    assert await writes.begun.get() == ["a"]
    answer, other = found.ask("b"), turned.ask("c")
    assert await reads.begun.get() == ["b"]
    reads.ends[0].set()
    assert await answer == "B"
    assert await writes.begun.get() == ["c"]
    writes.ends[1].set()
    assert await other == "C"
    assert not held.done()
    writes.ends[0].set()
    await held
