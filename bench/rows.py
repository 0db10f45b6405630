"""What families weigh: `python bench/rows.py [--store sqlite] [--families 20000] [--rotations 10] [--folder …]`.

Our statements rotate families; beside them, in the same run, a table with a row for each refresh token, as most
servers keep them: the used row is marked, a new one is inserted. On PostgreSQL that is carried out inside the server
(no round trip, no wait for the disk: neither changes a byte). `--together` rotations share a commit: 1 on PostgreSQL,
as there, 32 on SQLite, as under load. No vacuum and no checkpoint meanwhile: what a night without one leaves.
"""

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw
import psycopg
from psycopg import sql

from detent.core.changes import InsertFamily, ReplaceFamily, changed
from detent.core.family import Family, Presented, Rotate, Surroundings, decide
from detent.core.policy import KINDS
from detent.stores.postgres import PostgresStore
from detent.stores.postgres.statements import numbered
from detent.stores.sqlite import SqliteStore
from detent.stores.statements import Step, steps_of
from detent.testing.factories import NOW, a_family

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.postgres import Cluster, roomy

T = TypeVar("T")
POLICY: Final = KINDS["browser"].policy
SETTINGS: Final = {"shared_buffers": "1GB", "max_wal_size": "100GB", "checkpoint_timeout": "1d"}
ROW_PER_TOKEN: Final = """
CREATE TABLE token (
    id {bytes} PRIMARY KEY, family {bytes} NOT NULL, subject text NOT NULL, client_id text NOT NULL, body text NOT NULL,
    created_at bigint NOT NULL, expires_at bigint NOT NULL, used_at bigint
);
CREATE INDEX token_of_family ON token (family);
CREATE INDEX token_of_subject ON token (subject);
CREATE INDEX token_by_end ON token (expires_at);
"""
BODY: Final = "{}" + "x" * 200
ONE_BY_ONE: Final = (
    "DO $$ DECLARE row record; done integer := 0; BEGIN FOR row IN {rows} LOOP {work}; "
    "done := done + 1; IF done % {together} = 0 THEN COMMIT; END IF; END LOOP; END $$"
)
NEW_TOKEN: Final = "uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())"
TURN_TOKEN: Final = (
    f"UPDATE token SET used_at = {NOW} WHERE id = row.id; INSERT INTO token "  # noqa: S608
    f"SELECT {NEW_TOKEN}, family, subject, client_id, body, created_at, expires_at FROM token WHERE id = row.id"
)
COUNTS: Final = (
    "SELECT sum(pg_total_relation_size(relid)), sum(pg_indexes_size(relid)), sum(n_tup_upd), sum(n_tup_hot_upd) "
    "FROM pg_stat_user_tables WHERE relname ~ %s"
)


def portions(work: Iterator[T], size: int) -> Iterator[list[T]]:
    while some := list(islice(work, size)):
        yield some


def families(many: int) -> Iterator[Family]:
    for number in range(many):
        yield a_family(secrets.randbits(127), subject=f"user {number}", seed=secrets.token_bytes(32))


def turned(family: Family) -> Family:
    decision = decide(family, Presented(family.generation, family.epoch), POLICY, Surroundings(), NOW)
    assert isinstance(decision, Rotate)
    return decision.after


def turning(family: Family) -> Step:
    (step,) = steps_of(changed(ReplaceFamily(family)))
    return step


def token_rows(many: int) -> Iterator[tuple[Any, ...]]:
    for number in range(many):
        yield secrets.token_bytes(32), secrets.token_bytes(16), f"user {number}", "app", BODY, NOW, NOW + 86400


# PostgreSQL


class Postgres:
    def __init__(self, conninfo: str, together: int) -> None:
        asyncio.run(_made(conninfo))
        self.together = together
        self.db = psycopg.connect(conninfo, autocommit=True, cursor_factory=psycopg.ClientCursor)
        self.db.execute("SET synchronous_commit = off; SET plan_cache_mode = force_generic_plan")

    def wal(self) -> int:
        (position,) = self.db.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone() or (0,)
        return int(position)

    def measure(self, name: str, table: str, many: int, turns: list[str]) -> None:
        """`turns` is one block for each rotation of all."""
        self.db.execute("CHECKPOINT")
        before, grown, began = self._counts(table), [], time.monotonic()
        for turn in turns:
            start = self.wal()
            self.db.execute(sql.SQL(turn))
            grown.append((self.wal() - start) / many)
            print(f"  {len(grown)}: {grown[-1]:,.0f} bytes of WAL, {time.monotonic() - began:,.0f} s", flush=True)
        size, indexes, updated, heap_only = self._counts(table)
        later = sum(grown[1:]) / max(1, len(grown) - 1)
        print(
            f"{name}: {size / many:,.0f} bytes a family after {len(turns)} rotations ({before[0] / many:,.0f} before); "
            f"indexes grew by {(indexes - before[1]) / many / len(turns):,.1f} bytes a rotation; {grown[0]:,.0f} bytes "
            f"of WAL for the first after a checkpoint, {later:,.0f} for the others; {heap_only / updated:.2%} of "
            "updates heap-only",
            flush=True,
        )

    def _counts(self, table: str) -> tuple[int, ...]:
        self.db.execute("SELECT pg_sleep(1.5)")  # until every session has told its counts
        return tuple(int(each or 0) for each in self.db.execute(COUNTS, (table,)).fetchone() or ())

    def ours(self, many: int, rotations: int) -> None:
        for some in portions(families(many), 2000):
            steps = [step for family in some for step in steps_of(changed(InsertFamily(family)))]
            with self.db.transaction(), psycopg.RawCursor(self.db) as cursor:
                cursor.executemany(numbered(steps[0].text), [step.values for step in steps])
        rows, turns, now = "SELECT placement, id FROM family ORDER BY id", [], a_family()
        for _ in range(rotations):
            now = turned(now)
            step = turning(now)  # of every family alike, but for its key, the last but one and last but two
            *values, _, _, version = step.values
            text = step.text.replace("?", "%s")
            with psycopg.ClientCursor(self.db) as cursor:
                literal = cursor.mogrify(text, [*values, None, None, version])
            work = literal.replace("placement = NULL AND id = NULL", "placement = row.placement AND id = row.id")
            turns.append(ONE_BY_ONE.format(rows=rows, work=work, together=self.together))
        self.measure("one row a family", "^family_", many, turns)

    def theirs(self, many: int, rotations: int) -> None:
        self.db.execute(sql.SQL(ROW_PER_TOKEN.format(bytes="bytea")))
        with self.db.transaction(), psycopg.Cursor(self.db) as cursor:
            cursor.executemany("INSERT INTO token VALUES (%s, %s, %s, %s, %s, %s, %s)", token_rows(many))
        rows = "SELECT id FROM token WHERE used_at IS NULL ORDER BY id"
        turn = ONE_BY_ONE.format(rows=rows, work=TURN_TOKEN, together=self.together)
        self.measure("a row a token", "^token$", many, [turn] * rotations)


