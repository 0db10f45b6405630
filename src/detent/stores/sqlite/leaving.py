"""A file that is about to be left: read as one moment, while nobody else can write, and marked as gone in that moment.

Everything here blocks. What moves is decided in stores/moving.py.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

import apsw
import msgspec

from detent.core.errors import StoreUnavailable
from detent.core.rollback import Mark
from detent.stores.moving import Columns, Gone, Part
from detent.stores.rows import Row
from detent.stores.sqlite.connection import gone_from, open_connection

_BUSY_SECONDS = 5
_TABLES = (
    "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c "
    "WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t.name, c.cid"
)


class Source:
    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[Self]:
        """What is not committed when the block ends did not happen. Raises StoreUnavailable."""
        with closing(open_connection(path, even_if_moved=True)) as db:
            db.set_busy_timeout(_BUSY_SECONDS * 1000)
            try:
                db.execute("BEGIN IMMEDIATE")
            except apsw.BusyError:
                raise StoreUnavailable(f"Another process writes into {path}. Let it finish, then try again.") from None
            try:
                yield cls(db)
            except apsw.Error as error:
                raise StoreUnavailable(f"The store {path} cannot be read: {error}") from error

    def columns(self) -> Columns:
        found: dict[str, tuple[str, ...]] = {}
        for table, column in self._db.execute(_TABLES).fetchall():
            found[str(table)] = (*found.get(str(table), ()), str(column))
        return found

    def mark(self) -> Mark:
        asked = "SELECT store_id, restore_epoch, beats FROM installation"
        [(store_id, restore_epoch, beats)] = self._db.execute(asked).fetchall()
        return Mark(str(store_id), int(str(restore_epoch)), int(str(beats)))

    def gone(self) -> Gone | None:
        return gone_from(self._db)

    def count(self, part: Part) -> int:
        [[count]] = self._db.execute(f'SELECT count(*) FROM "{part.table}"').fetchall()  # noqa: S608
        return int(str(count))

    def rows(self, part: Part) -> Iterator[Row]:
        columns = ", ".join(f'"{name}"' for name in part.columns)
        return self._db.cursor().execute(f'SELECT {columns} FROM "{part.table}"')  # noqa: S608

    def numbered(self) -> dict[str, int]:
        """The last number that each table that gives numbers has given, whether or not its row is still there."""
        return {str(table): int(str(last)) for table, last in self._db.execute("SELECT name, seq FROM sqlite_sequence")}

    def leave(self, gone: Gone) -> None:
        """One beat more: a copy of the file from before is older than what is there then."""
        text = msgspec.json.encode(gone).decode()
        self._db.execute("UPDATE installation SET moved = ?, beats = beats + 1", (text,))

    def come_home(self) -> None:
        self._db.execute("UPDATE installation SET moved = ''")

    def commit(self) -> None:
        self._db.execute("COMMIT")


def take_for_home(path: Path) -> None:
    """Whatever became of the store elsewhere; there need be none here. Raises StoreUnavailable."""
    if path.exists():
        with Source.opened(path) as source:
            if source.gone():
                source.come_home()
                source.commit()
