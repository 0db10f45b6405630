"""SIGTERM to a `detent serve` under load (fault F15): nothing that was asked fails, and nobody can hold it up."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import Cli, Process, process

ISSUER = "https://id.example/"
HOST = {"Host": "id.example"}
DRAINED = 10  # seconds, by promise

pytestmark = pytest.mark.slow


@contextmanager
def served(cli: Cli, log: Path, *more: str) -> Iterator[Process]:
    arguments = ("serve", "--issuer", ISSUER, "--port", "0", "--data", str(cli.data), "--proxies", "1", *more)
    with process(log, *arguments, "--operator-address", "127.0.0.1:0") as started:
        yield started


class Client(threading.Thread):
    """Asks for tokens until it is told that the node is to get no more, as a balancer would; notes what failed."""

    def __init__(self, started: Process, credentials: tuple[str, str]) -> None:
        super().__init__()
        self.url = f"http://127.0.0.1:{started.ready['port']}"
        self.credentials = credentials
        self.good = 0
        self.bad: list[Any] = []
        self.over = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self.url, headers=HOST, timeout=30) as http:
            while not self.over.is_set():
                try:
                    form = {"grant_type": "client_credentials"}
                    answer = http.post("/oauth/token", data=form, auth=self.credentials)
                    self.good += answer.status_code == 200
                    self.bad += [] if answer.status_code == 200 else [answer.text]
                except httpx.HTTPError as error:
                    self.bad.append(error)


def credentials(cli: Cli) -> tuple[str, str]:
    cli("api", "add", "https://api.example/", "--scope", "read")
    added = cli.json("client", "add", "--kind", "machine", "--scope", "read", "--audience", "https://api.example/")
    return added["client_id"], added["client_secret"]


def operators_see(started: Process, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{started.ready['operator_port']}{path}", timeout=30)


def test_fault_f15_sigterm_under_load_fails_no_request_and_health_says_so_before_sockets_close(
    cli: Cli, tmp_path: Path
) -> None:
    known = credentials(cli)
    with served(cli, tmp_path / "log", "--shutdown-delay", "4") as started:
        clients = [Client(started, known) for _ in range(4)]
        for client in clients:
            client.start()
        while sum(client.good for client in clients) < 20:
            time.sleep(0.01)
        assert operators_see(started, "/health").status_code == 200
        began = time.monotonic()
        started.process.send_signal(signal.SIGTERM)
        while (answer := operators_see(started, "/health")).status_code == 200:
            time.sleep(0.01)
        assert [each["reason"] for each in answer.json()["reasons"]] == ["draining"]
        during = httpx.get(f"http://127.0.0.1:{started.ready['port']}/.well-known/jwks.json", headers=HOST)
        assert (during.status_code, during.headers["connection"]) == (200, "close"), "served, and told to go elsewhere"
        for client in clients:
            client.over.set()
        for client in clients:
            client.join()
        assert started.ended() == (0, "")
        assert time.monotonic() - began < 4 + DRAINED
        assert [client.bad for client in clients] == [[], [], [], []]


def test_fault_f15_slow_and_idle_sockets_cannot_hold_it(cli: Cli, tmp_path: Path) -> None:
    with served(cli, tmp_path / "log", "--shutdown-delay", "0") as started, ExitStack() as stack:
        place = ("127.0.0.1", started.ready["port"])
        head = b"POST /oauth/token HTTP/1.1\r\nHost: id.example\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        for sent in (b"", b"POST /oa", head, head + b"Content-Length: 1000\r\n\r\ngrant_type="):
            wire = stack.enter_context(socket.create_connection(place))
            wire.sendall(sent)
        kept = stack.enter_context(httpx.Client(headers=HOST))
        kept.get(f"http://127.0.0.1:{place[1]}/.well-known/jwks.json")
        began = time.monotonic()
        assert started.end(signal.SIGTERM) == (0, "")
        assert time.monotonic() - began < DRAINED


def test_fault_f15_a_second_signal_ends_it_at_once(cli: Cli, tmp_path: Path) -> None:
    with served(cli, tmp_path / "log", "--shutdown-delay", "300") as started:
        started.process.send_signal(signal.SIGTERM)
        while operators_see(started, "/health").status_code == 200:
            time.sleep(0.01)
        assert started.end(signal.SIGTERM)[0] == 0
