"""Fault row F11: cables are pulled, packets vanish without a word. Waits are bounded, nothing acknowledged is lost."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from tests.faults.nodes import HOST, Crowd, Installation, Node, nodes
from tests.postgres import Cluster, found_servers, roomy
from tests.system.networks import SUBNET, Host, network

pytestmark = pytest.mark.system
AWAY = 12  # seconds
SETTINGS = {"listen_addresses": "*", "max_connections": "100", "wal_retrieve_retry_interval": "200ms"}
PATIENCE = 5  # seconds that a node waits for its store


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    with network(2) as hosts:
        yield hosts


@pytest.fixture
def primary(hosts: list[Host]) -> Iterator[Cluster]:
    with made(hosts[0]) as cluster:
        cluster.make()
        with (cluster.data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all,replication all {SUBNET}.0/24 trust\n")
        cluster.start()
        cluster.execute("CREATE DATABASE detent")
        yield cluster


class made:
    """A cluster in a host's network that is not started yet, and gone in the end."""

    def __init__(self, host: Host) -> None:
        self.cluster = Cluster(found_servers()[-1], settings=SETTINGS, folder=roomy(), within=host.within)

    def __enter__(self) -> Cluster:
        return self.cluster

    def __exit__(self, *_: object) -> None:
        self.cluster.__exit__(None, None, None)


def told(hosts: list[Host], tmp_path: Path, story: Callable[[Crowd, Node], Awaitable[None]]) -> Crowd:
    """The story of a crowd at one node, which knows all hosts."""
    addresses = ",".join(host.address for host in hosts)
    installation = Installation(tmp_path, make_conninfo(host=addresses, user="detent", dbname="detent"))
    with nodes(installation, 1) as [node]:
        crowd = Crowd(installation)
        crowd.urls = [node.url]

        async def whole() -> None:
            running = asyncio.create_task(crowd.run(16))
            try:
                await asyncio.sleep(3)
                await story(crowd, node)
            finally:
                crowd.stop()
                await running

        asyncio.run(whole())
    assert (crowd.refused, crowd.violations()) == ([], [])
    return crowd


async def served_again(crowd: Crowd, within: float) -> None:
    before = len(crowd.answered)
    began = time.monotonic()
    while len(crowd.answered) < before + 16 and not crowd.refused:
        assert time.monotonic() < began + within, "not served again"
        await asyncio.sleep(0.05)


@pytest.mark.usefixtures("primary")
def test_fault_f11_a_database_behind_a_black_hole_is_503_in_time_and_served_again_when_it_is_back(
    hosts: list[Host], tmp_path: Path
) -> None:
    waits = []

    async def story(crowd: Crowd, node: Node) -> None:
        hosts[0].pull()
        end = time.monotonic() + AWAY
        async with httpx.AsyncClient(base_url=node.url, headers=HOST, timeout=120) as http:
            while time.monotonic() < end:
                assert (await http.get("/.well-known/jwks.json")).status_code == 200
                began = time.monotonic()
                answer = await http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=("a", "b"))
                waits.append(time.monotonic() - began)
                assert answer.status_code == 503
                assert answer.json()["error"] == "temporarily_unavailable"
                assert answer.headers["Retry-After"]
        hosts[0].plug()
        await served_again(crowd, 15)

    told(hosts[:1], tmp_path, story)
    assert max(waits) < PATIENCE + 2


def test_fault_f11_a_primary_without_its_synchronous_standby_acknowledges_nothing_and_loses_nothing(
    primary: Cluster, hosts: list[Host], tmp_path: Path
) -> None:
    with made(hosts[1]) as standby:
        where = ("-D", str(standby.data), "-d", f"host={hosts[0].address} user=detent application_name=standby")
        standby.run("pg_basebackup", *where, "-R", "-X", "stream", "-c", "fast", "-N")
        standby.start()
        primary.confirmed_by("ANY 1 (*)")

        async def story(crowd: Crowd, node: Node) -> None:
            hosts[1].pull()
            await asyncio.sleep(1)
            before = len(crowd.answered)
            await asyncio.sleep(AWAY)
            assert len(crowd.answered) == before, "acknowledged without the standby"
            await asyncio.to_thread(primary.crash)
            standby.execute("SELECT pg_promote()")
            hosts[1].plug()
            await served_again(crowd, 30)

        told(hosts, tmp_path, story)
