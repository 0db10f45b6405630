"""Attack row F1: a server that is killed under load, over and over, loses nothing and signs nobody out."""

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.faults.nodes import Crowd, Installation, seconds, seconds_of_cpu, served_again
from tests.postgres import running_cluster

pytestmark = pytest.mark.slow
KILLS: Final = {
    "sqlite": int(os.environ.get("FAULTS_KILLS", "4")),
    "postgres": int(os.environ.get("FAULTS_KILLS_POSTGRES", "2")),
}
CLIENTS: Final = 32


@pytest.fixture(params=["sqlite", "postgres"])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("kills")
    if request.param == "sqlite":
        yield Installation(folder)
        return
    with running_cluster() as cluster:
        yield Installation(folder, cluster.new_database())


def test_fault_f1_a_server_killed_at_random_under_load_loses_nothing_and_is_soon_back(
    installation: Installation, record_property: Callable[[str, object], None]
) -> None:
    with installation.node():
        installation.furnish()
    crowd = Crowd(installation)
    running: asyncio.Task[None]
    silences: list[float] = []
    spent: list[float] = []  # by the server until then, which a busy machine changes less

    async def life(last: bool) -> None:
        """One process from its start to its end, with whoever asks meanwhile."""
        began = time.monotonic()
        with installation.node() as node:
            crowd.urls = [node.url]
            silences.append(await served_again(crowd, began))
            if sys.platform == "linux":
                spent.append(seconds_of_cpu(node.process.pid))
            await asyncio.sleep(random.uniform(0.005, 0.5))  # noqa: S311
            if last:
                crowd.stop()
                await running
            node.kill()

    async def story() -> None:
        nonlocal running
        crowd.urls = ["http://127.0.0.1:9"]  # nobody answers there
        running = asyncio.create_task(crowd.run(CLIENTS))
        for left in range(KILLS["postgres" if "DETENT_STORE" in installation.env else "sqlite"], -1, -1):
            await life(last=not left)

    asyncio.run(story())
    assert (crowd.refused, crowd.violations()) == ([], [])
    assert len(crowd.answered) > len(silences)
    record_property("served again", seconds(silences))
    if spent:
        record_property("processor time until then", seconds(spent))
