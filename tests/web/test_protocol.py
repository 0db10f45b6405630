"""Answers that leave in one piece are, byte for byte, those that uvicorn sends of them (RFC 9112)."""

import asyncio
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from detent.cli.serving import run
from detent.core.exchange import Request, Response
from detent.registry.routes import Route
from detent.system import SystemEntropy
from detent.testing.server import Loopback, ServerThread
from detent.web.asgi import Edge, Receive, Scope, Send
from detent.web.connections import MOST_TOGETHER
from detent.web.server import Server, port_of
from tests.web.wire import Wire

pytestmark = pytest.mark.quick

BIG = b"x" * 3_000_000


async def echo(request: Request) -> Response:
    return Response(200, request.body or b"nothing", (("content-type", "text/plain"), ("x-path", request.path)))


async def empty(request: Request) -> Response:
    return Response(204, headers=(("x-path", request.path),))


async def big(request: Request) -> Response:
    return Response(200, BIG)


async def split(request: Request) -> Response:
    return Response(200, b"never", (("location", "/here\r\nset-cookie: thief=1"),))


HANDLERS = {"/echo": echo, "/empty": empty, "/big": big, "/split": split}
ROUTES = {path: Route(path, ("GET", "POST"), handler) for path, handler in HANDLERS.items()}


class Doors:
    """One `Edge` behind both doors: `direct` in one piece, `asgi` as any server would run it."""

    def __init__(self, server: ServerThread) -> None:
        edge = Edge(ROUTES, frozenset(), SystemEntropy(), any_host=frozenset(ROUTES))

        async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
            await edge(scope, receive, send)

        self.direct, self.asgi = Loopback(), Loopback()
        server.serve(edge, self.direct)
        server.serve(asgi, self.asgi)

    def answers(self, sent: bytes) -> tuple[bytes, bytes]:
        return _answer(self.direct, sent), _answer(self.asgi, sent)


def _answer(door: Loopback, sent: bytes) -> bytes:
    """All that comes back until the server closes; without the time of day."""
    with socket.create_connection(("127.0.0.1", port_of(door.socket)), timeout=60) as wire:
        wire.sendall(sent)
        received = b""
        while portion := wire.recv(65536):
            received += portion
    return re.sub(rb"date: [^\r]*", b"date: *", received)


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    with ServerThread() as server:
        yield Doors(server)


def asking(method: str, path: str, *headers: str, body: str = "", last: bool = True, version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "host: here", *headers]
    lines += [f"content-length: {len(body)}"] if body else []
    lines += ["connection: close"] if last else []
    return "\r\n".join([*lines, "", body]).encode()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(asking("GET", "/echo"), id="get"),
        pytest.param(asking("HEAD", "/echo"), id="head"),
        pytest.param(asking("POST", "/echo", body="a=b"), id="post"),
        pytest.param(asking("POST", "/echo", "transfer-encoding: chunked") + b"3\r\na=b\r\n0\r\n\r\n", id="chunked"),
        pytest.param(asking("POST", "/echo", "expect: 100-continue", body="a=b"), id="100-continue"),
        pytest.param(asking("GET", "/empty"), id="204"),
        pytest.param(asking("GET", "/echo", last=False, version="1.0"), id="http/1.0"),
        pytest.param(asking("GET", "/big"), id="more than a socket holds"),
        pytest.param(asking("POST", "/echo", body="one", last=False) + asking("GET", "/empty"), id="two in a row"),
        pytest.param(asking("GET", "/big", last=False) + asking("POST", "/echo", body="two"), id="pipelined"),
        pytest.param(asking("POST", "/echo", "content-length: 99999999"), id="refused before its body"),
    ],
)
def test_rfc9112_an_answer_in_one_piece_is_the_one_that_asgi_sends(doors: Doors, sent: bytes) -> None:
    direct, asgi = (_without_id(answer) for answer in doors.answers(sent))
    assert direct == asgi
    assert direct.startswith(b"HTTP/1.1 ")


def _without_id(answer: bytes) -> bytes:
    return re.sub(rb"[0-9a-f]{12}", b"*", answer)


def test_rfc9110_5_5_no_header_of_ours_can_be_split(doors: Doors, caplog: pytest.LogCaptureFixture) -> None:
    assert _answer(doors.direct, asking("GET", "/split")) == b""
    assert [record.name for record in caplog.records if record.levelname == "ERROR"] == ["detent.web"], "told at once"
    assert b"thief" not in _answer(doors.asgi, asking("GET", "/split"))


def test_a_connection_is_kept_for_the_next_request(doors: Doors) -> None:
    with socket.create_connection(("127.0.0.1", port_of(doors.direct.socket)), timeout=60) as wire:
        for word in ("one", "two", "three"):
            wire.sendall(asking("POST", "/echo", body=word, last=False))
            assert wire.recv(65536).endswith(word.encode())  # and so in one piece


class Told(Wire):
    """Which tells `log` of what leaves by it."""

    def __init__(self, server: Server, log: list[str]) -> None:
        super().__init__(server)
        self._log = log

    def write(self, data: Any) -> None:
        self._log.append("sent")
        super().write(data)


class Crowded:
    """A server without sockets, and connections that ask it in one step of the loop."""

    def __init__(self) -> None:
        async def fine(request: Request) -> Response:
            self.log.append("ready")
            return Response(200, b"fine")

        self.log: list[str] = []
        routes = {"/fine": Route("/fine", ("GET",), fine), "/split": Route("/split", ("GET",), split)}
        self.server = Server(Edge(routes, frozenset(), SystemEntropy(), any_host=frozenset(routes)))
        self.server.config.load()

    def asked(self, *paths: str) -> list[Told]:
        wires = [Told(self.server, self.log) for _ in paths]
        for wire, path in zip(wires, paths, strict=True):
            wire.ask(path)
        return wires


async def steps(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def test_answers_of_one_moment_leave_together_and_none_waits_for_more_than_a_few() -> None:
    crowded = Crowded()

    async def work() -> None:
        wires = crowded.asked(*["/fine"] * (2 * MOST_TOGETHER + 3))
        await steps(3)
        assert all(wire.answers[0].endswith(b"fine") for wire in wires)

    run(work())
    whole = ["ready"] * MOST_TOGETHER + ["sent"] * MOST_TOGETHER
    assert crowded.log == [*whole, *whole, *["ready"] * 3, *["sent"] * 3]


def test_an_answer_that_cannot_be_sent_keeps_none_of_those_that_leave_with_it() -> None:
    async def work() -> None:
        before, broken, after = Crowded().asked("/fine", "/split", "/fine")
        await steps(3)
        assert before.answers[0].endswith(b"fine")
        assert after.answers[0].endswith(b"fine")
        assert (broken.answers, broken.closed) == ([], True)

    run(work())


def test_an_answer_that_is_ready_when_the_server_ends_still_leaves_and_says_that_it_is_the_last() -> None:
    async def work() -> None:
        crowded = Crowded()
        [wire] = crowded.asked("/fine")
        while "ready" not in crowded.log:
            await steps(1)
        assert not wire.answers
        wire.protocol.shutdown()
        assert not wire.closed
        await steps(1)
        assert b"connection: close" in wire.answers[0]
        assert wire.closed

    run(work())
