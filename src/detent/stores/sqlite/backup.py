"""Copies of the file: made while it is served, and put in its place while it is not.

Source: https://sqlite.org/backup.html. Everything here blocks. Every refusal is `StoreUnavailable`.
"""

import os
import time
from contextlib import closing
from pathlib import Path

import apsw

from detent.core.errors import StoreUnavailable
from detent.stores.migrations import known_migrations
from detent.stores.sqlite.migrations import schema_number

_PAGES = 1000  # at once, so that no reader or writer waits long


def back_up(path: Path, copy: Path) -> None:
    """A whole and sound copy, readable by its owner alone; never over a file that is there."""
    try:
        os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise StoreUnavailable(f"{copy} is there already. Name a new file.") from None
    try:
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as source:
            source.set_busy_timeout(5000)
            with closing(apsw.Connection(str(copy))) as target, target.backup("main", source, "main") as backup:
                while not backup.done:
                    backup.step(_PAGES)
        check_copy(copy)
    except (apsw.Error, StoreUnavailable) as error:
        copy.unlink(missing_ok=True)
        raise StoreUnavailable(f"The copy could not be made: {error}") from error
    with copy.open("rb") as file:
        os.fsync(file.fileno())


def check_copy(copy: Path) -> None:
    """Raises StoreUnavailable for what is no sound store of this or an older release."""
    try:
        with closing(apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READONLY)) as db:
            if schema_number(db, known_migrations("sqlite")) == 0:
                raise StoreUnavailable(f"{copy} is no store of detent.")
            [(sound,)] = db.execute("PRAGMA integrity_check(1)").fetchall()
    except apsw.Error as error:
        raise StoreUnavailable(f"{copy} cannot be read as a store: {error}") from error
    if sound != "ok":
        raise StoreUnavailable(f"{copy} is damaged: {sound}")


def put_in_place(copy: Path, path: Path) -> Path | None:
    """Make a copy of `copy` the store at `path`; what was there is moved aside, and where to is returned."""
    check_copy(copy)
    arriving = path.with_name(f"{path.name}.arriving")
    arriving.unlink(missing_ok=True)
    back_up(copy, arriving)
    aside = path.with_name(f"{path.name}.before-restore-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    was_there = path.exists()
    for ending in ("-wal", "-shm", ""):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    arriving.rename(path)
    return aside if was_there else None
