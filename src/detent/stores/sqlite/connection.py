"""How the file is opened: who may read it, which pragmas hold, which SQLite is new enough.

A pragma is read back, because a build may ignore one silently. Source: https://sqlite.org/wal.html, and for the
version https://sqlite.org/wal.html#walresetbug. Everything here blocks: it runs in the store's thread.
Every refusal is `StoreUnavailable` with a sentence for the operator.
"""

import os
import time
from pathlib import Path
from typing import Final

import apsw
import msgspec

from detent.core.errors import StoreUnavailable
from detent.stores.migrations import known_migrations
from detent.stores.moving import Gone
from detent.stores.sqlite.migrations import migrate, schema_number

OLDEST_SQLITE: Final = (3, 51, 3)  # older ones can lose a commit when two connections reset the WAL at once
_PATIENCE: Final = 5  # seconds

PRAGMAS: Final[dict[str, str | int]] = {
    # First, and EXTRA, which for a WAL is FULL (NORMAL lets a power cut undo what was acknowledged): the file becomes
    # one with a WAL by a journal, whose removal must last. If it came back, all that is in the WAL would be undone.
    "synchronous": 3,
    "journal_mode": "wal",
    "fullfsync": 1,  # macOS: fsync alone leaves it in the drive's cache
    "checkpoint_fullfsync": 1,
    "wal_autocheckpoint": 1000,
    "foreign_keys": 1,
    "trusted_schema": 0,
    "cell_size_check": 1,
}


def open_connection(path: Path, *, vfs: str | None = None, even_if_moved: bool = False) -> apsw.Connection:
    """An up-to-date store at `path`, made if there is none. It never waits for a lock later on: the loop must not."""
    _check_version(apsw.sqlite_lib_version())
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            _create(path)
            return _opened(path, vfs, even_if_moved)
        except (apsw.Error, OSError) as error:
            # SQLite does not wait where two that wait would lock each other out: two first starts at once.
            if not isinstance(error, apsw.BusyError) or time.monotonic() >= deadline:
                raise StoreUnavailable(f"The store {path} cannot be opened: {error}") from error
        time.sleep(0.01)


def _opened(path: Path, vfs: str | None, even_if_moved: bool) -> apsw.Connection:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    try:
        db.set_busy_timeout(_PATIENCE * 1000)
        known = known_migrations("sqlite")
        schema_number(db, known)  # before anything is changed in a file that may not be ours
        _set_pragmas(db)
        migrate(db, known)
        if not even_if_moved:
            _refuse_moved(db)
        db.set_busy_timeout(0)
    except BaseException:
        db.close()
        raise
    return db


def _refuse_moved(db: apsw.Connection) -> None:
    if gone := gone_from(db):
        raise StoreUnavailable(
            f"The store {db.filename} was moved to {gone.place}, and what happened there is not in it. Serve that one: "
            "set `store` to its address. Nobody has served it yet, and you want this one back: "
            "`detent migrate --to ADDRESS --undo`. It is lost: `detent restore`, and everybody signs in again."
        )


def gone_from(db: apsw.Connection) -> Gone | None:
    """Where the store is now, if it left this file."""
    [[text]] = db.execute("SELECT moved FROM installation").fetchall()
    return msgspec.json.decode(str(text), type=Gone) if text else None


def _check_version(text: str) -> None:
    if tuple(map(int, text.split("."))) < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise StoreUnavailable(f"SQLite {text} is too old to share a file safely: {oldest} or newer is needed.")


def _create(path: Path) -> None:
    """SQLite gives -wal and -shm the mode of the file, so its own mode is all there is to set."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return


def _set_pragmas(db: apsw.Connection) -> None:
    for name, wanted in PRAGMAS.items():
        db.pragma(name, wanted)
        if (found := db.pragma(name)) != wanted:
            raise StoreUnavailable(f"SQLite did not take PRAGMA {name}={wanted} (it says {found}): not durable enough.")
