"""A database that another store is about to fill: nobody else writes into it, and all of it arrives or nothing.

Everything here blocks. What moves is decided in stores/moving.py.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Self

import psycopg
from psycopg import errors, sql
from psycopg.errors import Diagnostic

from detent.core.errors import StoreUnavailable
from detent.stores.moving import Columns, Part
from detent.stores.postgres.connection import address
from detent.stores.rows import Row

_AT_ONCE = 2000  # rows
_TABLES = (
    "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
    "WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
    "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum"
)


class Target:
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._said: list[str | None] = []
        connection.add_notice_handler(self._hear)

    @classmethod
    @contextmanager
    def opened(cls, conninfo: str) -> Iterator[Self]:
        """A transaction; what is not committed when the block ends did not happen. Raises StoreUnavailable."""
        try:
            with psycopg.connect(address(conninfo), prepare_threshold=None) as connection:
                try:
                    yield cls(connection)
                finally:
                    connection.rollback()
        except errors.LockNotAvailable:
            raise StoreUnavailable("Somebody writes into the new database. Stop its servers, then try again.") from None
        except (errors.UndefinedColumn, errors.UndefinedTable):
            raise StoreUnavailable("This database holds no store of this release. Name the right one.") from None
        except psycopg.Error as error:
            raise StoreUnavailable(
                f"PostgreSQL could not take the store: {error} Mend that, then try again."
            ) from error

    @property
    def place(self) -> str:
        info = self._connection.info
        return f"the PostgreSQL database {info.dbname} at {info.host or 'this machine'}, port {info.port}"

    def columns(self) -> Columns:
        found: dict[str, tuple[str, ...]] = {}
        for table, column in self._connection.execute(_TABLES).fetchall():
            found[table] = (*found.get(table, ()), column)
        return found

    def lock(self, parts: Iterable[Part]) -> None:
        """Until the end others can read, and see nothing of what arrives; they cannot write."""
        self._connection.execute("SET LOCAL lock_timeout = '5s'")
        tables = sql.SQL(", ").join(sql.Identifier(part.table) for part in parts)
        self._connection.execute(sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(tables))

    def store_id(self) -> str:
        return str(self._one("SELECT store_id FROM installation"))

    def gone(self) -> bool:
        return bool(self._one("SELECT moved <> '' FROM installation"))

    def is_new(self, parts: Iterable[Part]) -> bool:
        """Whether the schema is all there is, and no server ever lived on it."""
        others = [sql.Identifier(part.table) for part in parts if part.table != "installation"]
        rows = [sql.SQL("EXISTS (SELECT FROM {})").format(table) for table in others]
        beats = sql.SQL("EXISTS (SELECT FROM installation WHERE beats > 0)")
        return not self._one(sql.SQL("SELECT {}").format(sql.SQL(" OR ").join([beats, *rows])))

    def take(self, part: Part, rows: Iterable[Row]) -> None:
        table, names = sql.Identifier(part.table), [*part.columns, *part.constants]
        columns = sql.SQL(", ").join(map(sql.Identifier, names))
        constants = tuple(part.constants.values())
        self._connection.execute(sql.SQL("DELETE FROM {}").format(table))  # the row that every schema begins with
        into = sql.SQL("COPY {} ({}) FROM STDIN").format(table, columns)
        with self._connection.cursor() as cursor, cursor.copy(into) as copy:
            for row in rows:
                copy.write_row((*row, *constants))

    def rows(self, part: Part) -> Iterator[Row]:
        columns = sql.SQL(", ").join(map(sql.Identifier, part.columns))
        asked = sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(part.table))
        with self._connection.cursor(name="moved", binary=True) as cursor:
            cursor.itersize = _AT_ONCE
            cursor.execute(asked)
            yield from cursor

    def number_from(self, table: str, last: int) -> None:
        """The next number that the table gives out is the one after `last`."""
        column = self._one(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attidentity <> ''", table
        )
        self._one("SELECT setval(pg_get_serial_sequence(%s, %s), greatest(%s, 1), %s > 0)", table, column, last, last)

    def leave(self, home: str) -> None:
        self._connection.execute("UPDATE installation SET moved = %s", (home,))

    def commit(self) -> None:
        """Raises StoreUnavailable also where the outcome is not known."""
        again = "Whether it holds the store now is not known: give the same command again, and it will find out."
        try:
            self._connection.commit()
        except psycopg.Error as error:
            raise StoreUnavailable(f"PostgreSQL did not say that it took the store: {error} {again}") from error
        if "WARNING" in self._said:
            raise StoreUnavailable(f"PostgreSQL warned that its standbys may not have it. See to them. {again}")

    def _hear(self, notice: Diagnostic) -> None:
        self._said.append(notice.severity_nonlocalized)

    def _one(self, question: "str | sql.Composed", *values: object) -> object:
        text = sql.SQL(question) if isinstance(question, str) else question
        [(answer,)] = self._connection.execute(text, values or None).fetchall()
        return answer
