"""`Store` and `Directory` on one SQLite file: its COMMITs are shared by the requests of a tick."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from detent.stores.sql_store import SqlStore
from detent.stores.sqlite.connection import open_connection
from detent.stores.sqlite.group_commit import GroupCommit
from detent.stores.sqlite.reserve import Reserve


class SqliteStore(SqlStore):
    @classmethod
    async def open(
        cls,
        path: Path | str,
        *,
        patience: float = 5.0,
        waiting: int = 10_000,
        remembered: int = 10_000,
        vfs: str | None = None,
        reserve: int = 0,
    ) -> "SqliteStore":
        """Open or make the store; it belongs to the running loop. Raises StoreUnavailable with what to do.

        `patience`: seconds to wait for another process that writes; `waiting`: requests that may queue;
        `reserve`: bytes kept back for revocations on a full disk.
        """
        path = Path(path)

        thread = ThreadPoolExecutor(1, thread_name_prefix="detent-commit")
        try:
            db = await asyncio.get_running_loop().run_in_executor(thread, lambda: open_connection(path, vfs=vfs))
            kept = Reserve(path, reserve)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(GroupCommit(db, thread, kept, patience=patience, waiting=waiting), remembered=remembered)
