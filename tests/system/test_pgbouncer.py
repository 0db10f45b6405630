"""Attack row F10: a pooler in transaction mode, with fewer connections than clients, is not noticed by anybody.

The trap: a statement that is prepared on one connection of the pooler is somebody else's on the next.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool

from detent.core.errors import StoreUnavailable
from detent.stores.postgres import PostgresStore
from detent.testing.store_contract import CompleteStore, StoreContract
from tests.faults.nodes import Crowd, Installation, nodes
from tests.pgbouncer import pooled
from tests.postgres import TEMPLATE, Cluster, running_cluster, with_schema

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        with_schema(cluster)
        yield cluster


@pytest.fixture(scope="module")
def pooler(cluster: Cluster) -> Iterator[Path]:
    with pooled(cluster) as folder:
        yield folder


@pytest.fixture
def conninfo(cluster: Cluster, pooler: Path) -> Iterator[str]:
    direct = cluster.new_database(TEMPLATE)
    yield make_conninfo(direct, host=str(pooler), port=6432)
    cluster.drop_database(direct)


class TestPostgresStoreBehindPgbouncer(StoreContract):
    @pytest.fixture(autouse=True)
    def _database(self, conninfo: str) -> None:
        self._conninfo = conninfo

    async def make_store(self, folder: Path) -> CompleteStore:
        return await PostgresStore.open(self._conninfo)


def test_attack_f10_two_nodes_share_three_connections_and_nobody_gets_anothers_answer(
    conninfo: str, tmp_path: Path
) -> None:
    assert conninfo_to_dict(conninfo)["port"] == "6432"
    installation = Installation(tmp_path, conninfo, store_connections="20")
    with nodes(installation, 2) as started:
        crowd = Crowd(installation)
        crowd.urls = [node.url for node in started]

        async def story() -> None:
            running = asyncio.create_task(crowd.run(40))
            await crowd.go_on(200)
            crowd.stop()
            await running

        asyncio.run(asyncio.wait_for(story(), 120))
    assert (crowd.refused, crowd.violations()) == ([], [])


@pytest.mark.parametrize(("mode", "connections"), [("statement", 3), ("session", 1)])
def test_attack_f10_a_pooler_that_is_set_the_wrong_way_is_refused_at_the_start(
    cluster: Cluster, mode: str, connections: int
) -> None:
    with pooled(cluster, mode=mode, connections=connections) as folder:
        conninfo = make_conninfo(cluster.new_database(TEMPLATE), host=str(folder), port=6432)
        with pytest.raises(StoreUnavailable, match="must be in transaction or session mode, with two connections"):
            asyncio.run(PostgresStore.open(conninfo, patience=1))


def test_attack_f10_a_driver_that_prepares_is_found_at_the_start(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sabotage: what the start tries out must be able to fail."""

    def preparing(*args: Any, kwargs: dict[str, Any], **more: Any) -> AsyncConnectionPool[Any]:
        return AsyncConnectionPool(*args, kwargs=kwargs | {"prepare_threshold": 5}, **more)  # as psycopg is by itself

    monkeypatch.setattr("detent.stores.postgres.connection.AsyncConnectionPool", preparing)
    with pytest.raises(StoreUnavailable, match="used in turn do not work"):
        asyncio.run(PostgresStore.open(conninfo))
