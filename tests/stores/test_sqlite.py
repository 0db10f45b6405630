"""The SQLite store passes the contract."""

from pathlib import Path

from detent.stores.sqlite import SqliteStore
from detent.testing.store_contract import CompleteStore, StoreContract


class TestSqliteStore(StoreContract):
    async def make_store(self, folder: Path) -> CompleteStore:
        return await SqliteStore.open(folder / "detent.db")
