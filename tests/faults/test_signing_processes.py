"""The processes that make RSA signatures under load die, or are told to end with the server: no client notices."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import httpx
import pytest

from detent.keys.held import PROCESSES
from tests.faults.nodes import API, BACK, HOST, Installation, Node

pytestmark = pytest.mark.slow
CLIENTS: Final = 32


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    installation = Installation(tmp_path)
    installation.command("api", "add", API, "--scope", "read", "--alg", "RS256")
    flags = ("--kind", "machine", "--scope", "read", "--audience", API)
    machine = installation.command("client", "add", *flags)
    installation.clients["machine"] = (machine["client_id"], machine["client_secret"])
    return installation


def processes_of(node: Node) -> set[int]:
    pid = node.process.pid
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


class Load:
    """Clients that ask for one token after the other, each signed with RS256."""

    def __init__(self, installation: Installation, node: Node) -> None:
        self._auth = installation.clients["machine"]
        self._url = f"{node.url}/oauth/token"
        self.tokens: set[str] = set()
        self.others: Counter[int | str] = Counter()  # answers that bring no token, and connections without any
        self.ending = False

    async def during(self, story: Callable[["Load"], Awaitable[None]]) -> None:
        clients = asyncio.gather(*(self._live() for _ in range(CLIENTS)))
        await story(self)
        self.ending = True
        await clients

    async def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + BACK
        while not holds():
            assert time.monotonic() < end
            await asyncio.sleep(0.01)

    async def more(self, many: int = 200) -> None:
        wanted = len(self.tokens) + many
        await self.until(lambda: len(self.tokens) >= wanted)

    async def _live(self) -> None:
        async with httpx.AsyncClient(headers=HOST, auth=self._auth) as http:
            while not self.ending:
                try:
                    answer = await http.post(self._url, data={"grant_type": "client_credentials"})
                except httpx.HTTPError as error:
                    self.others[type(error).__name__] += 1
                    return
                if answer.status_code == 200:
                    self.tokens.add(answer.json()["access_token"])
                else:
                    self.others[answer.status_code] += 1


def test_one_that_is_killed_costs_nobody_an_answer(installation: Installation, tmp_path: Path) -> None:
    with installation.node() as node:
        assert processes_of(node) == set(), "before there is anything to do"
        load = Load(installation, node)

        async def story(load: Load) -> None:
            await load.until(lambda: len(processes_of(node)) == PROCESSES)
            await load.more()
            for process in list(processes_of(node))[:1]:
                os.kill(process, signal.SIGKILL)
            await load.more()

        asyncio.run(load.during(story))
    assert load.others == {}
    assert ("no process makes RSA signatures now" in (tmp_path / "node.log").read_text()) is (PROCESSES > 0)


def test_a_server_that_is_told_to_end_together_with_them_ends_in_order_and_leaves_none(
    installation: Installation,
) -> None:
    """As systemd does it: a signal for every process at once."""
    signing: set[int] = set()
    with installation.node() as node:
        load = Load(installation, node)

        async def story(load: Load) -> None:
            await load.until(lambda: len(processes_of(node)) == PROCESSES)
            await load.more()
            signing.update(processes_of(node))
            load.ending = True
            for process in (*signing, node.process.pid):
                os.kill(process, signal.SIGTERM)
            await asyncio.to_thread(node.process.wait, 60)

        asyncio.run(load.during(story))
        assert node.process.returncode == 0
    assert not any(Path(f"/proc/{process}").exists() for process in signing)
    assert set(load.others) <= {"ConnectError", "RemoteProtocolError", "ReadError"}, "no answer but tokens"
