"""The PostgreSQL store passes the contract, and asks no more of PostgreSQL than it says."""

from contextlib import closing
from pathlib import Path

import apsw
import psycopg
import pytest

from detent.stores.migrations import known_migrations
from detent.stores.postgres import PostgresStore
from detent.stores.sqlite.connection import open_connection
from detent.testing.store_contract import CompleteStore, StoreContract
from tests.postgres import TEMPLATE, Cluster

pytestmark = pytest.mark.slow


class TestPostgresStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _database(self, conninfo: str) -> None:
        self._conninfo = conninfo

    async def make_store(self, folder: Path) -> CompleteStore:
        return await PostgresStore.open(self._conninfo)


def columns_of_sqlite(folder: Path) -> set[tuple[str, str]]:
    open_connection(folder / "detent.db").close()
    with closing(apsw.Connection(str(folder / "detent.db"))) as db:
        found = db.execute(
            "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c "
            "WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'"
        )
        return {(str(table), str(column)) for table, column in found}


def columns_of_postgres(conninfo: str) -> set[tuple[str, str]]:
    with psycopg.connect(conninfo) as connection:
        return set(
            connection.execute(
                "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
                "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
                "AND a.attnum > 0 AND NOT a.attisdropped"
            ).fetchall()
        )


def test_both_dialects_have_the_same_migrations_tables_and_columns(cluster: Cluster, tmp_path: Path) -> None:
    numbers = [[each.name for each in known_migrations(dialect)] for dialect in ("sqlite", "postgres")]
    assert numbers[0] == numbers[1]
    only_here = {("installation", "registrations"), ("event", "written_by")}
    assert columns_of_postgres(cluster.conninfo(TEMPLATE)) == columns_of_sqlite(tmp_path) | only_here
