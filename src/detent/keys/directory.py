"""A directory that only its owner can read, whose files are whole or absent.

Writing: temporary file, fsync, rename, fsync of the directory; one writer at a time by a lock on the directory. A
reader takes no lock. Files of a directory that others can read are refused with the line that mends it (attack L4).
What is in the files is file.py's.
"""

import contextlib
import fcntl
import os
import shlex
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from detent.keys.ring import KeysError

Stamp = tuple[int, int]
SUFFIX: Final = ".json"
_TEMPORARY: Final = ".tmp"
_TICK: Final = 50_000_000  # nanoseconds, more than any file system's clock takes for a step


class PrivateDirectory:
    def __init__(self, path: Path) -> None:
        """Makes the directory if it is missing. Raises KeysError if others can reach into it."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise KeysError(f"{path} cannot be the directory of the keys ({error.strerror}).") from error
        _refuse_unless_private(path, path.stat())
        self.path = path

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers out, in this process and others. What a crashed writer left is cleared away."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            for leftover in self.path.glob(f".*{_TEMPORARY}"):
                leftover.unlink()
            yield
        finally:
            os.close(descriptor)

    def touched(self) -> int | None:
        """When a file was last put in or taken out; None where that says nothing: the next one could say the same."""
        with contextlib.suppress(OSError):
            at = os.stat(self.path).st_mtime_ns
            if at < time.time_ns() - _TICK:
                return at
        return None

    def stamps(self) -> dict[str, Stamp]:
        """Each file and a stamp that is another one after any change to it, its mode included; cheap."""
        found = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        found[entry.name] = (status.st_ino, status.st_ctime_ns)
        return found

    def read(self, name: str) -> bytes:
        """Raises KeysError if the file cannot be read or others can read it, FileNotFoundError if it is gone."""
        path = self.path / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise KeysError(f"{path} cannot be read ({error.strerror}). It must be a file of mode 0600.") from error
        with os.fdopen(descriptor, "rb") as file:
            _refuse_unless_private(path, os.fstat(descriptor))
            return file.read()

    def write(self, name: str, content: bytes) -> None:
        """Put the file in place, whole and durable, or leave everything as it was."""
        descriptor, temporary = tempfile.mkstemp(suffix=_TEMPORARY, prefix=".", dir=self.path)  # of mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        self._sync()

    def delete(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)
        self._sync()

    def _sync(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _refuse_unless_private(path: Path, status: os.stat_result) -> None:
    quoted = shlex.quote(str(path))
    if status.st_uid != os.geteuid():
        raise KeysError(
            f"{path} belongs to user {status.st_uid}, and this runs as user {os.geteuid()}. Run it as the owner, or: "
            f"chown {os.geteuid()} {quoted}"
        )
    if status.st_mode & 0o077:
        raise KeysError(
            f"{path} holds private keys and is open to other users (mode {stat.S_IMODE(status.st_mode):04o}). Run: "
            f"chmod {'700' if stat.S_ISDIR(status.st_mode) else '600'} {quoted}"
        )
