"""The SQLite store passes the contract, and asks no more of SQLite than it says."""

import asyncio
import re
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest

from detent.core.changes import (
    InsertApi,
    InsertClient,
    InsertFamily,
    InsertRecord,
    RaiseServerEpoch,
    ReplaceClient,
    ReplaceFamily,
    changed,
)
from detent.core.errors import Conflict, StoreUnavailable
from detent.core.family import Family, Presented, Rotate, Surroundings, decide
from detent.core.ids import Instant
from detent.core.policy import KINDS
from detent.stores import sql
from detent.stores.sqlite import SqliteStore
from detent.testing.factories import NOW, a_client, a_family, a_record, an_api
from detent.testing.store_contract import CompleteStore, StoreContract

STRICT = KINDS["browser"].policy


class TestSqliteStore(StoreContract):
    async def make_store(self, folder: Path) -> CompleteStore:
        return await SqliteStore.open(folder / "detent.db")


def turned(family: Family) -> ReplaceFamily:
    presented = Presented(family.generation, family.epoch, origin=family.origin)
    decision = decide(family, presented, STRICT, Surroundings(), NOW)
    assert isinstance(decision, Rotate)
    return ReplaceFamily(decision.after)


async def refresh(store: SqliteStore, number: int) -> None:
    """What a refresh asks of the store."""
    assert await store.client("app")
    assert (await store.installation()).store_id
    assert await store.api("https://api.example/")
    found = await store.family(a_family(number).key)
    assert found
    await store.apply(changed(turned(found.family)))


async def warmed(store: SqliteStore, families: int) -> None:
    parts = [InsertFamily(a_family(number)) for number in range(families)]
    await store.apply(changed(InsertClient(a_client()), InsertApi(an_api()), *parts))
    await refresh(store, 0)


def without_pragmas(statements: list[str]) -> list[str]:
    return [text for text in statements if not text.startswith("PRAGMA")]


@pytest.mark.quick
async def test_a_refresh_is_one_select_one_update_and_no_insert(sqlite: SqliteStore, statements: list[str]) -> None:
    await warmed(sqlite, 1)
    statements.clear()
    before = msgspec.structs.astuple(sqlite.counters)
    await refresh(sqlite, 0)
    assert without_pragmas(statements) == [
        "BEGIN", sql.FAMILY, "ROLLBACK", "BEGIN IMMEDIATE", sql.REPLACE_FAMILY, "COMMIT",
    ]  # fmt: skip
    after = msgspec.structs.astuple(sqlite.counters)
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 0, 1]


@pytest.mark.quick
async def test_64_refreshes_at_once_share_their_commits(sqlite: SqliteStore, statements: list[str]) -> None:
    await warmed(sqlite, 64)
    statements.clear()
    before = sqlite.counters.commits
    await asyncio.gather(*(refresh(sqlite, number) for number in range(64)))
    assert statements.count(sql.FAMILY) == statements.count(sql.REPLACE_FAMILY) == 64
    assert not [text for text in statements if text.startswith("INSERT")]
    assert statements.count("COMMIT") == sqlite.counters.commits - before <= 4


@pytest.mark.quick
async def test_what_is_remembered_costs_no_statement(sqlite: SqliteStore, statements: list[str]) -> None:
    await warmed(sqlite, 1)
    assert await sqlite.client("nobody") is None
    statements.clear()
    began = asyncio.get_running_loop().time()
    for _ in range(1000):
        assert await sqlite.client("app")
        assert await sqlite.client("nobody") is None
        assert await sqlite.api("https://api.example/")
        assert (await sqlite.installation()).store_id
    questions = statements.count("PRAGMA data_version")
    assert questions <= 1 + 2 * (asyncio.get_running_loop().time() - began)
    assert set(statements) <= {"PRAGMA data_version", "BEGIN", "ROLLBACK"}


async def test_names_that_do_not_exist_push_out_no_client(path: Path) -> None:
    store = await SqliteStore.open(path, remembered=10)
    await store.apply(changed(InsertClient(a_client())))
    assert await store.client("app")
    before = store.counters.reads
    for number in range(100):
        assert await store.client(f"nobody {number}") is None
    assert store.counters.reads == before + 100
    assert await store.client("app")
    assert await store.client("nobody 99") is None
    assert store.counters.reads == before + 100, "the client and the last name are remembered"
    assert await store.client("nobody 0") is None
    assert store.counters.reads == before + 101, "the first name is forgotten"
    await store.close()


