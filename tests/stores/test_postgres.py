"""The PostgreSQL store passes the contract, and asks no more of PostgreSQL than it says."""

from contextlib import closing
from pathlib import Path

import apsw
import psycopg
import pytest

from detent.audit.chain import Chain
from detent.audit.verify import verify
from detent.core.audit import AuditLink, read_link
from detent.core.changes import changed
from detent.keys.file import FileKeys
from detent.stores.migrations import known_migrations
from detent.stores.postgres import PostgresStore
from detent.stores.sqlite.connection import open_connection
from detent.system import SystemEntropy
from detent.testing.clock import ManualClock
from detent.testing.factories import an_event
from detent.testing.store_contract import CompleteStore, StoreContract
from tests.fixtures import keys_folder
from tests.postgres import TEMPLATE, Cluster

__all__ = ["keys_folder"]
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


def rows_of(link: AuditLink) -> tuple[tuple[int, bytes], ...]:
    linked = read_link(link)
    assert linked
    return linked.rows


async def test_attack_l7_events_that_are_committed_out_of_order_make_a_whole_chain(
    conninfo: str, keys_folder: Path
) -> None:
    clock = ManualClock()
    store, keys = await PostgresStore.open(conninfo), FileKeys.open(keys_folder, clock)
    chain = Chain(store, store, keys, clock, SystemEntropy())
    written = "INSERT INTO event (at, name, about, body) VALUES (1, 'signed_in', '', '{}')"
    with psycopg.connect(conninfo) as first, psycopg.connect(conninfo) as second:
        first.execute("SELECT pg_current_xact_id()")
        second.execute(written)
        first.execute(written)
        first.commit()
        assert await chain.link_all() == 1
        second.commit()
        assert await chain.link_all() == 1
        assert [[seq for seq, _ in rows_of(link)] for link in await store.audit_links()] == [[2], [1]]
        report = await verify(store, keys)
        assert (report.whole, report.events, report.unlinked) == (True, 2, 0)
        second.execute("INSERT INTO event OVERRIDING SYSTEM VALUE SELECT 0, at, name, about, body FROM event LIMIT 1")
        second.execute("UPDATE event SET written_by = '1' WHERE seq = 0")
        second.commit()
    assert [(each.kind, each.number) for each in (await verify(store, keys)).findings] == [("inserted", 0)]
    await store.close()


async def test_whoever_reads_on_after_events_that_are_gone_reads_on(conninfo: str) -> None:
    store = await PostgresStore.open(conninfo)
    for _ in range(4):
        await store.apply(changed(events=(an_event(),)))
    with psycopg.connect(conninfo) as other:
        other.execute("DELETE FROM event WHERE seq <= 2")
    assert [row.seq for row in await store.audit_rows(after=2)] == [3, 4]
    assert [row.seq for row in await store.audit_rows(after=1)] == [3, 4]
    assert [row.seq for row in await store.audit_rows(after=3)] == [4]
    assert [row.seq for row in await store.audit_rows(after=4)] == []
    await store.close()
