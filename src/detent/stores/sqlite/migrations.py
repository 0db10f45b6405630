"""How the schema of a file gets from its number to ours: numbered SQL files, each in one transaction.

Restartable at every step: a file is carried out and noted, or neither. Two processes that start at once take
turns (BEGIN EXCLUSIVE). A store of a newer release is refused: what it means is not known here.
"""

from collections.abc import Sequence
from typing import Final

import apsw

from detent.core.errors import StoreUnavailable
from detent.stores.migrations import Migration

_NOTES: Final = "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT"


def migrate(db: apsw.Connection, known: Sequence[Migration]) -> None:
    """Carry out what is missing. Raises StoreUnavailable like `schema_number`."""
    if schema_number(db, known) == known[-1].number:
        return
    for migration in known:
        db.execute("BEGIN EXCLUSIVE")
        try:
            if schema_number(db, known) < migration.number:
                db.execute(_NOTES)
                db.execute(migration.text).fetchall()
                db.execute("INSERT INTO migration (number, name) VALUES (?, ?)", (migration.number, migration.name))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def schema_number(db: apsw.Connection, known: Sequence[Migration]) -> int:
    """0 for a new file. Raises StoreUnavailable for a store of a newer release, or a file that is no store."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()}
    if not tables:
        return 0
    if "migration" not in tables:
        raise StoreUnavailable(f"{db.filename} is an SQLite database of something else, not a store of detent.")
    [[found]] = db.execute("SELECT coalesce(max(number), 0) FROM migration").fetchall()
    number, newest = int(found or 0), known[-1].number
    if number > newest:
        raise StoreUnavailable(
            f"{db.filename} was written by a newer release of detent (schema {number}; this release knows {newest}). "
            "Start the newer release, or restore a backup from before the upgrade."
        )
    return number
