"""Attacks on connections (rows H3, H4, H12): slow, endless, ambiguous, too many; by raw sockets."""

import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import apsw
import pytest

from detent.web import asgi, protocol, server
from detent.web.asgi import MAX_HEADER_BYTES, MAX_HEADERS
from tests.attacks.wire import BASIC, FORM, Answer, refreshing
from tests.serving import Detent, on_sqlite, running

HEAD = "POST /oauth/token HTTP/1.1\r\nHost: {host}\r\nAuthorization: " + BASIC + "\r\nContent-Type: " + FORM + "\r\n"
SLACK = 20.0  # seconds that a busy machine may add


@contextmanager
def wire_to(detent: Detent) -> Iterator[socket.socket]:
    place = urlsplit(detent.issuer)
    with socket.create_connection((place.hostname, place.port), timeout=60) as wire:
        yield wire


def head_for(detent: Detent) -> bytes:
    return HEAD.format(host=urlsplit(detent.issuer).netloc).encode()


def rest_of(wire: socket.socket) -> bytes:
    """All that comes until the server closes."""
    received = b""
    try:
        while chunk := wire.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def answer_on(wire: socket.socket) -> tuple[int, bytes]:
    response = HTTPResponse(wire)
    response.begin()
    return response.status, response.read()


# H3: headers, slowness, numbers


@pytest.mark.quick
@pytest.mark.parametrize("name", ["X-{}", "X"], ids=["each another", "one name"])
@pytest.mark.parametrize(("number", "size"), [(1, MAX_HEADER_BYTES), (MAX_HEADERS, 10), (500, 10), (20, 1000)])
def test_attack_h3_rfc6585_5_headers_too_large_or_too_many_are_431(
    standing: Detent, number: int, size: int, name: str
) -> None:
    more = "".join(f"{name.format(n)}: {'a' * size}\r\n" for n in range(number)).encode()
    answer = Answer(standing, head_for(standing) + more + b"Content-Length: 0\r\n\r\n")
    assert (answer.status_code, answer.json()["error"]) == (431, "invalid_request")


@pytest.mark.quick
def test_rfc9110_5_3_as_many_headers_of_one_name_as_may_come_are_read_and_two_authorizations_refused(
    standing: Detent,
) -> None:
    body, head = b"token=x", head_for(standing).replace(b"/oauth/token", b"/oauth/introspect")
    head += b"Content-Length: %d\r\n" % len(body)
    room = MAX_HEADERS - head.count(b"\r\n") + 1  # the first line is no header
    many = Answer(standing, head + b"X: a\r\n" * room + b"\r\n" + body)
    assert (many.status_code, many.json()) == (200, {"active": False})
    for again in (BASIC, "Basic eDp5", "Bearer x"):
        twice = Answer(standing, head + f"Authorization: {again}\r\n\r\n".encode() + body)
        assert (twice.status_code, twice.json()["error"]) == (401, "invalid_client"), again


@pytest.mark.parametrize("endless", [b"X-%d: " + b"a" * 1000 + b"\r\n", b"a" * 1000], ids=["headers", "one header"])
def test_attack_h3_a_head_without_an_end_is_given_up_long_before_memory_is(standing: Detent, endless: bytes) -> None:
    with wire_to(standing) as wire:
        wire.sendall(head_for(standing) + b"X-Endless: ")
        sent = 0
        try:
            while sent < 64 * MAX_HEADER_BYTES:
                sent += wire.send(endless % sent if b"%d" in endless else endless)
        except (ConnectionResetError, BrokenPipeError):
            pass
        received = rest_of(wire)
    assert not received or received.startswith(b"HTTP/1.1 431 ")
    assert standing.house.asgi.crowd.given_up[431] >= 1


@pytest.mark.parametrize(("last", "status"), [(b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000, 431), (b"\0" * 200_000, 400)])
def test_attack_h3_rfc9112_9_6_a_refusal_and_the_answers_before_it_arrive_though_more_was_sent(
    standing: Detent, last: bytes, status: int
) -> None:
    """Closing at once, with bytes that nobody read, would take them back."""
    one = f"GET /nowhere HTTP/1.1\r\nHost: {urlsplit(standing.issuer).netloc}\r\n\r\n".encode()
    with wire_to(standing) as wire:
        wire.sendall(one * 300 + last)
        received = b""  # not `rest_of`, to which a reset is an end like any other
        while chunk := wire.recv(65536):
            received += chunk
    assert received.count(b"HTTP/1.1 404 ") == 300
    assert received.count(f"HTTP/1.1 {status} ".encode()) == 1


