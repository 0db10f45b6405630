"""The memory store passes the contract."""

from pathlib import Path

import pytest

from detent.stores.memory import MemoryStore
from detent.testing.store_contract import CompleteStore, StoreContract

pytestmark = pytest.mark.quick


class TestMemoryStore(StoreContract):
    async def make_store(self, folder: Path) -> CompleteStore:
        return MemoryStore()
