"""Whom a flood of worthless tokens slows (attack H12, attack row on garbage): those who send it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detent.core.errors import AuthorizationPending, InvalidGrant
from detent.core.exchange import Request, Response
from detent.registry.routes import Route
from detent.system import SystemEntropy
from detent.web.asgi import MOST_HELD_BEHIND_PROXIES, Edge, Heard
from detent.web.pace import AT_ONCE, IN_VAIN, LONGEST, PER_SECOND, Pace
from detent.web.protocol import Protocol
from detent.web.server import Server
from tests.web.wire import Wire

pytestmark = pytest.mark.quick

MOMENTS = st.lists(st.floats(0, 0.01), min_size=1, max_size=400)  # seconds from one answer to the next


@given(MOMENTS)
def test_no_more_leave_in_a_second_than_may_unless_they_waited_as_long_as_anybody_may(apart: list[float]) -> None:
    pace, now, left = Pace(), 1000.0, []
    for seconds in apart:
        now += seconds
        wait = pace.seconds_to_wait("invalid_grant", now)
        assert 0 <= wait <= LONGEST
        if wait < LONGEST / 2:
            left.append(now + wait)
    for begin in left:
        within = sum(begin <= moment < begin + 1 for moment in left)
        assert within <= AT_ONCE + PER_SECOND + 1


def test_after_a_flood_a_second_is_enough_to_be_answered_at_once() -> None:
    pace = Pace()
    waits = [pace.seconds_to_wait("invalid_client", 1000.0) for _ in range(10_000)]
    assert [wait > 0 for wait in waits] == [False] * (AT_ONCE + 1) + [True] * (10_000 - AT_ONCE - 1)
    assert len(set(waits[-100:])) > 50, "they do not all leave in the same moment"
    assert pace.seconds_to_wait("invalid_client", 1001.0) == 0.0


@pytest.mark.parametrize(
    "error", ["", "authorization_pending", "use_dpop_nonce", "temporarily_unavailable", "slow_down"]
)
def test_whoever_is_to_come_again_never_waits(error: str) -> None:
    pace = Pace()
    for _ in range(1000):
        pace.seconds_to_wait(min(IN_VAIN), 1000.0)
    assert pace.seconds_to_wait(error, 1000.0) == 0.0


# On connections


class Slow(Pace):
    """Every worthless answer waits this long, in seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def seconds_to_wait(self, error: str, now: float) -> float:
        return self._seconds if error in IN_VAIN else 0.0


async def worthless(request: Request) -> Response:
    raise InvalidGrant("Unknown or invalid refresh token.")


async def pending(request: Request) -> Response:
    raise AuthorizationPending("Nobody has answered yet.")


async def fine(request: Request) -> Response:
    return Response(200, b"fine")


HANDLERS = {"/worthless": worthless, "/pending": pending, "/fine": fine}
ROUTES = {path: Route(path, ("GET",), handler) for path, handler in HANDLERS.items()}


def serving(seconds: float = 0.0, *, proxies: int = 0) -> tuple[Edge, Server]:
    edge = Edge(ROUTES, frozenset(), SystemEntropy(), any_host=frozenset(ROUTES), proxies=proxies)
    edge.pace = Slow(seconds)
    server = Server(edge)
    server.config.load()
    return edge, server


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_h12_a_worthless_answer_that_waits_holds_up_its_own_connection_and_no_other() -> None:
    edge, server = serving(3600)
    flood, honest = Wire(server), Wire(server)
    flood.ask("/worthless", "/fine")
    await until(lambda: edge.crowd.held_back)
    honest.ask("/fine", "/pending")
    await until(lambda: len(honest.statuses) == 2)
    assert (honest.statuses, flood.statuses) == ([200, 400], [])
    assert edge.crowd.held_back == 1


async def test_h12_what_waited_is_answered_and_so_is_what_came_behind_it() -> None:
    edge, server = serving(0.001)
    wire = Wire(server)
    wire.ask("/worthless", "/fine", "/worthless", "/pending")
    await until(lambda: len(wire.statuses) == 4)
    assert wire.statuses == [400, 200, 400, 400]
    assert edge.crowd.held_back == 2
    wire.ask("/fine")
    await until(lambda: len(wire.statuses) == 5)


@pytest.mark.parametrize("proxies", [0, 1])
async def test_h12_behind_a_proxy_a_flood_holds_few_of_the_connections_that_it_shares(proxies: int) -> None:
    edge, server = serving(3600, proxies=proxies)
    flood = [Wire(server) for _ in range(MOST_HELD_BEHIND_PROXIES)]
    for wire in flood:
        wire.ask("/worthless")
    await until(lambda: edge.crowd.held_back == len(flood))
    one_more, honest = Wire(server), Wire(server)
    one_more.ask("/worthless")
    honest.ask("/fine")
    await until(lambda: honest.statuses)
    assert one_more.statuses == ([400] if proxies else [])
    assert edge.crowd.held_back == len(flood) + (0 if proxies else 1)


async def test_h12_behind_a_proxy_places_to_wait_are_given_back() -> None:
    edge, server = serving(0.001, proxies=1)
    wire, many = Wire(server), 2 * MOST_HELD_BEHIND_PROXIES
    wire.ask(*["/worthless"] * many)
    await until(lambda: len(wire.statuses) == many)
    assert (edge.crowd.held_back, edge.crowd.holding) == (many, 0)


async def test_h3_where_room_is_needed_who_waits_for_a_worthless_answer_goes() -> None:
    """Else whoever holds every connection by worthless requests would keep everybody out."""
    edge, server = serving(3600)
    server.server_state.most = 1
    flood = Wire(server)
    flood.ask("/worthless")
    await until(lambda: edge.crowd.held_back)
    honest = Wire(server)
    assert flood.closed
    honest.ask("/fine")
    await until(lambda: honest.statuses)
    assert (honest.statuses, flood.statuses, edge.crowd.given_up) == ([200], [], {503: 1})


async def test_h3_rfc9112_9_6_who_was_refused_is_listened_to_for_a_moment_unless_room_is_needed() -> None:
    edge, server = serving()
    server.server_state.most = 1
    strange = Wire(server)
    strange.protocol.data_received(b"\0")
    assert (strange.statuses, strange.closed) == ([400], False)
    strange.protocol.data_received(b"more")
    Wire(server)
    assert (strange.statuses, strange.closed) == ([400], True)
    assert edge.crowd.given_up == {400: 1}


async def test_h12_the_door_for_any_server_holds_back_as_well() -> None:
    edge, _ = serving(3600)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "query_string": b"", "headers": []}
    flood = asyncio.create_task(edge({**scope, "path": "/worthless"}, receive, send))
    await until(lambda: edge.crowd.held_back)
    await edge({**scope, "path": "/fine"}, receive, send)
    assert [message["status"] for message in sent if "status" in message] == [200]
    flood.cancel()


async def test_h12_what_comes_behind_a_request_is_not_taken_apart_before_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten thousand requests in one go are tenths of a second of work otherwise, in front of everybody else."""
    _, server = serving()
    heard = []
    take = Protocol._take

    def counted(protocol: Protocol, request: Heard, *, more: bool) -> None:
        heard.append(request)
        take(protocol, request, more=more)

    monkeypatch.setattr(Protocol, "_take", counted)
    wire = Wire(server)
    wire.ask(*["/fine"] * 10_000)
    while len(wire.statuses) < 10_000:
        before = len(wire.statuses)
        assert len(heard) - before <= 1 + 4096 // len("GET /fine HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda before=before: len(wire.statuses) > before)  # type: ignore[misc]
    assert wire.statuses == [200] * 10_000