@pytest.mark.slow
def test_attack_h3_slow_requests_and_idle_sockets_are_closed_and_honest_ones_are_served_meanwhile(
    standing: Detent,
) -> None:
    """Each drips a byte as long as it may: what counts is the whole request, not the pause between two bytes."""
    head = head_for(standing)
    drips = {
        "idle": (b"", b""),
        "head": (head, b"X"),
        "body": (head + b"Content-Length: 60000\r\n\r\n", b"a"),
        "chunks": (head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    }
    form, _ = refreshing(standing)
    with ExitStack() as stack:
        wires = {name: stack.enter_context(wire_to(standing)) for name in drips}
        for name, wire in wires.items():
            wire.sendall(drips[name][0])
        began, closed, received = time.monotonic(), dict[str, float](), dict[str, bytes]()
        served = 0
        while len(closed) < len(wires) and time.monotonic() - began < 60:
            for name, wire in wires.items():
                if name not in closed:
                    wire.settimeout(0.05)
                    try:
                        wire.sendall(drips[name][1])
                        chunk = wire.recv(65536)
                        received[name] = received.get(name, b"") + chunk
                    except TimeoutError:
                        continue
                    except OSError:
                        chunk = b""
                    if not chunk:
                        closed[name] = time.monotonic() - began
            answer = standing.refresh("testclient", form["refresh_token"])
            assert answer.status_code == 200
            form["refresh_token"] = answer.json()["refresh_token"]
            served += 1
    assert set(closed) == set(drips)
    assert max(closed.values()) < protocol.REQUEST_SECONDS + SLACK
    assert received["idle"] == b"", "nothing was asked, nothing is said"
    assert served >= 2


def test_attack_h3_where_there_is_no_room_the_one_goes_that_kept_us_waiting_longest(
    tmp_path: Path, keys_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 20)
    with running(tmp_path, keys_folder) as detent, ExitStack() as stack:
        detent.http.headers["connection"] = "close"  # one that is kept would have to go as well
        tokens = detent.sign_in()
        flood = [stack.enter_context(wire_to(detent)) for _ in range(100)]
        for _ in range(3):
            tokens = detent.refreshed("testclient", tokens["refresh_token"])
        assert detent.house.asgi.crowd.open <= 21
        assert rest_of(flood[0]) == b"", "the first was let go"
        flood[-1].sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer_on(flood[-1])[0] == 200, "the last was let in"
        assert detent.house.asgi.crowd.given_up[503] >= 80


def test_attack_h3_as_many_connections_as_there_are_descriptors_for_and_some_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for possible, most in ((64, 32), (256, 224), (1024, 896), (1 << 20, server.MOST_CONNECTIONS)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, possible=possible: (possible, possible))
        assert server._most_connections() == most


# H4: where a request ends


AMBIGUOUS = {
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\naaaaaa",
    "two equal lengths": b"Content-Length: 5\r\nContent-Length: 5\r\n\r\naaaaa",
    "lengths in a list": b"Content-Length: 5, 6\r\n\r\naaaaaa",
    "chunked is not the last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a bare line feed": b"Content-Length: 0\n\n",
    "a bare carriage return": b"X: a\rContent-Length: 0\r\n\r\n",
    "a folded header": b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": b"Content-Length : 5\r\n\r\naaaaa",
    "a null byte": b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "a chunk size that is none": b"Transfer-Encoding: chunked\r\n\r\nzz\r\naaaaa\r\n0\r\n\r\n",
    "a negative chunk size": b"Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
    "a chunk size without end": b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 64 + b"\r\na",
    "a chunk longer than it says": b"Transfer-Encoding: chunked\r\n\r\n1\r\naaa\r\n0\r\n\r\n",
}
SMUGGLED = b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: id\r\n\r\n"


@pytest.mark.quick
@pytest.mark.parametrize("name", AMBIGUOUS)
def test_attack_h4_rfc9112_6_a_request_whose_end_is_not_plain_is_400_and_ends_the_connection(
    standing: Detent, name: str
) -> None:
    _, unharmed = refreshing(standing)
    with wire_to(standing) as wire:
        wire.sendall(head_for(standing) + AMBIGUOUS[name] + SMUGGLED)
        received = rest_of(wire)
    assert received.startswith(b"HTTP/1.1 400 "), received
    assert received.count(b"HTTP/1.1 ") == 1, "what stood behind it was not taken for a request"
    assert b"connection: close" in received.lower()
    unharmed()


def test_attack_h12_http2_and_upgrades_are_not_spoken(standing: Detent) -> None:
    for sent in (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ):
        with wire_to(standing) as wire:
            wire.sendall(sent)
            wire.shutdown(socket.SHUT_WR)
            assert rest_of(wire)[:13] in (b"HTTP/1.1 400 ", b"HTTP/1.1 421 ", b"")
    head = (
        f"GET /health HTTP/1.1\r\nHost: {urlsplit(standing.issuer).netloc}\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    )
    for kind in ("h2c", "websocket"):
        answer = Answer(standing, f"{head}Upgrade: {kind}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n".encode())
        assert answer.status_code == 200, "RFC 9110 §7.8: an upgrade may be left alone"


# H12: floods


def test_attack_h12_ten_thousand_pipelined_requests_are_answered_in_order_and_others_beside_them(
    standing: Detent,
) -> None:
    form, _ = refreshing(standing)
    one = f"GET /nowhere HTTP/1.1\r\nHost: {urlsplit(standing.issuer).netloc}\r\n\r\n".encode()
    with wire_to(standing) as wire:
        os.set_blocking(wire.fileno(), False)
        left, received, beside = one * 10_000, b"", 0
        until = time.monotonic() + 120
        while received.count(b"HTTP/1.1 404 ") < 10_000 and time.monotonic() < until:
            with suppress(BlockingIOError):
                left = left[wire.send(left[:65536]) :] if left else left
            try:
                received += wire.recv(1 << 20)
            except BlockingIOError:
                time.sleep(0.001)
            if beside < 3:
                answer = standing.refresh("testclient", form["refresh_token"])
                assert answer.status_code == 200, "the flood is on its way, and others are served"
                form["refresh_token"], beside = answer.json()["refresh_token"], beside + 1
    assert received.count(b"HTTP/1.1 404 ") == 10_000
    assert beside == 3


@pytest.mark.parametrize(
    "header",
    ["Range: bytes=" + ",".join(f"{n}-" for n in range(1000)), "Range: bytes=0-0", "If-Range: x\r\nRange: bytes=-1",
     'If-None-Match: "' + '","'.join("x" * 1000) + '"', "If-Modified-Since: garbage", 'If-Match: "x"'],
    ids=lambda header: header[:20],
)  # fmt: skip
def test_attack_h12_ranges_and_conditions_on_the_keys_change_nothing(standing: Detent, header: str) -> None:
    plain = standing.http.get("/.well-known/jwks.json")
    head = f"GET /.well-known/jwks.json HTTP/1.1\r\nHost: {urlsplit(standing.issuer).netloc}\r\n{header}\r\n\r\n"
    answer = Answer(standing, head.encode())
    assert answer.status_code == 200
    assert answer.text == plain.text


# F16: too much at once


@pytest.mark.slow
def test_fault_f16_beyond_what_an_endpoint_takes_the_answer_is_503_at_once_and_other_endpoints_go_on(
    tmp_path: Path, keys_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi, "MOST_UNDER_WAY", 4)
    with running(tmp_path, keys_folder, on_sqlite(tmp_path, patience=60.0)) as detent, ExitStack() as stack:
        tokens = detent.sign_in()
        others = [detent.sign_in()["refresh_token"] for _ in range(4)]
        # Of the store's own library: locks of a file do not hold between two of them in one process.
        slow = apsw.Connection(str(tmp_path / "detent.db"))
        slow.execute("BEGIN IMMEDIATE")  # now nobody's write gets through
        held = [stack.enter_context(wire_to(detent)) for _ in others]
        for wire, token in zip(held, others, strict=True):
            body = urlencode({"grant_type": "refresh_token", "refresh_token": token})
            wire.sendall(head_for(detent) + f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        while detent.house.asgi._under_way["/oauth/token"] < 4:
            time.sleep(0.001)
        refusals = [detent.refresh("testclient", tokens["refresh_token"]) for _ in range(20)]
        assert {answer.status_code for answer in refusals} == {503}
        assert {answer.json()["error"] for answer in refusals} == {"temporarily_unavailable"}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refusals)
        took = sorted(answer.elapsed.total_seconds() for answer in refusals)
        assert took[10] < 0.05 + 0.45, "50 ms on a machine that does nothing else"
        assert detent.introspect(tokens["access_token"])["active"], "another endpoint"
        slow.close()
        assert [answer_on(wire)[0] for wire in held] == [200] * 4
        assert detent.refresh("testclient", tokens["refresh_token"]).status_code == 200, "over as soon as there is room"
