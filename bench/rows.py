"""What a refresh costs a PostgreSQL: `python bench/rows.py [--families 20000] [--rotations 10]`.

Our store rotates families through its own statements; beside it, in the same database and run, a table with a row
for each refresh token, as most servers keep them: the used row is marked, a new one is inserted. Prints bytes of
tables and indexes for each family, WAL bytes for each rotation, and the share of heap-only updates. Counts that the
server itself keeps, after a vacuum of neither: that is what a night without one leaves.
"""

import argparse
import asyncio
import secrets
import sys
from pathlib import Path
from typing import Any, Final

import psycopg
from msgspec.structs import replace

from detent.core.changes import InsertFamily, ReplaceFamily, changed
from detent.core.family import Family, Presented, Rotate, Surroundings, decide
from detent.core.policy import KINDS
from detent.stores.postgres import PostgresStore
from detent.testing.factories import NOW, a_family

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.postgres import running_cluster

WAYS: Final = 32
POLICY: Final = KINDS["browser"].policy
ROW_PER_TOKEN: Final = """
CREATE TABLE token (
    id bytea PRIMARY KEY, family bytea NOT NULL, subject text NOT NULL, client_id text NOT NULL, body text NOT NULL,
    created_at bigint NOT NULL, expires_at bigint NOT NULL, used_at bigint
);
CREATE INDEX token_of_family ON token (family);
CREATE INDEX token_of_subject ON token (subject);
CREATE INDEX token_by_end ON token (expires_at)
"""
NEW_ROW: Final = "INSERT INTO token VALUES (%s, %s, %s, 'app', %s, %s, %s, NULL)"
SIZE: Final = "SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables WHERE relname ~ %s"
UPDATES: Final = "SELECT sum(n_tup_upd), sum(n_tup_hot_upd) FROM pg_stat_user_tables WHERE relname ~ %s"


def turned(family: Family) -> Family:
    decision = decide(family, Presented(family.generation, family.epoch), POLICY, Surroundings(), NOW)
    assert isinstance(decision, Rotate)
    return decision.after


async def in_portions(work: list[Any], many: int = WAYS) -> None:
    waiting = iter(work)

    async def lane() -> None:
        for each in waiting:
            await each()

    await asyncio.gather(*(lane() for _ in range(many)))


def position(db: psycopg.Connection) -> int:
    found = db.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
    assert found
    return int(found[0])


async def ours(conninfo: str, db: psycopg.Connection, families: list[Family], rotations: int) -> int:
    store = await PostgresStore.open(conninfo, connections=WAYS)
    apply = store.apply
    await in_portions([lambda f=f: apply(changed(InsertFamily(f))) for f in families])
    db.execute("CHECKPOINT")
    before = position(db)
    for _ in range(rotations):
        families[:] = map(turned, families)
        await in_portions([lambda f=f: apply(changed(ReplaceFamily(f))) for f in families])
    after = position(db)
    await store.close()
    return after - before


async def theirs(conninfo: str, db: psycopg.Connection, families: list[Family], rotations: int) -> int:
    db.execute(ROW_PER_TOKEN)
    rows = [
        (secrets.token_bytes(32), f.key.id, f.authorization.subject, "{}" + "x" * 200, NOW, NOW + 86400)
        for f in families
    ]
    connections = [await psycopg.AsyncConnection.connect(conninfo, autocommit=False) for _ in range(WAYS)]
    free = list(connections)

    async def turn(number: int, *, first: bool) -> None:
        connection, old = free.pop(), rows[number]
        rows[number] = (secrets.token_bytes(32), *old[1:])
        async with connection.transaction():
            if not first:
                await connection.execute("UPDATE token SET used_at = %s WHERE id = %s", (NOW, old[0]))
            await connection.execute(NEW_ROW, rows[number])
        free.append(connection)

    await in_portions([lambda n=n: turn(n, first=True) for n in range(len(rows))])
    db.execute("CHECKPOINT")
    before = position(db)
    for _ in range(rotations):
        await in_portions([lambda n=n: turn(n, first=False) for n in range(len(rows))])
    after = position(db)
    for connection in connections:
        await connection.close()
    return after - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", type=int, default=20_000)
    parser.add_argument("--rotations", type=int, default=10)
    asked = parser.parse_args()
    with running_cluster() as cluster:
        conninfo = cluster.new_database()
        made = [a_family(number, subject=f"user {number}") for number in range(asked.families)]
        made = [replace(family, seed=secrets.token_bytes(32)) for family in made]
        with psycopg.connect(conninfo, autocommit=True) as db:
            many = asked.families * asked.rotations
            for name, tables, run in (("one row a family", "^family_", ours), ("a row a token", "^token$", theirs)):
                wal = asyncio.run(run(conninfo, db, list(made), asked.rotations))
                db.execute("SELECT pg_sleep(1.5)")  # until every session has told its counts
                (size,) = db.execute(SIZE, (tables,)).fetchone() or (0,)
                updated, hot = db.execute(UPDATES, (tables,)).fetchone() or (0, 0)
                print(
                    f"{name}: {size / asked.families:,.0f} bytes a family after {asked.rotations} rotations, "
                    f"{wal / many:,.0f} bytes of WAL a rotation, {hot / updated:.1%} of updates heap-only"
                )


main()
