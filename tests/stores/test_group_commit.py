"""One commit for many: answered after the disk, all refused when it fails, nobody in the way of anybody else."""

import asyncio
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from detent.core.changes import (
    ConsumeRecord,
    InsertClient,
    InsertFamily,
    InsertRecord,
    ReplaceClient,
    ReplaceFamily,
    changed,
)
from detent.core.errors import Conflict, StoreUnavailable
from detent.stores import sql
from detent.stores.sqlite import SqliteStore
from detent.testing.factories import NOW, a_client, a_family, a_record
from tests.stores.disk import Disk

pytestmark = pytest.mark.quick

INSERT = changed(InsertFamily(a_family()))
SWAP = changed(ReplaceFamily(a_family(version=2, generation=2)))


async def generation(store: SqliteStore) -> int:
    found = await store.family(a_family().key)
    assert found
    return found.family.generation


async def test_no_write_is_answered_before_the_disk_has_it(on_disk: SqliteStore, disk: Disk) -> None:
    await on_disk.apply(INSERT)
    synced = disk.syncs
    async with disk.hold() as committing:
        writing = asyncio.create_task(on_disk.apply(SWAP))
        await committing.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not writing.done()
        assert disk.syncs == synced
    await writing
    assert disk.syncs == synced + 1


async def test_while_the_disk_is_slow_the_loop_goes_on_and_the_next_commit_collects(
    on_disk: SqliteStore, disk: Disk
) -> None:
    await on_disk.apply(changed(InsertClient(a_client())))
    assert await on_disk.client("app")
    commits = on_disk.counters.commits
    async with disk.hold() as committing:
        first = asyncio.create_task(on_disk.apply(INSERT))
        await committing.wait()
        rest = [asyncio.create_task(on_disk.apply(changed(InsertRecord(a_record(f"{n}"))))) for n in range(50)]
        reading = asyncio.create_task(generation(on_disk))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await on_disk.client("app"), "what is remembered is answered meanwhile"
        assert not any(task.done() for task in (first, reading, *rest))
    await asyncio.gather(first, *rest)
    assert await reading == 1
    assert on_disk.counters.commits == commits + 2


async def test_a_read_never_sees_what_is_not_yet_durable(on_disk: SqliteStore, disk: Disk, path: Path) -> None:
    await on_disk.apply(INSERT)
    disk.breaks_on_sync = True
    async with disk.hold() as committing:
        writing = asyncio.create_task(on_disk.apply(SWAP))
        await committing.wait()
        reading = asyncio.create_task(generation(on_disk))
        await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await writing
    with pytest.raises(StoreUnavailable):
        await reading
    disk.breaks_on_sync = False
    reopened = await SqliteStore.open(path)
    assert await generation(reopened) == 1
    await reopened.close()


ASKED = [
    SWAP,
    SWAP,
    changed(ReplaceClient(a_client(version=2, client_name="second"))),
    *(changed(InsertRecord(a_record(f"{n}"))) for n in range(20)),
]


