"""Processes of `detent serve` on one store, and honest clients that go on whatever happens to them.

A client sends its retry key, keeps the token until it has a new one, and asks any node: who does so may rely on
never being refused. Every request and answer is recorded for the history checker.
"""

import asyncio
import json
import os
import random
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from detent.core.policy import Overrides, RefreshPolicy, effective_policy
from detent.system import SystemClock
from detent.testing.history.check import Violation, check
from detent.testing.history.record import Recorder
from tests.cli.conftest import DETENT, PLAIN, Cli, Process, process

ISSUER: Final = "https://id.example/"
API: Final = "https://api.example/"
HOST: Final = {"Host": "id.example"}
BACK: Final = 300.0  # seconds until a test gives up waiting for an answer
PAUSE: Final = (0.05, 0.15)  # seconds; clients that ask without one leave a starting server no processor
TIME_OUT: Final = 6.0  # seconds; longer than a node's patience with its store


class Installation:
    """A data directory with its keys, perhaps a database, and one strict client, one tolerant client, one person."""

    def __init__(self, folder: Path, conninfo: str = "", *, detent: list[str] = DETENT, **settings: str) -> None:
        self.folder = folder
        self._detent = detent  # how a node is started
        self.data = folder / "data"
        self.env = {"DETENT_DATA": str(self.data), "DETENT_ISSUER": ISSUER, "DETENT_PASSWORD_GRANT": "true"}
        self.env |= {"DETENT_STORE": conninfo} if conninfo else {}
        self.env |= {f"DETENT_{name.upper()}": value for name, value in settings.items()}
        self.clients: dict[str, tuple[str, str]] = {}
        self.policies: dict[str, RefreshPolicy] = {}
        self.person: dict[str, str] = {}

    @contextmanager
    def node(self, name: str = "node", detent: list[str] | None = None, **settings: str) -> Iterator["Node"]:
        log = self.folder / f"{name}.log"
        env = self.env | {f"DETENT_{name.upper()}": value for name, value in settings.items()}
        how = detent or self._detent
        with process(log, "serve", "--port", "0", env=env, detent=how) as started, Node(started) as node:
            yield node

    def furnish(self) -> None:
        """Register the cast; a node must have made the store."""
        self.command("api", "add", API, "--scope", "read")
        password = self.command("user", "add", "ada", "--generate")["password"]
        self.person = {"username": "ada", "password": password}
        grants = ("--grant", "password", "--grant", "refresh_token", "--scope", "read", "--audience", API)
        for name, overlap in (("strict", 0), ("tolerant", 60)):
            flags = ("--kind", "web", "--name", name, "--rotating", "--overlap", str(overlap))
            added = self.command("client", "add", *flags, *grants)
            self.clients[name] = (added["client_id"], added["client_secret"])
            overrides = Overrides(rotating=True, overlap=overlap)
            self.policies[added["client_id"]] = effective_policy("web", overrides)

    def command(self, *arguments: str) -> Any:
        done = subprocess.run(
            [*DETENT, *arguments, "--json"], env=PLAIN | self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def doctor(self) -> dict[str, dict[str, Any]]:
        """What `detent doctor` says, by what it is about: `ok` and `advice`."""
        result = Cli(self.data).run("doctor", "--json", env=self.env)
        found = {each["what"]: each for each in json.loads(result.stdout)}
        assert result.exit_code == int(not all(each["ok"] for each in found.values()))
        return found


class Node:
    """One process, and how to ask it."""

    def __init__(self, started: Process) -> None:
        self.process = started.process
        self.url = f"http://127.0.0.1:{started.ready['port']}"
        self.http = httpx.Client(base_url=self.url, headers=HOST, timeout=TIME_OUT)

    def __enter__(self) -> "Node":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def ask(self, path: str, credentials: tuple[str, str], **form: str) -> httpx.Response:
        return self.http.post(path, data=form, auth=credentials)


class Crowd:
    """Honest clients, each with one family, that refresh without a pause at whichever node answers."""

    def __init__(self, installation: Installation, client: str = "strict") -> None:
        self._installation = installation
        self._credentials = installation.clients[client]
        self._recorder = Recorder(SystemClock())
        self._stop = False
        self._door = asyncio.Semaphore(2)  # hashes take turns: who waits too long for one asks for it twice
        self.urls: list[str] = []
        self.answered: list[float] = []  # when a refresh was answered with tokens, time.monotonic()
        self.refused: list[str] = []
        self.failed: list[str] = []  # answers that are neither tokens nor a refusal nor 503

    async def run(self, clients: int) -> None:
        """Until `stop`; every client has signed in when the first one refreshes."""
        limits = httpx.Limits(max_connections=2 * clients, max_keepalive_connections=clients)
        async with httpx.AsyncClient(headers=HOST, timeout=TIME_OUT, auth=self._credentials, limits=limits) as http:
            tokens = await asyncio.gather(*(self._sign_in(http) for _ in range(clients)))
            await asyncio.gather(*(self._live(http, token) for token in tokens))

    async def go_on(self, more: int) -> None:
        """Until so many more were answered with tokens, or somebody is refused."""
        wanted = len(self.answered) + more
        while len(self.answered) < wanted and not self.refused:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    def stop(self) -> None:
        self._stop = True

    def violations(self) -> list[Violation]:
        return check(self._recorder.requests, self._installation.policies)

    async def _sign_in(self, http: httpx.AsyncClient) -> str:
        while True:
            async with self._door:
                answer = await self._ask(http, {"grant_type": "password", **self._installation.person})
            if answer and answer.status_code == 200:
                return str(answer.json()["refresh_token"])
            await asyncio.sleep(0.05)

    async def _live(self, http: httpx.AsyncClient, token: str) -> None:
        key = secrets.token_urlsafe(16)
        while not self._stop:
            form = {"grant_type": "refresh_token", "refresh_token": token, "retry_key": key}
            answer = await self._ask(http, form, promised=True)
            if answer and answer.status_code == 200:
                self.answered.append(time.monotonic())
                token, key = str(answer.json()["refresh_token"]), secrets.token_urlsafe(16)
            elif answer and answer.status_code == 400:
                self.refused.append(answer.text)
                return
            else:
                if answer and answer.status_code != 503:
                    self.failed.append(f"{answer.status_code} {answer.text}")
                await asyncio.sleep(random.uniform(*PAUSE))  # noqa: S311

    async def _ask(
        self, http: httpx.AsyncClient, form: dict[str, str], *, promised: bool = False
    ) -> httpx.Response | None:
        request = self._recorder.started("/oauth/token", form, self._credentials[0], promised=promised)
        try:
            answer = await http.post(f"{random.choice(self.urls)}/oauth/token", data=form)  # noqa: S311
        except httpx.HTTPError:
            return None
        self._recorder.answered(request, answer.status_code, answer.content)
        return answer


async def served_again(crowd: Crowd, since: float) -> float:
    """Waits for the first refresh that is answered after this moment; the seconds until then."""
    while not crowd.answered or crowd.answered[-1] <= since:
        assert time.monotonic() < since + BACK, "not served again"
        await asyncio.sleep(0.02)
    return next(moment for moment in crowd.answered if moment > since) - since


def seconds_of_cpu(process: int) -> float:
    """Reads /proc: on Linux alone."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def seconds(silences: Sequence[float]) -> str:
    ordered = sorted(silences)
    return f"{ordered[len(ordered) // 2]:.2f} s in the median, at most {ordered[-1]:.2f} s, of {len(ordered)}"


@contextmanager
def nodes(installation: Installation, many: int) -> Iterator[list[Node]]:
    """Started one after the other on a store that the first one makes, and furnished."""
    with ExitStack() as stack:
        started = [stack.enter_context(installation.node("node 0"))]
        if not installation.clients:
            installation.furnish()
        started += [stack.enter_context(installation.node(f"node {number}")) for number in range(1, many)]
        yield started
