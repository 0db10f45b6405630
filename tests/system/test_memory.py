"""Fault row F19: 256 MB are enough under load, and a server that the kernel kills for want of memory loses nothing."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import DETENT
from tests.faults.nodes import Crowd, Installation, Node

pytestmark = pytest.mark.system
LIMIT = 256 << 20
CLIENTS, REFRESHES = 32, 2000
HOG = f"held = bytearray({LIMIT - (32 << 20)}); held[::4096] = bytes(len(held[::4096]))"  # not all: it survives


class Group:
    """A control group with `LIMIT` bytes, whichever version of them this machine has."""

    def __init__(self) -> None:
        root = Path("/sys/fs/cgroup")
        old = (root / "memory").is_dir()
        self.folder = (root / "memory" if old else root) / f"detent-{os.getpid()}"
        self._limit, self._peak = ("memory.limit_in_bytes", "memory.max_usage_in_bytes") if old else (
            "memory.max", "memory.peak"
        )  # fmt: skip
        if not old:
            (root / "cgroup.subtree_control").write_text("+memory")
        self.folder.mkdir()
        (self.folder / self._limit).write_text(str(LIMIT))

    def within(self, *command: str) -> list[str]:
        return ["sh", "-c", f'echo $$ > {self.folder}/cgroup.procs; exec "$@"', "sh", *command]

    def end(self) -> None:
        """As soon as it is empty: what signed for a server that was killed ends by itself, a moment later."""
        until = time.monotonic() + 30
        while (self.folder / "cgroup.procs").read_text():
            assert time.monotonic() < until, "somebody outlives the server"
            time.sleep(0.05)
        self.folder.rmdir()

    def peak(self) -> int:
        return int((self.folder / self._peak).read_text())


def first_to_go(node: Node) -> None:
    Path(f"/proc/{node.process.pid}/oom_score_adj").write_text("1000")


@pytest.fixture
def group() -> Iterator[Group]:
    group = Group()
    yield group
    group.end()


def test_fault_f19_a_server_lives_under_load_in_256_mb_and_what_the_kernel_kills_loses_nothing(
    group: Group, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    installation = Installation(tmp_path, detent=group.within(*DETENT))
    with installation.node() as node:
        installation.furnish()
        node.kill()
    crowd = Crowd(installation)

    async def want_memory(node: Node) -> None:  # another program
        first_to_go(node)
        hog = await asyncio.create_subprocess_exec(*group.within(sys.executable, "-c", HOG), stderr=subprocess.DEVNULL)
        await asyncio.to_thread(node.process.wait, 60)
        await hog.wait()

    async def story() -> None:
        with installation.node() as node:
            crowd.urls = [node.url]
            running = asyncio.create_task(crowd.run(CLIENTS))
            await crowd.go_on(REFRESHES)
            assert node.process.poll() is None
            record_property("most memory", f"{group.peak() >> 20} MB")
            assert group.peak() < LIMIT
            await want_memory(node)
        with installation.node() as node:
            crowd.urls = [node.url]
            await crowd.go_on(CLIENTS)
            crowd.stop()
            await running

    asyncio.run(asyncio.wait_for(story(), 300))
    assert (crowd.refused, crowd.failed, crowd.violations()) == ([], [], [])
