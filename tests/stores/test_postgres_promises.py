"""What the PostgreSQL store promises beside the contract: one part of a table, heap-only updates, nothing guessed.

Whatever the server does while a commit is under way, the store answers with what happened or says that it is not
known; and what it has answered is there for every other node.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from unittest.mock import AsyncMock

import psycopg
import pytest
from msgspec import structs
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool

from detent.core.changes import (
    Changes,
    EndFamilies,
    EndSessions,
    InsertApi,
    InsertClient,
    InsertFamily,
    InsertRecord,
    InsertSession,
    InsertUser,
    Part,
    RaiseServerEpoch,
    RemoveConsent,
    ReplaceClient,
    ReplaceFamily,
    ReplaceRecord,
    Restored,
    SaveConsent,
    SlideSession,
    changed,
)
from detent.core.errors import Conflict, StoreUnavailable
from detent.core.family import Family, Origin, Presented, Rotate, Surroundings, decide
from detent.core.ids import ClientId, FamilyKey, Subject
from detent.core.policy import KINDS
from detent.stores import sql
from detent.stores.postgres import PostgresStore
from detent.stores.postgres.gathered import FOUND, FOUND_UNLESS, READ, REPLACED, asked_in_json, replaced_in_json
from detent.stores.postgres.statements import numbered
from detent.stores.rows import Value
from detent.stores.statements import steps_of
from detent.testing.factories import NOW, a_client, a_consent, a_family, a_record, a_session, a_user, an_api, an_event
from tests.postgres import Cluster, roomy

pytestmark = pytest.mark.slow
STRICT = KINDS["browser"].policy


def turned(family: Family) -> Family:
    presented = Presented(family.generation, family.epoch, origin=family.origin)
    decision = decide(family, presented, STRICT, Surroundings(), NOW)
    assert isinstance(decision, Rotate)
    return decision.after


async def stored(store: PostgresStore, key: FamilyKey) -> Family:
    found = await store.family(key)
    assert found
    return found.family


@pytest.fixture
def other(conninfo: str) -> Iterator[psycopg.Connection]:
    """Somebody else at the same database."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        yield connection


@asynccontextmanager
async def opened(conninfo: str, **options: float) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.open(conninfo, **options)  # type: ignore[arg-type]
    try:
        yield store
    finally:
        await store.close()


# What a request costs


def hot() -> list[tuple[str, tuple[Value, ...]]]:
    key, session = a_family().key, a_session()
    parts: list[Part] = [
        ReplaceFamily(turned(a_family())),
        EndFamilies(key.placement, a_family().authorization.subject, "user"),
        SlideSession(session.key, session.life),
    ]
    writes = [(step.text, step.values) for step in steps_of(changed(*parts))]
    reads: list[tuple[str, tuple[Value, ...]]] = [
        (sql.SESSION, (key.placement, session.sid)),
        (sql.CONSENT, (key.placement, "alice", "app")),
    ]
    return reads + writes


@pytest.mark.parametrize("statement", range(len(hot())))
async def test_a_hot_statement_touches_one_part_of_each_table(conninfo: str, statement: int) -> None:
    text, values = hot()[statement]
    async with await psycopg.AsyncConnection.connect(conninfo, cursor_factory=psycopg.AsyncRawCursor) as connection:
        cursor = await connection.execute(b"EXPLAIN " + numbered(text), values)
        plan = "\n".join(line for (line,) in await cursor.fetchall())
    parts = set(re.findall(r"(?:Scan|Update|on) (?:using \w+ on )?((?:family|session|consent|cutoff)_\d+)", plan))
    tables = [part.rsplit("_", 1)[0] for part in parts]
    assert tables, plan
    assert len(tables) == len(set(tables)), plan


_TOUCHED = "SELECT relname FROM pg_stat_xact_user_tables WHERE idx_scan > 0 OR seq_scan > 0"


