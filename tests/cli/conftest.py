"""The command line as people and scripts use it: in process for one command, as a process for a server."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner, Result

from detent.cli import main
from detent.cli.identity import KEYS_FOLDER
from detent.cli.office import Office, opened
from detent.client_auth.secret import is_secret_of
from detent.core.client import Client
from detent.core.events import Event
from detent.core.ids import Instant
from detent.keys.file import FileKeys
from detent.settings.declared import Settings
from detent.system import SystemClock

T = TypeVar("T")
DETENT = [sys.executable, "-c", "from detent.cli import main; main()"]
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("DETENT_")}
SECONDS = 60


class Cli:
    """`detent …` on one data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.runner = CliRunner(env={name: None for name in os.environ if name.startswith("DETENT_")})

    def run(self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> Result:
        return self.runner.invoke(main, [*arguments, "--data", str(self.data)], input=stdin, env=env)

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """What a person reads."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str, stdin: str | None = None) -> Any:
        """The one document that a script reads."""
        result = self.run(*arguments, "--json", stdin=stdin)
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
        return json.loads(result.stdout)

    def refused(self, *arguments: str, stdin: str | None = None) -> tuple[str, str]:
        """The code and the sentence of an error, which is all there is then."""
        result = self.run(*arguments, "--json", stdin=stdin)
        assert (result.exit_code, result.stdout) == (1, ""), result.output
        error = json.loads(result.stderr)
        assert list(error) == ["error", "error_description"]
        return error["error"], error["error_description"]

    def misused(self, *arguments: str) -> str:
        """What is said of a wrong command line."""
        result = self.run(*arguments)
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        return result.stderr

    def ask(self, question: Callable[[Office], Awaitable[T]]) -> T:
        """What the opened data directory answers."""

        async def ask() -> T:
            async with opened(Settings(data=self.data)) as office:
                return await question(office)

        return asyncio.run(ask())

    def events(self) -> list[Event]:
        return [event for _, event in self.ask(lambda office: office.directory.events(limit=1000))]

    def stored(self, client_id: str) -> Client:
        found = self.ask(lambda office: office.outside.store.client(client_id))
        assert found
        return found

    def accepts(self, client_id: str, secret: str, seconds_later: int = 0) -> bool:
        """Whether this is a secret of the client, now or later."""

        async def ask(office: Office) -> bool:
            client = await office.outside.store.client(client_id)
            return is_secret_of(client, secret, office.keys, Instant(office.outside.clock.now() + seconds_later))

        return self.ask(ask)

    def signs_in(self, username: str, password: str) -> bool:
        return self.ask(lambda office: office.people.verify(username, password)) is not None

    def everything(self) -> bytes:
        """All bytes under the data directory."""
        return b"".join(path.read_bytes() for path in sorted(self.data.rglob("*")) if path.is_file())


class Process:
    """A `detent up` or `detent serve` that has said it is ready."""

    def __init__(self, process: "subprocess.Popen[str]", ready: dict[str, Any], log: Path) -> None:
        self.process = process
        self.ready = ready
        self.log = log

    def client(self, kind: str) -> dict[str, Any]:
        found: dict[str, Any] = next(each for each in self.ready["clients"] if each["kind"] == kind)
        return found

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """The exit code, and what it printed after it was ready."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> tuple[int, str]:
        rest, _ = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, rest


@contextmanager
def process(
    log: Path, *arguments: str, env: dict[str, str] | None = None, detent: list[str] = DETENT
) -> Iterator[Process]:
    with log.open("a") as stderr:
        started = subprocess.Popen(
            [*detent, *arguments, "--json"], stdout=subprocess.PIPE, stderr=stderr, text=True, env=PLAIN | (env or {})
        )
    try:
        assert started.stdout
        line = started.stdout.readline()
        assert line, log.read_text()
        yield Process(started, json.loads(line), log)
    finally:
        if started.poll() is None:
            started.kill()
        started.communicate()


@pytest.fixture(scope="session")
def shared_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Making RSA keys is the slowest part of a first start."""
    folder = tmp_path_factory.mktemp("keys") / KEYS_FOLDER
    FileKeys.open(folder, SystemClock())
    return folder


@pytest.fixture
def cli(tmp_path: Path, shared_keys: Path) -> Cli:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    shutil.copytree(shared_keys, data / KEYS_FOLDER)
    return Cli(data)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Development mode, for tests that leave it as they found it."""
    folder = tmp_path_factory.mktemp("up")
    with process(folder / "log", "up", "--port", "0", "--data", str(folder / "data")) as started:
        yield started
