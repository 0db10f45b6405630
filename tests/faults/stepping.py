"""A disk that counts its steps (write, sync, truncate, delete), and does something else than asked at one of them.

Short writes: half of the bytes arrive, then the fault. What it raises is what SQLite's own disk would say.
"""

import errno
import os
import signal
from collections.abc import Callable
from typing import Any, Final, Literal

import apsw

Step = Literal["write", "sync", "truncate", "delete"]
Fault = Callable[[Step], None]

_BROKEN: Final[dict[Step, int]] = {
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "delete": apsw.SQLITE_IOERR_DELETE,
}


def broken(step: Step) -> None:
    """EIO."""
    raise apsw.exception_for(_BROKEN[step])


def full(step: Step) -> None:
    """ENOSPC; where that is said at a sync, SQLite takes it for any failed sync."""
    raise apsw.exception_for(apsw.SQLITE_FULL if step == "write" else _BROKEN[step])


def over_quota(step: Step) -> None:
    """EDQUOT, which SQLite tells as a write that failed; `SteppingDisk` says then which errno it was."""
    raise apsw.exception_for(_BROKEN[step])


def killed(step: Step) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class SteppingDisk(apsw.VFS):
    """Passes everything on; from `arm` on it counts, and at step `at` there is the fault, after half a write."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.steps: list[Step] = []
        self._at = 0
        self._fault: Fault = broken
        self._only: Step | None = None
        self._counting = False
        self._always: Fault | None = None
        super().__init__(name, "")

    def arm(self, at: int, fault: Fault, *, only: Step | None = None) -> None:
        """`only`: where the step is another one, there is no fault."""
        self.steps, self._at, self._fault, self._only, self._counting = [], at, fault, only, True

    def disarm(self) -> None:
        self._counting = False
        self._always = None

    def fill(self, room: Callable[[], bool]) -> None:
        """From now on every write finds the disk full, unless there is `room`."""

        def refuse(step: Step) -> None:
            if step == "write" and not room():
                full(step)

        self._always = refuse

    def step(self, step: Step, half: Callable[[], None] = lambda: None) -> None:
        if self._always:
            self._always(step)
        if not self._counting:
            return
        self.steps.append(step)
        if len(self.steps) == self._at and self._only in (None, step):
            half()
            self._fault(step)

    def xGetLastError(self) -> tuple[int, str]:
        return (errno.EDQUOT if self._fault is over_quota else errno.EIO), ""

    def xOpen(self, name: Any, flags: list[int]) -> "SteppingFile":
        return SteppingFile(self, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:
        self.step("delete")
        super().xDelete(name, sync)


class SteppingFile(apsw.VFSFile):
    def __init__(self, disk: SteppingDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        half = bytes(data[: len(data) // 2])
        self._disk.step("write", lambda: super(SteppingFile, self).xWrite(half, offset))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self._disk.step("truncate")
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        self._disk.step("sync")
        super().xSync(flags)
