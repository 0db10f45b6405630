"""The primary dies and a standby takes over: nothing that was acknowledged is lost, nothing consumed lives again."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import DETENT
from tests.faults.nodes import Crowd, Installation, nodes
from tests.faults.replicated import Trio, replicated
from tests.postgres import roomy

pytestmark = pytest.mark.slow
FAILOVERS = int(os.environ.get("FAULTS_FAILOVERS", "2"))


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="detent-ha-", dir=roomy(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)


async def goes_on(crowd: Crowd, running: "asyncio.Task[None]") -> None:
    before = len(crowd.answered)
    while len(crowd.answered) < before + 16 and not crowd.refused and not running.done():  # noqa: ASYNC110
        await asyncio.sleep(0.05)


def history(
    trio: Trio, tmp_path: Path, *, failovers: int, lose: bool = False, detent: list[str] = DETENT, **settings: str
) -> Crowd:
    """16 honest clients at two nodes, while primaries die."""
    installation = Installation(tmp_path, trio.conninfo, detent=detent, **settings)
    with nodes(installation, 2) as started:
        crowd = Crowd(installation)
        crowd.urls = [node.url for node in started]

        async def story() -> None:
            running = asyncio.create_task(crowd.run(16))
            await goes_on(crowd, running)
            for _ in range(failovers):
                await asyncio.sleep(1)
                await asyncio.to_thread(trio.fail_over, lose=lose)
                await goes_on(crowd, running)
            crowd.stop()
            await running

        asyncio.run(asyncio.wait_for(story(), 300 + 30 * failovers))
    return crowd


def test_with_synchronous_standbys_no_failover_loses_what_was_acknowledged(folder: Path, tmp_path: Path) -> None:
    with replicated(folder) as trio:
        crowd = history(trio, tmp_path, failovers=FAILOVERS, store_replicated="true")
    assert (crowd.refused, crowd.violations()) == ([], [])


def test_an_asynchronous_standby_that_lost_some_is_noticed_and_refused(folder: Path, tmp_path: Path) -> None:
    """The same story must go wrong where it can: else the test above proves nothing."""
    with replicated(folder, "") as trio:
        crowd = history(trio, tmp_path, failovers=1, lose=True)
    assert crowd.refused, "tokens that the database has forgotten"
    assert {violation.invariant for violation in crowd.violations()} >= {"I1"}
    assert "store_behind" in (tmp_path / "node 0.log").read_text()


WARNINGS_IGNORED = (
    "import psycopg; "
    "psycopg.AsyncConnection.add_notice_handler = psycopg.AsyncConnection.remove_notice_handler = lambda *_: None; "
)


@pytest.mark.parametrize("right", [True, False], ids=["as it is", "sabotaged"])
def test_fault_f9_who_cancels_the_wait_for_the_standbys_makes_nothing_acknowledged(
    folder: Path, tmp_path: Path, right: bool
) -> None:
    """PostgreSQL says success then, with a warning; a detent that takes it for success must be found."""
    python, flag, program = DETENT
    detent = DETENT if right else [python, flag, WARNINGS_IGNORED + program]
    with replicated(folder) as trio:
        trio.impatient = True
        crowd = history(trio, tmp_path, failovers=1, lose=True, store_replicated="true", detent=detent)
    found = {violation.invariant for violation in crowd.violations()}
    if right:
        assert (crowd.refused, found) == ([], set())
    else:
        assert "I1" in found
