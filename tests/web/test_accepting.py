"""New connections beside those that are at work (attack H3): none waits for its turn behind each of the others."""

import asyncio
import socket

import pytest

from detent.cli.serving import run
from detent.core.exchange import Request, Response
from detent.registry.routes import Route
from detent.system import SystemEntropy
from detent.web.asgi import Edge
from detent.web.server import TOGETHER, Server, listening, port_of

pytestmark = pytest.mark.quick

MANY = 4 * TOGETHER
STEPS = 10  # of the event loop, each of which is a request of every connection that is at work


async def fine(request: Request) -> Response:
    return Response(200, b"fine")


def test_h3_connections_that_come_together_are_taken_together() -> None:
    edge = Edge({"/": Route("/", ("GET",), fine)}, frozenset(), SystemEntropy(), any_host=frozenset({"/"}))
    taken = []

    async def work() -> None:
        server, opened = Server(edge), listening("127.0.0.1", 0)
        serving = asyncio.create_task(server.serve([opened]))
        await server.accepting.wait()
        place = ("127.0.0.1", port_of(opened))
        wires = [socket.create_connection(place, timeout=5) for _ in range(MANY)]  # of which the loop knows nothing yet
        for _ in range(STEPS):
            await asyncio.sleep(0)
        taken.append(edge.crowd.open)
        for wire in wires:
            wire.close()
        server.should_exit = True
        await serving

    run(work())
    assert taken == [MANY]