@pytest.mark.parametrize("what", ["refresh, read", "refresh, turned", "introspection", "session", "consent"])
async def test_what_is_asked_for_together_touches_one_part_of_each_table_for_each_that_asks(
    postgres: PostgresStore, other: psycopg.Connection, what: str
) -> None:
    session = a_session()
    granted = structs.replace(a_family().authorization, session_id=session.sid)
    family = structs.replace(a_family(), authorization=granted)
    await postgres.apply(changed(InsertSession(session), InsertFamily(family), SaveConsent(a_consent())))
    key, [step] = family.key, steps_of(changed(ReplaceFamily(turned(family))))
    found: tuple[object, ...] = ([key.placement], [key.id])
    asked: dict[str, tuple[bytes, tuple[object, ...], list[str]]] = {
        "refresh, read": (FOUND, found, ["cutoff", "family", "session"]),
        "refresh, turned": (REPLACED, (replaced_in_json([step.values]),), ["family"]),
        "introspection": (FOUND_UNLESS, (*found, ["test"], ["one"]), ["cutoff", "family", "record", "session"]),
        "session": (READ[sql.SESSION], (asked_in_json([(0, (key.placement, session.sid))]),), ["cutoff", "session"]),
        "consent": (READ[sql.CONSENT], (asked_in_json([(0, (key.placement, "alice", "app"))]),), ["consent"]),
    }
    text, values, expected = asked[what]
    with other.transaction():
        assert len(psycopg.RawCursor(other).execute(text, values).fetchall()) == 1
        touched = {str(table) for (table,) in other.execute(_TOUCHED).fetchall()}
    assert sorted(part.rsplit("_", 1)[0] for part in touched) == expected, touched


async def test_what_is_asked_at_once_shares_a_commit_and_each_has_its_own_answer(postgres: PostgresStore) -> None:
    families = [a_family(number, subject=f"user {number}") for number in range(24)]
    await postgres.apply(changed(*(InsertFamily(family) for family in families)))
    before = postgres.counters.commits
    keys = [a_family(99).key, *(family.key for family in families), families[0].key]
    missing, *found = await asyncio.gather(*map(postgres.family, keys))
    assert missing is None
    assert [each and each.family for each in found] == [*families, families[0]]

    once, twice = turned(families[0]), turned(families[1])
    late = turned(turned(families[2]))
    outcomes = await asyncio.gather(
        *(postgres.apply(changed(ReplaceFamily(each))) for each in (once, twice, twice, late, turned(families[3]))),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), Conflict, Conflict, type(None)]
    assert postgres.counters.commits == before + 1
    assert [(await stored(postgres, family.key)).version for family in families[:5]] == [2, 2, 1, 2, 1]


async def test_what_is_new_at_once_shares_a_commit_and_whoever_comes_second_is_told_so_alone(
    postgres: PostgresStore,
) -> None:
    families = [a_family(number, subject=f"user {number}") for number in range(26)]

    async def born(*numbers: int) -> list[str]:
        new = [Changes((InsertFamily(families[each]),), (an_event(about=f"{each}"),)) for each in numbers]
        outcomes = await asyncio.gather(*map(postgres.apply, new), return_exceptions=True)
        return [type(outcome).__name__ for outcome in outcomes]

    before = postgres.counters.commits
    assert await born(*range(24)) == ["NoneType"] * 24
    assert postgres.counters.commits == before + 1
    new, known, *twice = await born(24, 7, 25, 25)
    assert (new, known, sorted(twice)) == ("NoneType", "Conflict", ["Conflict", "NoneType"])
    assert [await stored(postgres, family.key) for family in families] == families
    assert sorted(int(event.about) for _, event in await postgres.events()) == list(range(26))


async def test_one_that_comes_second_costs_the_others_of_its_moment_few_commits(postgres: PostgresStore) -> None:
    new = [changed(InsertFamily(a_family(number, subject=f"user {number}"))) for number in range(32)]
    await postgres.apply(new[7])
    before = postgres.counters.commits
    outcomes = await asyncio.gather(*map(postgres.apply, new), return_exceptions=True)
    assert [number for number, outcome in enumerate(outcomes) if outcome] == [7]
    assert isinstance(outcomes[7], Conflict)
    assert postgres.counters.commits == before + 5, "sixteen, eight, four, two and one"


