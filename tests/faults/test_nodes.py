"""Many nodes on one PostgreSQL: who asks which of them makes no difference, and none of them can be missed."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from detent.core.rollback import BEAT_SECONDS
from tests.faults.nodes import API, BACK, Crowd, Installation, Node, nodes, seconds, served_again
from tests.postgres import Cluster, running_cluster

pytestmark = pytest.mark.slow
WAYS = 24
RESTARTS = int(os.environ.get("FAULTS_RESTARTS", "2"))  # of PostgreSQL, in each way


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def installation(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("nodes"), cluster.new_database())


@pytest.fixture(scope="module")
def three(installation: Installation) -> Iterator[list[Node]]:
    with nodes(installation, 3) as started:
        yield started


def tokens(installation: Installation, node: Node, client: str = "strict") -> dict[str, Any]:
    answer = node.ask("/oauth/token", installation.clients[client], grant_type="password", **installation.person)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def refresh(installation: Installation, node: Node, token: str, client: str = "strict", **more: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token, **more}
    return node.ask("/oauth/token", installation.clients[client], **form)


def at_once(ask: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    with ThreadPoolExecutor(WAYS) as pool:
        return list(pool.map(ask, range(WAYS)))


def test_a_token_turns_at_any_node_and_its_reuse_is_noticed_at_any_other(
    installation: Installation, three: list[Node]
) -> None:
    first = tokens(installation, three[0])
    second = refresh(installation, three[1], first["refresh_token"]).json()
    stolen = refresh(installation, three[2], first["refresh_token"])
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    for node in three:
        assert refresh(installation, node, second["refresh_token"]).status_code == 400
        told = node.ask("/oauth/introspect", installation.clients["strict"], token=second["refresh_token"]).json()
        assert told == {"active": False}


def test_attack_t2_of_24_at_three_nodes_that_share_a_key_all_get_one_successor(
    installation: Installation, three: list[Node]
) -> None:
    token, key = tokens(installation, three[0])["refresh_token"], "k" * 22
    answers = at_once(lambda number: refresh(installation, three[number % 3], token, retry_key=key))
    assert {answer.status_code for answer in answers} <= {200, 429}
    assert len({answer.json()["refresh_token"] for answer in answers if answer.status_code == 200}) == 1


def test_attack_t2_of_24_at_three_nodes_without_a_key_at_most_one_wins_and_the_family_ends(
    installation: Installation, three: list[Node]
) -> None:
    token = tokens(installation, three[0])["refresh_token"]
    answers = at_once(lambda number: refresh(installation, three[number % 3], token))
    won = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert refresh(installation, three[1], won[0]["refresh_token"]).status_code == 400


def test_attack_t2_of_24_at_three_nodes_with_an_overlap_all_get_one_successor(
    installation: Installation, three: list[Node]
) -> None:
    token = tokens(installation, three[0], "tolerant")["refresh_token"]
    answers = at_once(lambda number: refresh(installation, three[number % 3], token, "tolerant"))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


def test_attack_t2_of_24_at_three_nodes_that_turn_and_revoke_one_token_the_revocation_wins(
    installation: Installation, three: list[Node]
) -> None:
    token, key = tokens(installation, three[0])["refresh_token"], "k" * 22

    def ask(number: int) -> httpx.Response:
        if number % 2:
            return refresh(installation, three[number % 3], token, retry_key=key)
        return three[number % 3].ask("/oauth/revoke", installation.clients["strict"], token=token)

    answers = at_once(ask)
    assert {answer.status_code for answer in answers[::2]} == {200}
    assert {answer.status_code for answer in answers[1::2]} <= {200, 400, 429}
    heads = {answer.json()["refresh_token"] for answer in answers[1::2] if answer.status_code == 200}
    assert len(heads) <= 1
    for dead in (token, *heads):
        assert refresh(installation, three[1], dead).status_code == 400


def test_a_client_that_is_disabled_is_refused_by_every_node_within_a_second(
    installation: Installation, three: list[Node]
) -> None:
    grants = ("--grant", "client_credentials", "--scope", "read", "--audience", API)
    added = installation.command("client", "add", "--kind", "machine", *grants)
    credentials = (added["client_id"], added["client_secret"])
    for node in three:
        assert until(node, credentials, 200) < 1
    installation.command("client", "update", added["client_id"], "--disable")
    for node in three:
        assert until(node, credentials, 401) < 1


def until(node: Node, credentials: tuple[str, str], status: int) -> float:
    """Seconds until the node answers so."""
    began = time.monotonic()
    while node.ask("/oauth/token", credentials, grant_type="client_credentials").status_code != status:
        assert time.monotonic() < began + 5
    return time.monotonic() - began


def test_nodes_that_are_killed_lose_nothing_and_nobody_is_signed_out(
    installation: Installation, three: list[Node]
) -> None:
    crowd = Crowd(installation)
    crowd.urls = [node.url for node in three]

    async def story() -> None:
        running = asyncio.create_task(crowd.run(16))
        for _ in range(4):
            with installation.node("short-lived") as fourth:
                crowd.urls = [*(node.url for node in three), fourth.url]
                await crowd.go_on(32)
                fourth.kill()
                crowd.urls = [node.url for node in three]
            await crowd.go_on(16)
        crowd.stop()
        await running

    asyncio.run(asyncio.wait_for(story(), BACK))
    assert (crowd.refused, crowd.violations()) == ([], [])


@pytest.mark.parametrize("mode", ["immediate", "fast"])
def test_a_database_that_crashes_and_comes_back_loses_nothing_and_nobody_is_signed_out(
    cluster: Cluster,
    installation: Installation,
    three: list[Node],
    mode: str,
    record_property: Callable[[str, object], None],
) -> None:
    """`immediate` is a crash: PostgreSQL recovers from its log, and whoever waited for a commit gets no answer."""
    crowd = Crowd(installation)
    crowd.urls = [node.url for node in three]
    silences = []

    async def story() -> None:
        running = asyncio.create_task(crowd.run(16))
        for _ in range(RESTARTS):
            await asyncio.sleep(0.7)
            await asyncio.to_thread(cluster.stop, mode)
            await asyncio.to_thread(cluster.start)
            silences.append(await served_again(crowd, time.monotonic()))
        crowd.stop()
        await running

    asyncio.run(story())
    assert (crowd.refused, crowd.violations()) == ([], [])
    record_property("served again", seconds(silences))


def test_no_node_answers_with_anything_but_503_while_the_database_is_away(
    cluster: Cluster, installation: Installation, three: list[Node]
) -> None:
    token = tokens(installation, three[0])["refresh_token"]
    cluster.stop()
    try:
        began = time.monotonic()
        answer = refresh(installation, three[0], token)
        took = time.monotonic() - began
    finally:
        cluster.start()
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert took < 20
    assert refresh(installation, three[0], token).status_code == 200


@pytest.mark.usefixtures("three")
def test_the_doctor_asks_for_a_database_that_notices_who_has_hung_up(
    cluster: Cluster, installation: Installation
) -> None:
    def advice() -> str:
        return str(installation.doctor()["the database notices who has hung up"]["advice"])

    assert "SET client_connection_check_interval" in advice()
    cluster.execute("ALTER ROLE detent SET client_connection_check_interval = '5s'")
    try:
        assert advice() == ""
    finally:
        cluster.execute("ALTER ROLE detent RESET client_connection_check_interval")


def test_fault_f9_who_asks_while_no_standby_confirms_takes_no_connection_from_others(
    cluster: Cluster, installation: Installation, three: list[Node]
) -> None:
    """A commit that waits for its standbys keeps its connection, whoever hangs up: so no other joins it."""
    held = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' OR wait_event_type = 'Lock'"
    token = tokens(installation, three[0])["access_token"]
    crowd = Crowd(installation)
    crowd.urls = [node.url for node in three]
    after: list[int] = []

    async def story() -> None:
        running = asyncio.create_task(crowd.run(16))
        await crowd.go_on(50)
        cluster.confirmed_by("nobody")
        for _ in range(2):
            await asyncio.sleep(7)  # longer than anybody waits
            [(many,)] = cluster.execute(held)
            after.append(int(str(many)))
        told = three[0].ask("/oauth/introspect", installation.clients["strict"], token=token).json()
        assert told["active"], "what is only read is answered"
        cluster.confirmed_by("")
        await served_again(crowd, time.monotonic())
        crowd.stop()
        await running

    asyncio.run(story())
    assert 0 < after[1] <= after[0]
    assert (crowd.refused, crowd.failed, crowd.violations()) == ([], [], [])


def test_attack_f12_a_node_whose_database_is_set_back_under_it_ends(cluster: Cluster, tmp_path: Path) -> None:
    conninfo = cluster.new_database()
    installation = Installation(tmp_path, conninfo, proxies="1")
    with nodes(installation, 1) as [node]:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("UPDATE installation SET beats = 0")
        node.process.wait(3 * BEAT_SECONDS)
    assert "older than it was" in (tmp_path / "node 0.log").read_text()
    with pytest.raises(AssertionError, match="older than it was"), installation.node("again"):
        pass
