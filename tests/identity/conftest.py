"""People over a store in memory, with cheap hashes and a clock that the test moves."""

from collections.abc import Iterator

import pytest

from detent.identity.passwords import CHEAP, Passwords
from detent.identity.people import People
from detent.stores.memory import MemoryStore
from detent.system import SystemEntropy
from detent.testing.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(CHEAP)
    yield made
    made.close()


@pytest.fixture
def people(store: MemoryStore, passwords: Passwords, clock: ManualClock) -> People:
    return People(store, store, passwords, clock, SystemEntropy())
