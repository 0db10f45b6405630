"""A real client as a program of its own: it prints what happened as JSON lines, and waits for a line after each.

The programs are in programs/, each on one unmodified library. What all of them live through is in life.py.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any, Final

import pytest

from tests.cli.conftest import PLAIN

ROOT: Final = Path(__file__).parents[2]
PROGRAMS: Final = Path(__file__).parent / "programs"
NODE: Final = ROOT / ".detent" / "clients" / "node"
PYTHON: Final = ROOT / ".detent" / "clients" / "python" / "bin" / "python"
PATIENCE: Final = 180  # seconds for a whole program, on a loaded machine too

Told = dict[str, Any]


class Program:
    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process = process
        self._log = log

    def told(self, step: str) -> Told:
        """What it tells next, which must be this step."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, f"{step!r} did not come, the program ended:\n{self._log.read_text()}"
        told: Told = json.loads(line)
        assert told["step"] == step, told
        return told

    def say(self, answer: str = "") -> None:
        """Let it go on, with this answer."""
        assert self._process.stdin
        self._process.stdin.write(f"{answer}\n")
        self._process.stdin.flush()

    def went_on(self, step: str) -> Told:
        told = self.told(step)
        self.say()
        return told

    def ended(self) -> None:
        rest, _ = self._process.communicate(timeout=PATIENCE)
        assert (self._process.returncode, rest) == (0, ""), self._log.read_text()


@contextmanager
def program(name: str, log: Path, environment: Mapping[str, str], patience: float = PATIENCE) -> Iterator[Program]:
    """This file of programs/, with its library beside it. Skips where `./check clients` did not bring that."""
    with log.open("w") as stderr:
        started = subprocess.Popen(
            _command(name), env={**PLAIN, **environment}, cwd=log.parent, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
        )  # fmt: skip
    watch = Timer(patience, started.kill)
    watch.start()
    try:
        yield Program(started, log)
    finally:
        watch.cancel()
        started.kill()
        started.communicate()


def client_environment(issuer: str, document: Mapping[str, Any]) -> dict[str, str]:
    """What a program is told of the server and of its own registration."""
    told = {"ISSUER": issuer, "CLIENT_ID": document["client_id"], "CLIENT_SECRET": document.get("client_secret")}
    return {name: value for name, value in told.items() if value}


def node_package(path: str = "") -> Path:
    """A file of what tests/clients/node locks. Skips."""
    modules = NODE / "node_modules"
    if not (modules / "installed.json").exists():
        pytest.skip("no npm packages: `sudo apt-get install nodejs npm`, then `./check clients`")
    return modules / path


def _command(name: str) -> list[str]:
    if name.endswith(".py"):
        if not PYTHON.exists():
            pytest.skip("no Python clients: `./check clients`")
        return [str(PYTHON), str(PROGRAMS / name)]
    if name.endswith(".sh"):
        return ["bash", str(PROGRAMS / name)]
    node_package()
    for each in PROGRAMS.glob("*.mjs"):  # Node finds packages beside the program only
        _copied(each, NODE / each.name)
    return ["node", str(NODE / name)]


def _copied(source: Path, target: Path) -> None:
    """Whole at any time: other workers run it."""
    fresh = target.with_suffix(f".{os.getpid()}")
    shutil.copyfile(source, fresh)
    fresh.replace(target)