async def _made(conninfo: str) -> None:
    await (await PostgresStore.open(conninfo)).close()


def on_postgres(folder: Path, many: int, rotations: int, together: int) -> None:
    with Cluster(settings=SETTINGS, folder=folder) as cluster:
        postgres = Postgres(cluster.new_database(), together)
        postgres.ours(many, rotations)
        postgres.theirs(many, rotations)
        postgres.db.close()


# SQLite


class Sqlite:
    def __init__(self, path: Path, together: int) -> None:
        self.path, self.together = path, together
        self.db = apsw.Connection(str(path))
        self.db.execute("PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0")
        self.frames = 0

    def in_portions(self, work: Iterator[Callable[[], Any]]) -> None:
        for number, some in enumerate(portions(work, self.together)):
            with self.db:
                for each in some:
                    each()
            if number * self.together % 20_000 < self.together:
                self.frames += self.db.wal_checkpoint()[0]
        self.frames += self.db.wal_checkpoint()[0]

    def measure(self, name: str, many: int, turns: list[Callable[[], None]]) -> None:
        size, self.frames = self.path.stat().st_size, 0
        for turn in turns:
            turn()
        grown = self.path.stat().st_size
        print(
            f"{name}: {grown / many:,.0f} bytes a family after {len(turns)} rotations ({size / many:,.0f} before); "
            f"{self.frames / many / len(turns):.2f} pages written a rotation, {self.together:,} to a commit",
            flush=True,
        )


def on_sqlite(folder: Path, many: int, rotations: int, together: int) -> None:
    async def made() -> None:
        await (await SqliteStore.open(folder / "ours.db")).close()

    asyncio.run(made())
    for name, path, run in (
        ("one row a family", folder / "ours.db", sqlite_ours),
        ("a row a token", folder / "theirs.db", sqlite_theirs),
    ):
        sqlite = Sqlite(path, together)
        with closing(sqlite.db):
            run(name, sqlite, many, rotations)


def sqlite_ours(name: str, sqlite: Sqlite, many: int, rotations: int) -> None:
    keys, execute = [], sqlite.db.execute

    def insert(family: Family) -> Any:
        keys.append((family.key.placement, family.key.id))
        (step,) = steps_of(changed(InsertFamily(family)))
        return lambda: execute(step.text, step.values)

    sqlite.in_portions(insert(family) for family in families(many))
    keys.sort(key=lambda key: key[1])
    generations = [a_family()]
    for _ in range(rotations):
        generations.append(turned(generations[-1]))

    def turn(family: Family) -> None:
        *values, _, _, version = turning(family).values
        text = turning(family).text
        sqlite.in_portions(lambda key=key: execute(text, (*values, *key, version)) for key in keys)  # type: ignore[misc]

    sqlite.measure(name, many, [lambda family=family: turn(family) for family in generations[1:]])  # type: ignore[misc]


def sqlite_theirs(name: str, sqlite: Sqlite, many: int, rotations: int) -> None:
    execute = sqlite.db.execute
    execute("PRAGMA journal_mode = WAL")
    execute(ROW_PER_TOKEN.format(bytes="blob"))
    insert = "INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, ?, NULL)"
    heads = list(token_rows(many))
    sqlite.in_portions(lambda row=row: execute(insert, row) for row in heads)  # type: ignore[misc]

    def one(number: int) -> None:
        old = heads[number]
        heads[number] = (secrets.token_bytes(32), *old[1:])
        execute("UPDATE token SET used_at = ? WHERE id = ?", (NOW, old[0]))
        execute(insert, heads[number])

    def turn() -> None:
        sqlite.in_portions(lambda number=number: one(number) for number in range(many))  # type: ignore[misc]

    sqlite.measure(name, many, [turn] * rotations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", choices=("postgres", "sqlite"), default="postgres")
    parser.add_argument("--families", type=int, default=20_000)
    parser.add_argument("--rotations", type=int, default=10)
    parser.add_argument("--together", type=int, help="rotations to a commit")
    parser.add_argument("--folder", type=Path, help="where the data is made; in memory if there is room")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="detent-rows-", dir=asked.folder or roomy()) as folder:
        if asked.store == "sqlite":
            on_sqlite(Path(folder), asked.families, asked.rotations, asked.together or 32)
        else:
            on_postgres(Path(folder), asked.families, asked.rotations, asked.together or 1)


main()
