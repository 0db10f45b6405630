"""Signatures in threads: shared out fairly, answered to whoever asked, and no more at work than there are threads."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from detent.keys import portions
from detent.keys.portions import Portions

pytestmark = pytest.mark.quick
THREADS = 2


class Bench:
    """Work that says on which thread it was done, and that can be made to wait."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.done_by: dict[str, str] = {}

    def sign(self, name: str) -> str:
        self.open.wait(60)
        self.done_by[name] = threading.current_thread().name
        return f"signed {name}"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(THREADS) as threads:
        yield threads


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.open.set()


def handed_over(threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the portions from now on."""
    sizes: list[int] = []
    signed = portions._signed

    def counted(portion: list[portions.Work]) -> list[str | Exception]:
        sizes.append(len(portion))
        return signed(portion)

    monkeypatch.setattr(portions, "_signed", counted)
    return sizes


async def test_what_is_asked_for_in_one_moment_is_shared_by_the_free_threads(
    threads: ThreadPoolExecutor, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = handed_over(threads, monkeypatch)
    many = Portions(threads, THREADS)
    asked = [many.sign(partial(bench.sign, str(number))) for number in range(9)]
    await asyncio.sleep(0)
    bench.open.set()
    assert await asyncio.gather(*asked) == [f"signed {number}" for number in range(9)]
    assert sorted(sizes) == [4, 5]
    assert len(set(bench.done_by.values())) == THREADS


async def test_what_comes_while_all_threads_are_at_work_is_the_next_portion_and_none_is_too_large(
    threads: ThreadPoolExecutor, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = handed_over(threads, monkeypatch)
    many = Portions(threads, THREADS)
    first = [many.sign(partial(bench.sign, f"first {number}")) for number in range(2)]
    await asyncio.sleep(0)
    later = [many.sign(partial(bench.sign, f"later {number}")) for number in range(50)]
    await asyncio.sleep(0)
    assert sum(sizes) <= 2, "nothing waits inside the pool"
    bench.open.set()
    assert await asyncio.gather(*first, *later) == [
        *(f"signed first {number}" for number in range(2)),
        *(f"signed later {number}" for number in range(50)),
    ]
    assert max(sizes) == 16


async def test_one_that_fails_and_one_that_nobody_waits_for_harm_no_other(
    threads: ThreadPoolExecutor, bench: Bench
) -> None:
    many = Portions(threads, 1)

    def fails() -> str:
        raise ValueError("no such key")

    bad, left, good = many.sign(fails), many.sign(partial(bench.sign, "left")), many.sign(partial(bench.sign, "good"))
    await asyncio.sleep(0)
    left.cancel()
    bench.open.set()
    assert await good == "signed good"
    with pytest.raises(ValueError, match="no such key"):
        await bad
    assert await many.sign(partial(bench.sign, "afterwards")) == "signed afterwards"