async def test_who_was_asked_for_last_is_remembered_longest(path: Path) -> None:
    store = await SqliteStore.open(path, remembered=3)
    await store.apply(changed(*(InsertClient(a_client(name)) for name in "abc")))
    for name in "abac":
        await store.installation()
        await store.client(name)
    before = store.counters.reads
    await store.client("a")
    assert store.counters.reads == before
    await store.client("b")
    assert store.counters.reads == before + 1
    await store.close()


async def test_who_gives_up_asking_whether_memory_is_fresh_stops_nobody_else(sqlite: SqliteStore) -> None:
    await sqlite.apply(changed(InsertClient(a_client())))
    first, second = asyncio.create_task(sqlite.client("app")), asyncio.create_task(sqlite.client("app"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == a_client()
    assert first.cancelled()


async def test_a_name_too_long_to_exist_is_not_remembered(sqlite: SqliteStore) -> None:
    await sqlite.client("x" * 5000)
    before = sqlite.counters.reads
    assert await sqlite.client("x" * 5000) is None
    assert sqlite.counters.reads == before + 1


async def test_a_read_that_raced_with_a_write_is_not_remembered(sqlite: SqliteStore) -> None:
    """The read of the same tick runs before the write; its answer must not outlive the write."""
    await sqlite.apply(changed(InsertClient(a_client())))
    second = changed(ReplaceClient(a_client(version=2, client_name="second")), RaiseServerEpoch())
    await asyncio.gather(sqlite.client("app"), sqlite.installation(), sqlite.apply(second))
    client = await sqlite.client("app")
    assert client
    assert (client.client_name, (await sqlite.installation()).server_epoch) == ("second", 1)


async def test_values_that_no_column_can_hold_fail_their_own_caller_only(sqlite: SqliteStore) -> None:
    outcomes = await asyncio.gather(
        sqlite.apply(changed(InsertRecord(a_record("good")))),
        sqlite.apply(changed(InsertRecord(a_record("\ud800")))),
        sqlite.apply(changed(InsertRecord(a_record("first")), InsertRecord(a_record("big", expires_at=1 << 70)))),
        sqlite.apply(changed(InsertRecord(a_record("none", value=None)))),
        sqlite.record("test", "\ud800"),
        sqlite.record("test", "missing"),
        return_exceptions=True,
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [type(None), UnicodeEncodeError, OverflowError, ValueError, UnicodeEncodeError, type(None)]
    assert await sqlite.record("test", "good")
    assert await sqlite.record("test", "first") is None


async def test_writes_are_made_undoable_only_where_one_of_them_was_half_done(
    sqlite: SqliteStore, statements: list[str]
) -> None:
    whole = changed(InsertRecord(a_record("a")), InsertRecord(a_record("b")))
    nothing = changed(InsertRecord(a_record("a")), InsertRecord(a_record("c")))
    half = changed(InsertRecord(a_record("c")), InsertRecord(a_record("a")))
    await sqlite.apply(whole)
    with pytest.raises(Conflict):
        await sqlite.apply(nothing)
    assert "SAVEPOINT part" not in statements
    beside = changed(InsertRecord(a_record("d")))
    outcomes = await asyncio.gather(sqlite.apply(beside), sqlite.apply(half), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), Conflict]
    assert statements.count("SAVEPOINT part") == 2
    assert await sqlite.record("test", "c") is None
    assert await sqlite.record("test", "d")


async def test_a_row_that_was_damaged_is_unavailable_and_its_neighbours_are_not(
    sqlite: SqliteStore, path: Path
) -> None:
    await sqlite.apply(changed(InsertFamily(a_family(1)), InsertFamily(a_family(2)), InsertClient(a_client())))
    with closing(apsw.Connection(str(path))) as other:
        other.execute("UPDATE family SET body = '{}' WHERE id = ?", (a_family(1).key.id,))
        other.execute("UPDATE client SET body = 'nonsense'")
    with pytest.raises(StoreUnavailable, match=a_family(1).key.text):
        await sqlite.family(a_family(1).key)
    with pytest.raises(StoreUnavailable, match="Client"):
        await sqlite.client("app")
    assert await sqlite.family(a_family(2).key)


@pytest.mark.parametrize(
    "name", [name for name, value in vars(sql).items() if name.isupper() and isinstance(value, str)]
)
async def test_no_statement_reads_a_whole_table(sqlite: SqliteStore, path: Path, name: str) -> None:
    plan = planned(path, getattr(sql, name))
    whole = {line for line in plan if line.startswith("SCAN")} - {"SCAN CONSTANT ROW", "SCAN installation"}
    if name in ("END_ALL_SESSIONS", "FORGET_RECORDS"):  # after a restore, while nobody is served
        return
    assert whole == set(), plan


@pytest.mark.quick
async def test_loading_and_swapping_a_family_use_the_primary_key(sqlite: SqliteStore, path: Path) -> None:
    key = "USING INDEX sqlite_autoindex_family_1 (placement=? AND id=?)"
    of_session = [
        line
        for number in (2, 3, 4, 5)
        for line in (
            f"CORRELATED SCALAR SUBQUERY {number}",
            "SEARCH s USING INDEX sqlite_autoindex_session_1 (placement=? AND sid=?)",
        )
    ]
    assert planned(path, sql.FAMILY) == [
        f"SEARCH f {key}",
        "CORRELATED SCALAR SUBQUERY 1",
        "SEARCH c USING PRIMARY KEY (placement=? AND subject=?)",
        *of_session,
    ]
    assert planned(path, sql.REPLACE_FAMILY) == [f"SEARCH family {key}"]


@pytest.mark.parametrize(
    ("of_subject", "of_client", "where"),
    [
        (False, False, "family_by_end (absolute_until>?)"),
        (False, True, "family_of_client (client_id=? AND absolute_until>?)"),
        (True, False, "family_of_subject (placement=? AND subject=?)"),
        (True, True, "family_of_subject (placement=? AND subject=? AND client_id=?)"),
    ],
)
async def test_a_list_of_families_goes_through_those_asked_for_alone(
    sqlite: SqliteStore, path: Path, of_subject: bool, of_client: bool, where: str
) -> None:
    plan = planned(path, sql.families(of_subject=of_subject, of_client=of_client))
    assert [line for line in plan if "family_" in line and "(placement=? AND id=?)" not in line] == [
        f"SEARCH family USING INDEX {where}"
    ]


async def test_a_family_that_ends_is_looked_for_among_those_of_its_person(sqlite: SqliteStore, path: Path) -> None:
    text = sql.end_families("all", of_client=False, of_session=True, but_session=False)
    assert planned(path, text) == ["SEARCH family USING INDEX family_of_subject (placement=? AND subject=?)"]


async def test_the_log_is_searched_for_what_it_is_about(sqlite: SqliteStore, path: Path) -> None:
    assert planned(path, sql.EVENTS_ABOUT) == ["SEARCH event USING INDEX event_about (about=? AND seq>?)"]


def planned(path: Path, text: str) -> list[str]:
    with closing(apsw.Connection(str(path))) as db:
        values = (None,) * len(set(re.findall(r"\?\d+", text)) or re.findall(r"\?", text))
        return [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()]


@pytest.mark.quick
async def test_nothing_that_a_refresh_changes_is_indexed(sqlite: SqliteStore, path: Path) -> None:
    with closing(apsw.Connection(str(path))) as db:
        indexed = {
            str(column)
            for (index,) in db.execute("SELECT name FROM pragma_index_list('family')").fetchall()
            for (column,) in db.execute("SELECT name FROM pragma_index_info(?)", (index,)).fetchall()
        }
    changing = sql.REPLACE_FAMILY.partition(" SET ")[2].partition(" WHERE ")[0]
    assert indexed
    assert not indexed & {assignment.partition(" = ")[0] for assignment in changing.split(", ")}


def sizes_of(path: Path) -> list[int]:
    """Bytes of the file and of its log."""
    return [file.stat().st_size for file in (path, Path(f"{path}-wal")) if file.exists()]


@pytest.mark.slow
async def test_100_000_rotations_of_one_family_leave_one_row_and_a_file_that_did_not_grow(path: Path) -> None:
    store = await SqliteStore.open(path)
    family = a_family(absolute_until=Instant(NOW * 2), idle_until=Instant(NOW * 2))
    await store.apply(changed(InsertFamily(family)))

    async def rotate(times: int) -> None:
        found = await store.family(family.key)
        assert found
        head, chain = found.family, []
        for _ in range(times):
            chain.append(turned(head))
            head = chain[-1].family
        await asyncio.gather(*(store.apply(changed(part)) for part in chain))  # in order, within shared commits

    for _ in range(1000):  # beyond the first checkpoint
        await rotate(10)
    sizes = sizes_of(path)
    for _ in range(900):
        await rotate(100)
    assert sizes_of(path) == sizes
    assert [each.generation for each in await store.families()] == [100_001]
    assert list(await store.events()) == []
    await store.close()
    assert sizes_of(path) == sizes[:1]
