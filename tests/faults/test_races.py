"""64 at once with one token, at several processes, family after family: one successor value for each (attack T2)."""

import asyncio
import os
from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from tests.faults.nodes import HOST, Installation, Node, nodes
from tests.postgres import running_cluster

pytestmark = pytest.mark.slow
FAMILIES: Final = int(os.environ.get("FAULTS_RACES", "8"))
WAYS: Final = 64


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("races")
    if request.param == "sqlite":
        yield Installation(folder)
        return
    with running_cluster() as cluster:
        yield Installation(folder, cluster.new_database())


@pytest.fixture(scope="module")
def three(installation: Installation) -> Iterator[list[Node]]:
    with nodes(installation, 3) as started:
        yield started


async def raced(
    installation: Installation, started: list[Node], client: str, **more: str
) -> list[tuple[list[int], set[str]]]:
    """For each family the statuses of all answers, and the refresh tokens that were answered."""
    told = []
    limits = httpx.Limits(max_connections=WAYS)
    async with httpx.AsyncClient(headers=HOST, timeout=120, auth=installation.clients[client], limits=limits) as http:

        async def ask(number: int, **form: str) -> httpx.Response:
            return await http.post(f"{started[number % len(started)].url}/oauth/token", data=form)

        for number in range(FAMILIES):
            first = (await ask(number, grant_type="password", **installation.person)).json()["refresh_token"]
            form = {"grant_type": "refresh_token", "refresh_token": first, **more}
            answers = await asyncio.gather(*(ask(way, **form) for way in range(WAYS)))
            tokens = {answer.json()["refresh_token"] for answer in answers if answer.status_code == 200}
            told.append(([answer.status_code for answer in answers], tokens))
    return told


@pytest.mark.parametrize(("client", "key"), [("strict", "k" * 22), ("tolerant", ""), ("tolerant", "k" * 22)])
def test_attack_t2_who_is_answered_has_the_same_successor(
    installation: Installation, three: list[Node], client: str, key: str
) -> None:
    more = {"retry_key": key} if key else {}
    for statuses, tokens in asyncio.run(raced(installation, three, client, **more)):
        assert set(statuses) <= {200, 429}
        assert statuses.count(200) > 1
        assert len(tokens) == 1


def test_attack_t2_strict_and_without_a_key_one_wins_and_nobody_else(
    installation: Installation, three: list[Node]
) -> None:
    for statuses, tokens in asyncio.run(raced(installation, three, "strict")):
        assert (statuses.count(200), len(tokens)) == (1, 1)
        assert set(statuses) <= {200, 400, 429}
