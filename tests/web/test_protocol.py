"""Answers that leave in one piece are, byte for byte, those that uvicorn sends of them (RFC 9112)."""

import re
import socket
from collections.abc import Iterator

import pytest

from detent.core.exchange import Request, Response
from detent.registry.routes import Route
from detent.system import SystemEntropy
from detent.testing.server import Loopback, ServerThread
from detent.web.asgi import Edge, Receive, Scope, Send
from detent.web.server import port_of

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
