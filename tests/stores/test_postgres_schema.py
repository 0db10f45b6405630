"""How a database gets its schema: whoever dies on the way leaves a step done or undone, and the next one goes on."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from detent.stores.migrations import known_migrations
from detent.stores.postgres import PostgresStore
from tests.postgres import Cluster, running_cluster
from tests.stores.test_schema_rules import schema

pytestmark = pytest.mark.slow
SCRIPT: Final = str(Path(__file__).with_name("die_while_migrating.py"))
EVERY: Final = int(os.environ.get("FAULTS_STEPS", "24"))  # 1: killed at each statement


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


def migrated(conninfo: str, where: str, number: int) -> str:
    """What it printed; empty if it was killed."""
    command = [sys.executable, SCRIPT, conninfo, where, str(number)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return str(done.stdout)


async def opened(conninfo: str) -> str:
    """By the next start, which may have to wait for what the dead one left under way."""
    store = await PostgresStore.open(conninfo, connections=1)
    name = (await store.installation()).store_id
    await store.close()
    return name


def whole(conninfo: str) -> tuple[Any, list[Any]]:
    with psycopg.connect(conninfo) as connection:
        found = schema(lambda text: connection.execute(text.encode()).fetchall(), "postgres")
        assert connection.execute("SELECT count(*) FROM installation").fetchall() == [(1,)]
        return found, connection.execute("SELECT number, name FROM migration ORDER BY number").fetchall()


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_process_killed_at_any_statement_of_a_step_can_be_followed_by_another(cluster: Cluster, where: str) -> None:
    """`there`: inside of a file, which PostgreSQL carries out as one."""
    made = cluster.new_database()
    steps = int(migrated(made, where, 0))
    known = [(each.number, each.name) for each in known_migrations("postgres")]
    assert steps > (3 * len(known) if where == "here" else 60)
    for number in sorted({*range(1, steps + 1, EVERY), steps}):
        dead = cluster.new_database()
        assert migrated(dead, where, number) == ""
        assert asyncio.run(opened(dead))
        assert whole(dead) == whole(made)
        assert whole(dead)[1] == known
        cluster.drop_database(dead)


def test_processes_that_make_the_same_schema_at_once_take_turns(cluster: Cluster) -> None:
    conninfo = cluster.new_database()
    command = [sys.executable, SCRIPT, conninfo, "here", "0"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ended = [(*process.communicate(), process.returncode) for process in both]
    assert [(errors, code) for _, errors, code in ended] == [("", 0)] * 3
    assert whole(conninfo)[1] == [(each.number, each.name) for each in known_migrations("postgres")]
