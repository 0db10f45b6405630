"""People over a store in memory, with cheap hashes and a clock that the test moves; `either_store` is SQLite too."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from detent.core.events import Event
from detent.identity.passwords import CHEAP, Passwords
from detent.identity.people import People
from detent.stores.memory import MemoryStore
from detent.stores.sqlite import SqliteStore
from detent.system import SystemEntropy
from detent.testing.clock import ManualClock
from detent.testing.store_contract.base import CompleteStore
from tests.serving import ListSink


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(params=["memory", "sqlite"])
async def either_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CompleteStore]:
    made: CompleteStore = MemoryStore()
    if request.param == "sqlite":
        made = await SqliteStore.open(tmp_path / "detent.db")
    yield made
    await made.close()


@pytest.fixture
def sink() -> ListSink:
    return ListSink()


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(CHEAP)
    yield made
    made.close()


@pytest.fixture
def people(store: MemoryStore, passwords: Passwords, clock: ManualClock) -> People:
    return People(store, store, passwords, clock, SystemEntropy())


async def audited(store: CompleteStore) -> list[Event]:
    """The audit log."""
    return [event for _, event in await store.events()]
