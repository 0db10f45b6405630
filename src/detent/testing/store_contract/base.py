"""What every part of the contract starts from: a new, empty store for each test."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from detent.core.changes import Part, changed
from detent.core.errors import Conflict
from detent.ports import Directory, Store


class CompleteStore(Store, Directory, Protocol):
    """Both ports on one object, and an end."""

    async def close(self) -> None: ...


class Contract:
    pytestmark = pytest.mark.asyncio

    async def make_store(self, folder: Path) -> CompleteStore:
        raise NotImplementedError("a store's test class says how an empty store is made")

    @pytest_asyncio.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[CompleteStore]:
        store = await self.make_store(tmp_path)
        yield store
        await store.close()


async def write(store: Store, *parts: Part) -> None:
    await store.apply(changed(*parts))


async def conflicts(store: Store, *parts: Part) -> bool:
    try:
        await write(store, *parts)
    except Conflict:
        return True
    return False
