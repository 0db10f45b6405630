"""Fault row F18: all access tokens end in one second, and everybody asks at once on a connection of their own.

Nobody is signed out, and whoever is told to come back is served when they do. How long it took is told, not judged:
server and herd share this process.
"""

import asyncio
import json
import os
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

import pytest

from tests.serving import Detent, running

pytestmark = pytest.mark.slow
HERD: Final = int(os.environ.get("FAULTS_HERD", "150"))
DESCRIPTORS: Final = 10_000
OPEN: Final = 4000  # connections at a time: each has two ends here


@pytest.fixture
def _room() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if most == resource.RLIM_INFINITY else min(DESCRIPTORS, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class Herd:
    def __init__(self, detent: Detent) -> None:
        self._at = urlsplit(detent.url)
        self._places = asyncio.Semaphore(OPEN)
        self.told_to_come_back = 0

    async def served(self, token: str) -> str:
        """The refresh token that one of them has in the end; they ask until they are answered for good."""
        form = urlencode({"grant_type": "refresh_token", "refresh_token": token, "client_id": "app"}).encode()
        while True:
            status, told = await self._ask(form)
            if status == 200:
                return str(told["refresh_token"])
            assert status in (0, 503), told
            self.told_to_come_back += 1
            await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311

    async def _ask(self, form: bytes) -> tuple[int, dict[str, object]]:
        async with self._places:
            try:
                reader, writer = await asyncio.open_connection(self._at.hostname, self._at.port)
                writer.write(_head(self._at.netloc, form) + form)
                answer = await reader.read()
                writer.close()
            except OSError:
                return 0, {}
        head, _, body = answer.partition(b"\r\n\r\n")
        return (int(head.split()[1]), json.loads(body)) if body else (0, {})


def _head(host: str, form: bytes) -> bytes:
    return (
        f"POST /oauth/token HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(form)}\r\nConnection: close\r\n\r\n"
    ).encode()


@pytest.mark.usefixtures("_room")
def test_fault_f18_a_herd_that_asks_in_one_second_is_served_and_nobody_is_signed_out(
    tmp_path: Path, keys_folder: Path, record_property: Callable[[str, object], None]
) -> None:
    with running(tmp_path, keys_folder) as detent:
        tokens = [detent.sign_in("app")["refresh_token"] for _ in range(HERD)]
        detent.clock.advance(3600)

        async def story() -> list[str]:
            herd = Herd(detent)
            began = time.monotonic()
            held = await asyncio.gather(*map(herd.served, tokens))
            took = (
                f"{HERD} served in {time.monotonic() - began:.1f} s, {herd.told_to_come_back} times told to come back"
            )
            record_property("herd", took)
            return held

        held = asyncio.run(asyncio.wait_for(story(), 1200))
        assert {detent.refresh("app", token).status_code for token in random.sample(held, min(HERD, 100))} == {200}
