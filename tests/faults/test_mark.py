"""Fault row F2, the rest: a server is killed at each step in which `mark.json` is replaced, and starts again."""

from pathlib import Path
from typing import Final

import pytest

from tests.cli.conftest import DETENT
from tests.faults.nodes import Installation

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]
BEFORE: Final = """
import os, pathlib, signal
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def then_die(do):
    return lambda *given: (do(*given), die())
"""
MOMENTS: Final = {  # in the order in which they come; nothing else of a second start asks Python for them
    "written, not synced": "os.fsync = die",
    "synced, not renamed": "pathlib.Path.replace = die",
    "renamed, the folder not synced": "pathlib.Path.replace = then_die(pathlib.Path.replace)",
}


def test_fault_f2_a_server_killed_while_it_replaces_its_mark_starts_again(tmp_path: Path) -> None:
    python, flag, program = DETENT
    installation = Installation(tmp_path)
    with installation.node() as node:
        installation.furnish()
        signed_in = node.ask(
            "/oauth/token", installation.clients["strict"], grant_type="password", **installation.person
        )
        token = signed_in.json()["refresh_token"]
        node.kill()
    mark = installation.data / "mark.json"
    for moment, patch in MOMENTS.items():
        before = mark.read_bytes()
        with (
            pytest.raises(AssertionError),  # it ends without a word
            installation.node("killed", detent=[python, flag, f"{BEFORE}{patch}\n{program}"]),
        ):
            pass
        assert (mark.read_bytes() != before) == moment.startswith("renamed")
    with installation.node() as node:
        form = {"grant_type": "refresh_token", "refresh_token": token}
        assert node.ask("/oauth/token", installation.clients["strict"], **form).status_code == 200
