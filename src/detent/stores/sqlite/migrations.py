"""How the schema of a file gets from its number to ours: numbered SQL files, each in one transaction.

Restartable at every step: a file is carried out and noted, or neither. Two processes that start at once take
turns (BEGIN EXCLUSIVE). A store of a newer release is refused: what it means is not known here.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

import apsw
import msgspec

from detent.core.errors import StoreUnavailable

_NOTES: Final = "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT"


class Migration(msgspec.Struct, frozen=True):
    number: int
    name: str
    text: str


def known_migrations() -> list[Migration]:
    found = sorted(
        (file for file in (files("detent.stores") / "schema").iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    return [Migration(int(file.name[:3]), file.name, file.read_text("utf-8")) for file in found]


def migrate(db: apsw.Connection, migrations: Sequence[Migration] | None = None) -> None:
    """Carry out what is missing. Raises StoreUnavailable for a newer store, or a file that is no store."""
    known = known_migrations() if migrations is None else migrations
    newest = known[-1].number
    if _number_of(db, newest) == newest:
        return
    for migration in known:
        db.execute("BEGIN EXCLUSIVE")
        try:
            if _number_of(db, newest) < migration.number:
                db.execute(_NOTES)
                db.execute(migration.text).fetchall()
                db.execute("INSERT INTO migration (number, name) VALUES (?, ?)", (migration.number, migration.name))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def _number_of(db: apsw.Connection, newest: int) -> int:
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()}
    if "migration" not in tables:
        if tables:
            raise StoreUnavailable(f"{db.filename} is an SQLite database of something else, not a store of detent.")
        return 0
    [[found]] = db.execute("SELECT coalesce(max(number), 0) FROM migration").fetchall()
    number = int(found or 0)
    if number > newest:
        raise StoreUnavailable(
            f"{db.filename} was written by a newer release of detent (schema {number}; this release knows {newest}). "
            "Start the newer release, or restore a backup from before the upgrade."
        )
    return number
