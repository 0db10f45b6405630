"""Fault row F9 with Patroni and etcd as they are: leaders die and change under load, and nobody notices but by 503."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.nodes import Crowd, Installation, nodes
from tests.postgres import roomy
from tests.system.patroni import PROGRAM, Patroni, patroni

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        not (PROGRAM.exists() and shutil.which("etcd")), reason="needs Patroni and etcd: `./check system` installs them"
    ),
]
FAILOVERS = int(os.environ.get("FAULTS_PATRONI", "3"))


@contextmanager
def told(cluster: Patroni, crowd: Crowd, *folders: Path) -> Iterator[None]:
    """Who fails inside says what everybody wrote last: nothing of it is left afterwards."""
    try:
        yield
    except Exception as error:
        error.add_note(f"Patroni sees {cluster.seen()}; {len(crowd.answered)} refreshes, and {crowd.failed[-3:]}")
        for log in sorted(log for folder in folders for log in folder.glob("**/*log") if log.is_file()):
            error.add_note(f"== {log}\n" + "\n".join(log.read_text().splitlines()[-60:]))
        raise


async def shaken(cluster: Patroni, crowd: Crowd) -> None:
    running = asyncio.create_task(crowd.run(16))
    for number in range(FAILOVERS + 1):
        await asyncio.sleep(2)
        leader = await asyncio.to_thread(cluster.leader)
        if number == FAILOVERS:
            await asyncio.to_thread(cluster.switch_over)
        else:
            await asyncio.to_thread(leader.kill)
        await asyncio.sleep(1)
        before = len(crowd.answered)
        while len(crowd.answered) < before + 16 and not crowd.refused and not running.done():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        if number < FAILOVERS:
            leader.start()
    crowd.stop()
    await running


def test_fault_f9_leaders_that_die_under_patroni_lose_nothing_and_nobody_is_signed_out(tmp_path: Path) -> None:
    new = tempfile.TemporaryDirectory(prefix="detent-patroni-", dir=roomy(), ignore_cleanup_errors=True)
    with new as folder, patroni(Path(folder)) as cluster:
        installation = Installation(tmp_path, cluster.conninfo, store_replicated="true")
        with nodes(installation, 2) as started:
            crowd = Crowd(installation)
            crowd.urls = [node.url for node in started]
            with told(cluster, crowd, Path(folder), tmp_path):
                asyncio.run(asyncio.wait_for(shaken(cluster, crowd), 90 * (FAILOVERS + 2)))
    assert (crowd.refused, crowd.violations()) == ([], [])
    assert len(crowd.answered) > 100
