"""Room kept back on the disk, so that when it is full a revocation can still be written.

A file of zeros beside the store. When the disk is full, what only ends something (`Changes.only_ends`) gets of its
room, step by step and as little as it needs; everything else is refused until there is room for the whole of it
again. After each commit what is left over is taken back, before whoever filled the disk takes it. Everything here
blocks, for microseconds.
"""

import logging
import os
from pathlib import Path
from typing import Final

log = logging.getLogger("detent.store")

RESERVE: Final = 16 << 20  # bytes: the log at its largest, and some 20,000 revocations with their events
_STEP: Final = 1 << 20


class Reserve:
    """`whole`: nothing of it is given away. One of a `size` of 0 gives what another process keeps here."""

    def __init__(self, store: Path, size: int) -> None:
        self.whole = True
        self._path = store.with_name(f"{store.name}-reserve")
        self._size = size
        if not self.refill():
            log.warning("There is no room for %s. Make room: on a full disk nothing could be revoked.", self._path)
            self.whole = True  # until the store itself finds the disk full

    def release(self) -> bool:
        """Give a step away; False if nothing is left."""
        held = self._held()
        if not held:
            return False
        if self.whole:
            log.critical("The disk of %s is full. Make room: only revocations are still written.", self._path.parent)
        self.whole = False
        self._resize(max(held - _STEP, 0))
        return True

    def refill(self) -> bool:
        """Take as much as there is room for; whether that is the whole of it."""
        held = self._held()
        if held < self._size:
            room = held + self._free()
            self._resize(self._size if room >= self._size else max(held, room // _STEP * _STEP))
        self.whole = self._held() >= self._size
        return self.whole

    def _held(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _free(self) -> int:
        try:
            found = os.statvfs(self._path.parent)
        except OSError:
            return 0
        return found.f_bavail * found.f_frsize

    def _resize(self, size: int) -> None:
        """What cannot be had is let go of."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return
        held = os.fstat(descriptor).st_size
        try:
            if size > held:
                _allocate(descriptor, held, size)
            else:
                os.ftruncate(descriptor, size)
        except OSError:
            os.ftruncate(descriptor, held)
        finally:
            os.close(descriptor)


def _allocate(descriptor: int, start: int, end: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, start, end - start)
        return
    for offset in range(start, end, _STEP):
        os.pwrite(descriptor, bytes(min(_STEP, end - offset)), offset)