async def test_sign_ins_of_one_moment_share_a_commit_and_who_left_in_it_begins_nothing(
    postgres: PostgresStore,
) -> None:
    people = [f"user {number}" for number in range(8)]
    sessions = [a_session(number, subject=person) for number, person in enumerate(people)]
    consents = [SaveConsent(a_consent(subject=person)) for person in people]
    await postgres.apply(changed(*map(InsertSession, sessions), *consents))

    async def born(first: int, last: int) -> list[type]:
        new = []
        for number in range(first, last):
            session, family = sessions[number], a_family(number, subject=people[number])
            granted = structs.replace(family.authorization, session_id=session.sid)
            part = InsertFamily(
                structs.replace(family, authorization=granted), in_session=True, consented=number % 2 > 0
            )
            new.append(Changes((part,), (an_event(about=f"{number}"),)))
        outcomes = await asyncio.gather(*map(postgres.apply, new), return_exceptions=True)
        return [type(outcome) for outcome in outcomes]

    before = postgres.counters.commits
    assert await born(0, 4) == [type(None)] * 4
    assert postgres.counters.commits == before + 1
    placement, subject = sessions[4].key.placement, sessions[4].subject
    await postgres.apply(
        changed(EndSessions(placement, subject, "user"), RemoveConsent(Subject(people[7]), ClientId("app")))
    )
    assert await born(4, 8) == [Conflict, type(None), type(None), Conflict]
    assert sorted(event.about for _, event in await postgres.events()) == ["0", "1", "2", "3", "5", "6"]


