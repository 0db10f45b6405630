"""A store per test on SQLite and on PostgreSQL, what is asked of SQLite, and a disk that can be held up or broken."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import pytest

from detent.stores.postgres import PostgresStore
from detent.stores.sqlite import SqliteStore
from tests.postgres import TEMPLATE, Cluster, found_servers, running_cluster, with_schema
from tests.stores.disk import Disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "detent.db"


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every statement that any connection carries out, as SQLite got it."""
    seen: list[str] = []

    def trace(_: apsw.Cursor, text: str, __: object) -> bool:
        seen.append(text)
        return True

    def hook(db: apsw.Connection) -> None:
        db.set_exec_trace(trace)

    apsw.connection_hooks.append(hook)
    yield seen
    apsw.connection_hooks.remove(hook)


@pytest.fixture
async def sqlite(statements: list[str], path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path)
    yield store
    await store.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(f"disk of {tmp_path.name}")
    yield disk
    disk.unregister()


@pytest.fixture
async def on_disk(disk: Disk, path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path, vfs=disk.name, waiting=100)
    yield store
    await store.close()


@pytest.fixture(scope="session", params=["oldest", "newest"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """With a database that has the schema and nothing else, of which each test gets a copy."""
    programs = found_servers()[0 if request.param == "oldest" else -1]
    with running_cluster(programs) as server:
        with_schema(server)
        yield server


@pytest.fixture
def conninfo(cluster: Cluster) -> Iterator[str]:
    conninfo = cluster.new_database(TEMPLATE)
    yield conninfo
    cluster.drop_database(conninfo)


@pytest.fixture
async def postgres(conninfo: str) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.open(conninfo, patience=5)
    yield store
    await store.close()
