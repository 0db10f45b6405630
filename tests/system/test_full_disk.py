"""Attack row F4 on a real, small file system: filled, asked, and freed again, over and over."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.faults.nodes import Installation, Node, nodes

pytestmark = pytest.mark.system
CYCLES: Final = int(os.environ.get("FAULTS_FULL", "12"))
STRICT: Final = "strict"


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path)
    installation.data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m,mode=700", "detent", installation.data], check=True)
    yield installation
    subprocess.run(["umount", "-l", installation.data], check=True)


def fill(installation: Installation) -> Path:
    """What another program does that writes until it cannot."""
    filler = installation.data / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            while True:
                try:
                    file.write(bytes(size))
                except OSError:
                    break
    return filler


def tokens(installation: Installation, node: Node) -> dict[str, Any]:
    form = {"grant_type": "password", **installation.person}
    answer = node.ask("/oauth/token", installation.clients[STRICT], **form)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def refresh(installation: Installation, node: Node, token: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token}
    return node.ask("/oauth/token", installation.clients[STRICT], **form)


def cycle(installation: Installation, node: Node) -> tuple[set[int], list[str]]:
    """How a refresh was answered on the full disk, and the tokens that nothing may bring back."""
    honest, revoked, consumed = (tokens(installation, node)["refresh_token"] for _ in range(3))
    head = refresh(installation, node, consumed).json()["refresh_token"]
    filler = fill(installation)
    answer = refresh(installation, node, honest)
    honest = answer.json().get("refresh_token", honest)
    fill(installation)
    assert node.ask("/oauth/revoke", installation.clients[STRICT], token=revoked).status_code == 200
    fill(installation)  # whatever the reserve let go of is taken, if it can be had
    assert refresh(installation, node, consumed).status_code == 400
    filler.unlink()
    freed = time.monotonic()
    while (again := refresh(installation, node, honest)).status_code == 503:
        assert time.monotonic() < freed + 5
    assert again.status_code == 200, again.text
    return {answer.status_code}, [revoked, head]


def test_fault_f4_a_file_system_that_is_full_over_and_over(installation: Installation) -> None:
    dead: list[str] = []
    answered: set[int] = set()
    with nodes(installation, 1) as [node]:
        for _ in range(CYCLES):
            statuses, ended = cycle(installation, node)
            answered |= statuses
            dead += ended
            assert {refresh(installation, node, token).status_code for token in ended} == {400}
        dead.append(tokens(installation, node)["refresh_token"])
        filler = fill(installation)
        installation.command("user", "sign-out", "ada")
        node.kill()
    assert 503 in answered <= {200, 503}
    filler.unlink()
    with nodes(installation, 1) as [node]:
        assert {refresh(installation, node, token).status_code for token in dead} == {400}
        assert tokens(installation, node)