async def test_rows_that_are_asked_for_at_once_are_read_on_one_connection(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await postgres.apply(changed(InsertRecord(a_record("one")), InsertUser(a_user("alice")), InsertUser(a_user("bob"))))
    taken = AsyncMock(wraps=AsyncConnectionPool.getconn)
    monkeypatch.setattr(AsyncConnectionPool, "getconn", lambda *args: taken(*args))
    names = ("alice", "nobody", "bob")
    users, one, none = await asyncio.gather(
        asyncio.gather(*map(postgres.user, names)), postgres.record("test", "one"), postgres.record("test", "two")
    )
    assert [user and user.subject for user in users] == ["alice", None, "bob"]
    assert (one, none) == (a_record("one"), None)
    assert taken.await_count == 1
    first, nul, last = await asyncio.gather(*(postgres.record("test", key) for key in ("one", "on\0e", "one")))
    assert (first, nul, last) == (a_record("one"), None, a_record("one")), "none for want of a column that holds it"


async def test_a_family_that_no_row_can_hold_is_refused_alone(postgres: PostgresStore) -> None:
    families = [a_family(number, subject=f"user {number}") for number in range(3)]
    await postgres.apply(changed(*(InsertFamily(family) for family in families)))
    good, nul, big = map(turned, families)
    nul = structs.replace(nul, origin=Origin(b"", "nul\0"))
    big = structs.replace(big, generation=1 << 70)
    outcomes = await asyncio.gather(
        *(postgres.apply(changed(ReplaceFamily(each))) for each in (good, nul, big)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, ValueError]
    assert [(await stored(postgres, family.key)).version for family in families] == [2, 1, 1]


async def test_a_row_that_somebody_locks_holds_up_nobody_else(
    postgres: PostgresStore, other: psycopg.Connection
) -> None:
    one, two = (a_family(number, subject=f"user {number}") for number in range(2))
    await postgres.apply(changed(InsertFamily(one), InsertFamily(two)))
    with other.transaction():
        other.execute("SELECT 1 FROM family WHERE subject = 'user 0' FOR UPDATE")
        held = asyncio.create_task(postgres.apply(changed(ReplaceFamily(turned(one)))))
        await until_waiting(other)
        await postgres.apply(changed(ReplaceFamily(turned(two))))
        assert not held.done()
    await held


async def test_refreshes_that_lock_each_other_out_are_all_done(
    postgres: PostgresStore, other: psycopg.Connection
) -> None:
    """The server ends one of two that wait for each other; if it is ours, each of its refreshes is done alone."""
    families = [a_family(number, subject=f"user {number}") for number in range(2)]
    await postgres.apply(changed(*(InsertFamily(family) for family in families)))
    first, last = sorted(families, key=lambda family: (family.key.placement, family.key.id))
    other.execute("SET deadlock_timeout = '60s'")  # so that it is ours
    with other.transaction():
        lock = "SELECT 1 FROM family WHERE id = %s FOR UPDATE"
        other.execute(lock, (last.key.id,))
        held = asyncio.gather(*(postgres.apply(changed(ReplaceFamily(turned(family)))) for family in families))
        await until_waiting(other)
        await asyncio.to_thread(other.execute, lock, (first.key.id,))
    await held
    assert [(await stored(postgres, family.key)).version for family in families] == [2, 2]


async def test_a_column_of_a_later_release_disturbs_no_node_that_serves(
    postgres: PostgresStore, other: psycopg.Connection
) -> None:
    family = a_family()
    await postgres.apply(changed(InsertFamily(family)))
    for number in range(3):
        family = turned(await stored(postgres, family.key))
        await postgres.apply(changed(ReplaceFamily(family)))
        other.execute(f"ALTER TABLE family ADD COLUMN later_{number} text NOT NULL DEFAULT 'x'")
    assert (await stored(postgres, family.key)).version == 4
    assert other.execute("SELECT later_0, later_2 FROM family").fetchall() == [("x", "x")]


async def test_a_refresh_is_one_select_one_update_and_no_insert(postgres: PostgresStore) -> None:
    await postgres.apply(changed(InsertClient(a_client()), InsertApi(an_api()), InsertFamily(a_family())))
    await postgres.client("app")
    before = (postgres.counters.reads, postgres.counters.writes, postgres.counters.inserts)
    await postgres.apply(changed(ReplaceFamily(turned(await stored(postgres, a_family().key)))))
    after = (postgres.counters.reads, postgres.counters.writes, postgres.counters.inserts)
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 0]


async def test_every_refresh_is_a_heap_only_update(postgres: PostgresStore, other: psycopg.Connection) -> None:
    """Else each would write into every index, and the table would grow with the refreshes."""
    families = [a_family(number, subject=f"user {number}") for number in range(50)]
    await postgres.apply(changed(*(InsertFamily(family) for family in families)))
    for _ in range(40):
        families = [turned(family) for family in families]
        await asyncio.gather(*(postgres.apply(changed(ReplaceFamily(family))) for family in families))
    await postgres.close()
    await asyncio.sleep(0.1)  # the last session tells its counts when it ends
    counts = "SELECT sum(n_tup_upd), sum(n_tup_hot_upd) FROM pg_stat_user_tables WHERE relname LIKE 'family\\_%'"
    assert other.execute(counts).fetchone() == (2000, 2000)


# Outcomes that are not known


async def test_a_commit_that_takes_longer_than_its_deadline_is_unknown_and_not_done_again(
    conninfo: str, other: psycopg.Connection
) -> None:
    family = a_family()
    async with opened(conninfo, patience=0.3) as store:
        await store.apply(changed(InsertFamily(family)))
        with other.transaction():
            other.execute("SELECT 1 FROM family FOR UPDATE")
            with pytest.raises(StoreUnavailable):
                await store.apply(changed(ReplaceFamily(turned(family))))
        await asyncio.sleep(0.2)
        assert (await stored(store, family.key)).version in (family.version, family.version + 1)
        assert await store.client("nobody") is None


async def test_a_connection_that_is_cut_is_unknown_and_the_next_request_has_another(
    postgres: PostgresStore, other: psycopg.Connection
) -> None:
    await postgres.apply(changed(InsertFamily(a_family())))
    with other.transaction():
        other.execute("SELECT 1 FROM family FOR UPDATE")
        swap = asyncio.create_task(postgres.apply(changed(ReplaceFamily(turned(a_family())))))
        await until_waiting(other)
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        with pytest.raises(StoreUnavailable):
            await swap
    assert (await stored(postgres, a_family().key)).generation == 1
    await postgres.apply(changed(ReplaceFamily(turned(a_family()))))


async def until_given_up(caplog: pytest.LogCaptureFixture, times: int) -> None:
    async with asyncio.timeout(10):
        while caplog.text.count("reconnection attempt") < times:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_whoever_waits_is_served_as_soon_as_the_server_is_back_though_nobody_else_asks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever comes meanwhile waits for the same answer, and would ask for no connection either."""
    with Cluster(folder=roomy()) as cluster:
        store = await PostgresStore.open(cluster.conninfo(), patience=20)
        await store.client(ClientId("nobody"))
        await asyncio.to_thread(cluster.stop)
        asked = asyncio.create_task(store.family(a_family().key))
        await until_given_up(caplog, 2)  # the idle connection, and the one for whoever asks
        await asyncio.to_thread(cluster.start)
        async with asyncio.timeout(5):
            assert await asked is None
        await store.close()


async def test_a_server_that_comes_up_while_it_is_waited_for_is_served_from(caplog: pytest.LogCaptureFixture) -> None:
    with Cluster(folder=roomy()) as cluster:
        await asyncio.to_thread(cluster.stop)
        opening = asyncio.create_task(PostgresStore.open(cluster.conninfo(), opening=20))
        await until_given_up(caplog, 1)
        await asyncio.to_thread(cluster.start)
        await (await opening).close()


async def test_who_comes_when_a_question_has_waited_long_does_not_share_its_fate(
    conninfo: str, other: psycopg.Connection
) -> None:
    store = await PostgresStore.open(conninfo, patience=3)
    with other.transaction():
        other.execute("LOCK TABLE installation")
        early = asyncio.create_task(store.client(ClientId("nobody")))
        await until_waiting(other)
        await asyncio.sleep(1.1)
        late = asyncio.create_task(store.client(ClientId("nobody")))
        with pytest.raises(StoreUnavailable):
            await early
    assert await late is None
    await store.close()


async def test_what_a_standby_did_not_confirm_is_never_acknowledged(cluster: Cluster, conninfo: str) -> None:
    """PostgreSQL answers a cancelled wait with success and a warning, and shows the change to everybody."""
    family = a_family()
    async with opened(conninfo) as store:
        await store.apply(changed(InsertFamily(family)))
        with synchronous(cluster), psycopg.connect(conninfo, autocommit=True) as other:
            for parts in ((ReplaceFamily(turned(family)),), (InsertRecord(a_record()), InsertRecord(a_record("two")))):
                write = asyncio.create_task(store.apply(Changes(parts)))
                await until_waiting(other, "IPC")
                other.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
                with pytest.raises(StoreUnavailable, match="standby"):
                    await write
            assert (await stored(store, family.key)).generation == 2, "it is there, and nobody was told so"


async def until_waiting(other: psycopg.Connection, kind: str = "Lock") -> None:
    asked = f"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = '{kind}' AND application_name = 'detent'"  # noqa: S608
    while other.execute(asked).fetchone() == (0,):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


class synchronous:
    """While it lasts, every commit of this server waits for a standby that there is not."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def __enter__(self) -> None:
        self._cluster.confirmed_by("nobody")

    def __exit__(self, *_: object) -> None:
        self._cluster.confirmed_by("")
        while self._cluster.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"):
            time.sleep(0.01)


async def test_while_no_standby_confirms_nothing_more_is_written_and_everything_is_read(
    cluster: Cluster, conninfo: str
) -> None:
    first, second = a_family(1), a_family(2)
    async with opened(conninfo, patience=0.4) as store:
        await store.apply(changed(InsertFamily(first), InsertFamily(second)))
        with synchronous(cluster), psycopg.connect(conninfo, autocommit=True) as other:
            with pytest.raises(StoreUnavailable):
                await store.apply(changed(ReplaceFamily(turned(first))))
            for write in (
                ReplaceFamily(turned(second)),
                InsertRecord(a_record()),
                EndFamilies(1, first.authorization.subject, "user"),
            ):
                with pytest.raises(StoreUnavailable, match="standbys"):
                    await store.apply(changed(write))
            assert (await stored(store, second.key)).generation == 1
            held = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            assert other.execute(held).fetchone() == (1,)
        await store.apply(changed(ReplaceFamily(turned(second))))
        assert [(await stored(store, family.key)).generation for family in (first, second)] == [2, 2]


async def test_who_waits_for_a_lock_and_has_hung_up_is_gone_where_the_role_says_so(
    conninfo: str, other: psycopg.Connection
) -> None:
    """As docs/operations.md tells operators to set it."""
    name = conninfo_to_dict(conninfo)["dbname"]
    other.execute(f"ALTER DATABASE {name} SET client_connection_check_interval = '100ms'".encode())
    async with opened(conninfo, patience=0.3) as store:
        await store.apply(changed(InsertFamily(a_family())))
        with other.transaction():
            other.execute("SELECT 1 FROM family FOR UPDATE")
            swap = asyncio.create_task(store.apply(changed(ReplaceFamily(turned(a_family())))))
            await until_waiting(other)
            with pytest.raises(StoreUnavailable):
                await swap
            async with asyncio.timeout(10):
                while other.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        assert (await stored(store, a_family().key)).generation == 1, "and has changed nothing"


async def test_an_answer_that_writes_nothing_rests_on_nothing_that_a_standby_did_not_confirm(
    cluster: Cluster, conninfo: str
) -> None:
    """Attack F9: what a cancelled wait left behind is seen by every read, and gone after the failover."""
    async with opened(conninfo, patience=1) as plain:
        store = PostgresStore(plain._backend, remembered=10, replicated=True)
        await store.apply(changed(InsertFamily(a_family())))
        await store.confirm(a_family().key, 1)
        with synchronous(cluster), psycopg.connect(conninfo, autocommit=True) as other:
            write = asyncio.create_task(store.apply(changed(ReplaceFamily(turned(a_family())))))
            await until_waiting(other, "IPC")
            other.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            with pytest.raises(StoreUnavailable, match="standby"):
                await write
            assert (await stored(store, a_family().key)).generation == 2, "the read sees it"
            with pytest.raises(StoreUnavailable):
                await store.confirm(a_family().key, 2)
            await plain.confirm(a_family().key, 2)
        await store.confirm(a_family().key, 2)
        with pytest.raises(Conflict):  # what was read is not there: another server answers than the one that was read
            await store.confirm(a_family().key, 3)
        await plain.confirm(a_family().key, 3)
        await store.apply(changed(ReplaceFamily(a_family(version=3, status="revoked", ended_by="user"))))
        with pytest.raises(Conflict):  # nor does an answer rest on what has ended, whatever its version
            await store.confirm(a_family().key, 3)


async def test_who_gives_up_waiting_takes_nothing_back(postgres: PostgresStore, other: psycopg.Connection) -> None:
    await postgres.apply(changed(InsertFamily(a_family())))
    with other.transaction():
        other.execute("SELECT 1 FROM family FOR UPDATE")
        swap = asyncio.create_task(postgres.apply(changed(ReplaceFamily(turned(a_family())))))
        await until_waiting(other)
        swap.cancel()
        with pytest.raises(asyncio.CancelledError):
            await swap
    await postgres.close()
    assert other.execute("SELECT generation FROM family").fetchone() == (2,)


async def test_two_that_lock_each_other_out_are_both_done(postgres: PostgresStore) -> None:
    for number in range(2):
        await postgres.apply(changed(InsertRecord(a_record(str(number)))))
    one, two = (a_record(str(number), version=2) for number in range(2))
    parts = [InsertRecord(a_record(f"between {number}")) for number in range(40)]
    for _ in range(10):
        outcomes = await asyncio.gather(
            postgres.apply(changed(ReplaceRecord(one), *parts, ReplaceRecord(two))),
            postgres.apply(changed(ReplaceRecord(two), *parts, ReplaceRecord(one))),
            return_exceptions=True,
        )
        assert {type(outcome) for outcome in outcomes} <= {type(None), Conflict}


# Many nodes


async def test_what_one_node_registers_the_others_know_within_a_second(conninfo: str) -> None:
    async with opened(conninfo) as here, opened(conninfo) as there:
        assert await there.client("app") is None
        await here.apply(changed(InsertClient(a_client())))
        await asyncio.sleep(0.6)
        assert await there.client("app")
        await here.apply(changed(ReplaceClient(a_client(version=2, client_name="new")), RaiseServerEpoch()))
        await asyncio.sleep(0.6)
        known = await there.client("app")
        assert known
        assert (known.client_name, (await there.installation()).server_epoch) == ("new", 1)


async def test_what_this_node_registers_it_sees_at_once(postgres: PostgresStore) -> None:
    assert await postgres.client("app") is None
    await postgres.apply(changed(InsertClient(a_client())))
    assert await postgres.client("app") == a_client()


async def test_nodes_that_make_the_same_database_at_once_make_one(cluster: Cluster) -> None:
    conninfo = cluster.new_database()
    stores = await asyncio.gather(*(PostgresStore.open(conninfo) for _ in range(4)))
    assert len({(await store.installation()).store_id for store in stores}) == 1
    for store in stores:
        await store.close()
    cluster.drop_database(conninfo)


async def test_the_log_is_read_in_the_order_of_commits_and_nothing_is_passed_over(
    postgres: PostgresStore, other: psycopg.Connection
) -> None:
    insert = "INSERT INTO event (at, name, about, body) SELECT at, name, about, body FROM event LIMIT 1"
    await postgres.apply(Changes((InsertRecord(a_record("first")),), (an_event(about="first"),)))
    with other.transaction():
        other.execute(insert)  # takes the next number, and commits last
        await postgres.apply(Changes((InsertRecord(a_record("second")),), (an_event(about="second"),)))
        seen = await postgres.events()
        assert [event.about for _, event in seen] == ["first"]
    rest = await postgres.events(after=seen[-1][0])
    assert len(rest) == 2
    assert await postgres.events(after=rest[-1][0]) == []
    assert [len(await postgres.events(about=about)) for about in ("first", "second")] == [2, 1]


async def test_the_log_of_a_dump_is_in_order_again_after_an_announced_restore(
    postgres: PostgresStore, other: psycopg.Connection
) -> None:
    """A dump brings the transaction numbers of another server, which may be far ahead of this one's."""
    for name in ("first", "second"):
        await postgres.apply(Changes((InsertRecord(a_record(name)),), (an_event(about=name),)))
    other.execute("UPDATE event SET written_by = '999999999999'")
    assert await postgres.audit_rows() == []
    await postgres.apply(changed(Restored(1)))
    await postgres.apply(Changes((InsertRecord(a_record("third")),), (an_event(about="third"),)))
    assert [event.about for _, event in await postgres.events()] == ["first", "second", "third"]


# What is refused


async def refusal(conninfo: str, **options: bool) -> str:
    with pytest.raises(StoreUnavailable) as refused:
        await PostgresStore.open(conninfo, **options, opening=1)
    return str(refused.value)


@pytest.mark.parametrize("level", ["off", "local", "remote_write"])
async def test_a_role_that_does_not_wait_for_its_commits_is_refused(
    conninfo: str, other: psycopg.Connection, level: str
) -> None:
    database = conninfo_to_dict(conninfo)["dbname"]
    other.execute(f"ALTER DATABASE {database} SET synchronous_commit = {level}")
    assert f"synchronous_commit is {level}" in await refusal(conninfo)


async def test_replication_without_synchronous_standbys_is_refused(conninfo: str) -> None:
    assert "synchronous_standby_names is empty" in await refusal(conninfo, replicated=True)


async def test_a_database_of_something_else_or_of_a_newer_release_is_refused(
    cluster: Cluster, conninfo: str, other: psycopg.Connection
) -> None:
    other.execute("INSERT INTO migration VALUES (999, 'later')")
    assert "newer release" in await refusal(conninfo)
    with psycopg.connect(cluster.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS theirs ()")
    assert "a database of its own" in await refusal(cluster.conninfo())
    with psycopg.connect(cluster.conninfo(), autocommit=True) as connection:
        connection.execute("DROP TABLE theirs")


@pytest.mark.parametrize("address", ["postgresql://u:sesame@127.0.0.1:1/none", "postgresql://u:sesame@[/", "sesame"])
async def test_an_address_where_nobody_answers_is_refused_without_its_password(address: str) -> None:
    assert "sesame" not in await refusal(address)


async def test_values_that_no_column_can_hold_fail_their_own_caller_only(postgres: PostgresStore) -> None:
    outcomes = await asyncio.gather(
        postgres.apply(changed(InsertRecord(a_record("good")))),
        postgres.apply(changed(InsertRecord(a_record("first")), InsertRecord(a_record("big", expires_at=1 << 70)))),
        postgres.apply(changed(InsertRecord(a_record("none", value=None)))),
        postgres.apply(changed(InsertRecord(a_record("nul\0")))),
        postgres.record("test", "nul\0"),
        return_exceptions=True,
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [type(None), ValueError, ValueError, ValueError, type(None)]
    assert await postgres.record("test", "good")
    assert await postgres.record("test", "first") is None
