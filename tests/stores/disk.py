"""A disk that tests can watch, hold up and break: a VFS between SQLite and the real one.

Only the write-ahead log matters: it is what a COMMIT writes and syncs.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import apsw


class Disk(apsw.VFS):
    """`syncs` counts how often the log was made durable."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.syncs = 0
        self.breaks_on_sync = False
        self.is_full = False
        self._go_on = threading.Event()
        self._go_on.set()
        self._reached: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> "DiskFile":
        return DiskFile(self, name, flags)

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[asyncio.Event]:
        """A COMMIT within the block waits for its end; the event says that one does."""
        reached = asyncio.Event()
        self._reached = (asyncio.get_running_loop(), reached)
        self._go_on.clear()
        try:
            async with asyncio.timeout(10):
                yield reached
        finally:
            self._reached = None
            self._go_on.set()

    def sync(self) -> None:
        if self._reached:
            loop, reached = self._reached
            loop.call_soon_threadsafe(reached.set)
        self._go_on.wait()
        if self.breaks_on_sync:
            raise apsw.IOError("the disk is broken")
        self.syncs += 1


class DiskFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._is_log = bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:
        if self._is_log:
            self._disk.sync()
        super().xSync(flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._is_log and self._disk.is_full:
            raise apsw.FullError("the disk is full")
        super().xWrite(data, offset)