async def test_attack_f4_a_full_disk_refuses_everyone_changes_nothing_and_is_over_when_there_is_room(
    on_disk: SqliteStore, disk: Disk
) -> None:
    await on_disk.apply(INSERT)
    await on_disk.apply(changed(InsertClient(a_client())))
    disk.is_full = True
    outcomes = await asyncio.gather(*map(on_disk.apply, ASKED), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    disk.is_full = False
    assert await generation(on_disk) == 1
    assert await on_disk.client("app") == a_client()
    assert await on_disk.record("test", "0") is None
    await asyncio.gather(*map(on_disk.apply, ASKED[1:]))
    assert await generation(on_disk) == 2


async def test_attack_f5_after_a_failed_sync_nothing_is_written_until_the_next_start(
    on_disk: SqliteStore, disk: Disk, path: Path
) -> None:
    """A sync that failed may succeed when it is asked again, without what the first one was to bring."""
    await on_disk.apply(INSERT)
    disk.breaks_on_sync = True
    outcomes = await asyncio.gather(*map(on_disk.apply, ASKED), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    disk.breaks_on_sync = False
    for ask in (on_disk.apply(SWAP), on_disk.record("test", "0"), on_disk.installation()):
        with pytest.raises(StoreUnavailable, match="start detent again"):
            await ask
    await on_disk.close()
    reopened = await SqliteStore.open(path)
    assert await generation(reopened) == 1
    await reopened.apply(SWAP)
    assert await generation(reopened) == 2
    await reopened.close()


async def test_who_gives_up_while_the_disk_is_slow_takes_nothing_back(on_disk: SqliteStore, disk: Disk) -> None:
    await on_disk.apply(changed(InsertClient(a_client())))
    assert await on_disk.client("app") == a_client()
    second = a_client(version=2, client_name="second")
    async with disk.hold() as committing:
        writing = [asyncio.create_task(on_disk.apply(change)) for change in (changed(ReplaceClient(second)), INSERT)]
        await committing.wait()
        writing[0].cancel()
        await asyncio.gather(writing[0], return_exceptions=True)
    await writing[1]
    assert writing[0].cancelled()
    assert await on_disk.client("app") == second, "what was remembered was forgotten all the same"


async def test_who_gives_up_before_the_commit_began_leaves_the_batch_whole(on_disk: SqliteStore, disk: Disk) -> None:
    async with disk.hold() as committing:
        first = asyncio.create_task(on_disk.apply(INSERT))
        await committing.wait()
        waiting = [asyncio.create_task(on_disk.apply(changed(InsertRecord(a_record(f"{n}"))))) for n in range(9)]
        reading = asyncio.create_task(on_disk.record("test", "0"))
        await asyncio.sleep(0)
        for task in (*waiting[::2], reading):
            task.cancel()
    outcomes = await asyncio.gather(first, *waiting[1::2])
    assert outcomes == [None] * 5
    assert all([await on_disk.record("test", f"{n}") for n in range(1, 9, 2)])


async def test_too_many_who_wait_are_refused_at_once(on_disk: SqliteStore, disk: Disk) -> None:
    async with disk.hold() as committing:
        first = asyncio.create_task(on_disk.apply(INSERT))
        await committing.wait()
        waiting = [asyncio.create_task(on_disk.apply(changed(InsertRecord(a_record(f"{n}"))))) for n in range(100)]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="100 requests"):
            await on_disk.apply(changed(InsertRecord(a_record("one too many"))))
        with pytest.raises(StoreUnavailable, match="100 requests"):
            await on_disk.family(a_family().key)
    await asyncio.gather(first, *waiting)
    assert await on_disk.record("test", "one too many") is None


async def test_reads_of_a_tick_are_carried_out_at_once_and_share_a_transaction_that_ends_with_it(
    path: Path, statements: list[str]
) -> None:
    async with asyncio.timeout(60):
        store = await SqliteStore.open(path)
        await store.apply(INSERT)
        statements.clear()
        for _ in range(3):
            with pytest.raises(StopIteration) as answered:
                store.family(a_family().key).send(None)
            assert answered.value.value.family == a_family()
        assert statements == ["BEGIN", sql.FAMILY, sql.FAMILY, sql.FAMILY]
        await asyncio.sleep(0)
        assert statements[4:] == ["ROLLBACK"]
        await store.close()


async def test_what_another_process_committed_before_this_tick_is_seen_in_it(path: Path) -> None:
    store, another = await SqliteStore.open(path), await SqliteStore.open(path)
    await store.apply(INSERT)
    assert await generation(store) == 1
    swapped = asyncio.ensure_future(another.apply(SWAP))
    while not swapped.done():
        assert await generation(store) in (1, 2)
        await asyncio.sleep(0)
    assert await generation(store) == 2
    await store.close()
    await another.close()


async def test_a_flood_of_reads_does_not_hold_up_the_loop(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.apply(INSERT)
    reading = [asyncio.create_task(generation(store)) for _ in range(600)]
    done = []
    while not all(task.done() for task in reading):
        await asyncio.sleep(0)
        done.append(sum(task.done() for task in reading))
    assert done[0] == 256
    assert len(done) > 3
    await store.close()


async def test_a_flood_is_carried_out_in_portions(path: Path) -> None:
    store = await SqliteStore.open(path)
    keys = [f"{n}" for n in range(1000)]
    await asyncio.gather(*(store.apply(changed(InsertRecord(a_record(key)))) for key in keys))
    assert 4 <= store.counters.commits <= 5
    assert all(await asyncio.gather(*(store.record("test", key) for key in keys)))
    await store.close()


async def test_a_conflict_is_found_within_one_commit_and_the_rest_of_it_holds(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.apply(INSERT)
    asked = [
        SWAP,
        SWAP,
        changed(InsertRecord(a_record()), ConsumeRecord("test", "never", 1, NOW)),
        changed(InsertRecord(a_record("kept")), InsertRecord(a_record("kept too"))),
    ]
    outcomes = await asyncio.gather(*map(store.apply, asked), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), Conflict, Conflict, type(None)]
    assert store.counters.commits == 2
    assert await store.record("test", "one") is None
    assert await store.record("test", "kept")
    await store.close()


async def test_another_writer_is_waited_for_while_reads_go_on(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.apply(INSERT)
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN IMMEDIATE; UPDATE installation SET server_epoch = 7")
        writing = asyncio.create_task(store.apply(SWAP))
        for _ in range(20):
            assert await generation(store) == 1
        assert not writing.done()
        other.execute("COMMIT")
        await writing
    assert await generation(store) == 2
    await store.close()


async def test_a_writer_that_never_ends_makes_the_store_unavailable_and_no_longer_than_that(path: Path) -> None:
    store = await SqliteStore.open(path, patience=0.05)
    await store.apply(INSERT)
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(5):
            outcomes = await asyncio.gather(*(store.apply(SWAP) for _ in range(8)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        assert await generation(store) == 1
    await store.apply(SWAP)
    assert await generation(store) == 2
    await store.close()


async def test_closing_finishes_what_was_asked_for_and_refuses_the_rest(path: Path) -> None:
    store = await SqliteStore.open(path)
    writing = [asyncio.create_task(store.apply(changed(InsertRecord(a_record(f"{n}"))))) for n in range(600)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*writing)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.apply(INSERT)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.client("app")
    await store.close()
    reopened = await SqliteStore.open(path)
    assert await reopened.record("test", "599")
    await reopened.close()
