"""How a store is opened: modes, pragmas, the steps of its schema, and everything that is refused with a sentence."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from detent.core.authorization import Epochs
from detent.core.changes import EndFamilies, InsertClient, InsertFamily, changed
from detent.core.errors import StoreUnavailable
from detent.core.ids import Subject
from detent.ports import FoundFamily
from detent.stores import sql
from detent.stores.migrations import Migration, known_migrations
from detent.stores.rows import Value, cold_values, hot_values, json_of
from detent.stores.sqlite import SqliteStore, connection
from detent.stores.sqlite.connection import PRAGMAS, open_connection
from detent.stores.sqlite.migrations import migrate
from detent.testing.factories import NOW, a_client, a_family, an_authorization

FIRST = Migration(1, "001_first.sql", "CREATE TABLE a (x); CREATE TABLE b (x); INSERT INTO a VALUES (1)")
SECOND = Migration(2, "002_second.sql", "ALTER TABLE a ADD COLUMN y; INSERT INTO b SELECT x FROM a")


@pytest.fixture
def made(path: Path) -> Path:
    """A store as this release makes it."""
    open_connection(path).close()
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def altered(path: Path, text: str) -> None:
    with closing(apsw.Connection(str(path))) as db:
        db.execute(text)


def schema(path: Path) -> list[tuple[object, ...]]:
    with closing(apsw.Connection(str(path))) as db:
        return [*db.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall(), *migrations(db)]


def migrations(db: apsw.Connection) -> list[tuple[object, ...]]:
    return [*db.execute("SELECT number, name FROM migration").fetchall()]


@pytest.mark.quick
async def test_only_the_owner_can_read_the_file_its_log_and_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "detent.db"
    before = os.umask(0)
    try:
        store = await SqliteStore.open(path)
    finally:
        os.umask(before)
    await store.apply(changed(InsertClient(a_client())))
    files = [path, Path(f"{path}-wal"), Path(f"{path}-shm")]
    assert [mode(file) for file in files] == [0o600] * 3
    assert mode(path.parent) == 0o700
    await store.close()


@pytest.mark.quick
def test_the_pragmas_hold_on_the_connection(path: Path) -> None:
    with closing(open_connection(path)) as db:
        assert {name: db.pragma(name) for name in PRAGMAS} == PRAGMAS
        assert db.pragma("busy_timeout") == 0, "the loop never waits for a lock"
    assert (PRAGMAS["journal_mode"], PRAGMAS["synchronous"], PRAGMAS["wal_autocheckpoint"]) == ("wal", 3, 1000)


def test_a_file_system_on_which_a_pragma_does_not_hold_is_refused(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"did not take PRAGMA journal_mode=wal \(it says memory\)"):
        open_connection(path, vfs="memdb")


@pytest.mark.parametrize("version", ["3.51.2", "3.40.1", "3.9.0"])
def test_an_sqlite_with_the_wal_reset_bug_is_refused(version: str) -> None:
    with pytest.raises(StoreUnavailable, match=f"SQLite {version} is too old"):
        connection._check_version(version)


@pytest.mark.parametrize("version", ["3.51.3", "3.54.1", "4.0.0"])
def test_an_sqlite_without_it_is_taken(version: str) -> None:
    connection._check_version(version)


def no_database(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)


def something_else(path: Path) -> None:
    altered(path, "CREATE TABLE something_else (x)")


def newer(path: Path) -> None:
    open_connection(path).close()
    altered(path, "INSERT INTO migration VALUES (999, '999_later.sql')")


def a_folder(path: Path) -> None:
    path.mkdir()


def in_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.touch()


@pytest.mark.quick
@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (no_database, "not a database"),
        (something_else, "database of something else"),
        (newer, r"written by a newer release of detent \(schema 999; this release knows \d+\). Start the newer"),
        (a_folder, "cannot be opened"),
        (in_a_file, "cannot be opened"),
    ],
)
async def test_what_is_no_store_of_ours_is_refused_and_left_alone(
    tmp_path: Path, prepare: Callable[[Path], None], sentence: str
) -> None:
    path = tmp_path / "folder" / "detent.db"
    path.parent.mkdir()
    prepare(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreUnavailable, match=sentence):
        await SqliteStore.open(path)
    after = path.read_bytes() if path.is_file() else None
    assert after == before


@pytest.mark.quick
async def test_what_was_written_is_there_after_reopening_and_the_store_keeps_its_name(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.apply(changed(InsertClient(a_client())))
    name = (await store.installation()).store_id
    await store.close()
    again = await SqliteStore.open(path)
    assert await again.client("app") == a_client()
    assert (await again.installation()).store_id == name
    await again.close()


@pytest.mark.quick
def test_two_stores_have_two_names(tmp_path: Path) -> None:
    names = set()
    for number in range(2):
        with closing(open_connection(tmp_path / f"{number}.db")) as db:
            names |= set(db.execute("SELECT store_id FROM installation").fetchall())
    assert len(names) == 2


@pytest.mark.quick
def test_the_known_migrations_are_numbered_without_a_gap() -> None:
    known = known_migrations("sqlite")
    assert [migration.number for migration in known] == list(range(1, len(known) + 1))
    assert all(migration.name.startswith(f"{migration.number:03}_") for migration in known)


def test_an_up_to_date_store_is_opened_without_a_lock(made: Path) -> None:
    with closing(apsw.Connection(str(made))) as writer:
        writer.execute("BEGIN IMMEDIATE")
        open_connection(made).close()


def test_an_older_store_gets_the_steps_it_lacks(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as db:
        migrate(db, [FIRST])
        migrate(db, [FIRST, SECOND])
        assert db.execute("SELECT x, y FROM a").fetchall() == [(1, None)]
        assert db.execute("SELECT x FROM b").fetchall() == [(1,)]
        assert migrations(db) == [(1, FIRST.name), (2, SECOND.name)]


async def test_a_store_from_before_sessions_keeps_its_families(path: Path) -> None:
    """Schema 2: what was granted before ends with no session."""
    family = a_family()
    with closing(apsw.Connection(str(path))) as db:
        migrate(db, known_migrations("sqlite")[:1])
        insert(db, "family", sql.INSERT_FAMILY, (*cold_values(family), *hot_values(family)))
    store = await SqliteStore.open(path)
    try:
        found = await store.family(family.key)
        assert found == FoundFamily(family, 0, None)
        await store.apply(changed(EndFamilies(family.key.placement, Subject("alice"), "logout", "bound")))
        assert await store.family(family.key) == found
    finally:
        await store.close()


async def test_a_client_from_before_numbers_keeps_its_cut_off(path: Path) -> None:
    """Schema 4: what the client was cut off from, or disabled for, before counts after it."""
    clients = [a_client("app"), a_client("gone", enabled=False, epoch=1), a_client("cut", epoch=7)]
    with closing(apsw.Connection(str(path))) as db:
        migrate(db, known_migrations("sqlite")[:3])
        for client in clients:
            insert(
                db, "client", sql.INSERT_CLIENT, (client.client_id, 1, client.enabled, client.epoch, json_of(client))
            )
    store = await SqliteStore.open(path)
    try:
        for number, (client_id, epoch) in enumerate([("app", 0), ("gone", 1), ("cut", 6), ("cut", 7)]):
            granted = an_authorization(client_id=client_id, number=number, epochs=Epochs(client=epoch))
            await store.apply(changed(InsertFamily(a_family(number, authorization=granted))))
        assert await store.ended(range(4), NOW) == [1, 2]
    finally:
        await store.close()


def insert(db: apsw.Connection, table: str, text: str, values: tuple[Value, ...]) -> None:
    """As `text` does, but only the columns that the table has by now."""
    present = {name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()}
    names = text.partition("(")[2].partition(")")[0].split(", ")
    row = {name: value for name, value in zip(names, values, strict=True) if name in present}
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    db.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(row.values()))  # noqa: S608


@pytest.mark.quick
def test_a_step_that_fails_leaves_nothing_behind_and_can_be_carried_out_later(path: Path) -> None:
    broken = Migration(2, SECOND.name, "INSERT INTO b VALUES (1); INSERT INTO missing VALUES (1)")
    with closing(apsw.Connection(str(path))) as db:
        with pytest.raises(apsw.SQLError, match="missing"):
            migrate(db, [FIRST, broken])
        assert migrations(db) == [(1, FIRST.name)]
        assert db.execute("SELECT * FROM b").fetchall() == []
        migrate(db, [FIRST, SECOND])
        assert db.execute("SELECT x, y FROM a").fetchall() == [(1, None)]


@pytest.mark.slow  # a process for each statement
def test_a_process_killed_at_any_statement_of_the_opening_can_be_followed_by_another(
    made: Path, tmp_path: Path
) -> None:
    """The script opens a new store per statement of the opening, in a process that dies just before that one."""
    script = Path(__file__).with_name("die_while_opening.py")
    run = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, check=True)
    left = sorted(tmp_path.glob("dead-*.db"))
    assert len(left) == int(run.stdout) > 20
    for path in left:
        open_connection(path).close()
        assert schema(path) == schema(made)
        with closing(apsw.Connection(str(path))) as db:
            assert len(db.execute("SELECT * FROM installation").fetchall()) == 1


def test_processes_that_make_the_same_store_at_once_make_one(path: Path) -> None:
    script = "import sys; from pathlib import Path; from detent.stores.sqlite.connection import open_connection\n"
    script += "print(open_connection(Path(sys.argv[1])).execute('SELECT store_id FROM installation').fetchall())"
    both = [subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True) for _ in "abcd"]
    told = {process.communicate()[0] for process in both}
    assert len(told) == 1
    assert "[('" in told.pop()
