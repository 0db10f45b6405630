"""uvicorn as we run it: nothing believed of what a proxy or client says about itself, drained at the end.

Sockets are opened before anything is built, so that a port that is taken stops the start with a sentence and a free
one can be part of the issuer. Rules: `X-Forwarded-*` changes nothing (attack H5); no line per request is logged, for
a URL may hold what a log must not.
"""

import asyncio
import errno
import gc
import resource
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, NamedTuple

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from detent.web.asgi import Crowd, Edge
from detent.web.connections import State
from detent.web.protocol import Protocol

Application = Callable[..., Awaitable[None]]
BACKLOG: Final = 2048
TOGETHER: Final = 16  # connections that are taken in one step of the event loop, before there is room made for them
KEEP_ALIVE_SECONDS: Final = 30
DRAIN_SECONDS: Final = 7  # for the requests under way
MOST_CONNECTIONS: Final = 10_000
_COLLECT_AFTER: Final = 20_000  # objects: one look takes two milliseconds then


def listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections from now on. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.create_server((host, port), family=family, backlog=BACKLOG)
    # asyncio sets it on sockets that it binds itself; without it every answer waits 40 ms for an ACK.
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def loopback(port: int) -> list[socket.socket]:
    """127.0.0.1 and, where this machine has it, [::1]: `localhost` may mean either. Raises OSError."""
    first = listening("127.0.0.1", port)
    try:
        return [first, listening("::1", port_of(first))]
    except OSError as error:
        if port and error.errno == errno.EADDRINUSE:
            first.close()
            raise
        return [first]


def port_of(opened: socket.socket) -> int:
    port: int = opened.getsockname()[1]
    return port


class Served(NamedTuple):
    """An application and where it is reached; with `tls` by https alone."""

    application: Application
    sockets: list[socket.socket]
    tls: ssl.SSLContext | None = None


class Server(uvicorn.Server):
    """Serves one application until `should_exit`; signals are left to whoever runs it."""

    def __init__(self, application: Application, tls: ssl.SSLContext | None = None) -> None:
        http: Any = Protocol if isinstance(application, Edge) else HttpToolsProtocol
        if tls:
            http = _secured(tls, http)
        super().__init__(
            uvicorn.Config(
                application,
                http=http,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=TOGETHER,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )
        self.accepting = asyncio.Event()
        crowd = application.crowd if isinstance(application, Edge) else Crowd()
        self.server_state: State = State(crowd, _most_connections())

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        for each in sockets or ():
            each.listen(BACKLOG)  # to asyncio one number is both how many may wait and how many it takes at once
        self.accepting.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _secured(tls: ssl.SSLContext, http: Callable[..., asyncio.Protocol]) -> Callable[..., asyncio.Protocol]:
    from detent.web.handshake import Handshake

    return lambda **named: Handshake(tls, http(**named), named["server_state"])


class Ending(msgspec.Struct, frozen=True):
    """`announced` is called with the signal; for `delay` seconds more requests are taken, each the last of its
    connection, so that whoever sends them here can learn not to.
    """

    delay: float = 0
    announced: Callable[[], None] = lambda: None


AT_ONCE: Final = Ending()


class _Stop:
    """What a signal does: the first begins the end, the second makes it short."""

    def __init__(self, servers: Sequence[Server], ending: Ending, loop: asyncio.AbstractEventLoop) -> None:
        self._servers = servers
        self._ending = ending
        self._loop = loop
        self._begun = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._begun:
            for server in self._servers:
                server.should_exit = server.force_exit = True
        else:
            self._begun = True
            self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self._ending.announced()
        for server in self._servers:
            server.server_state.ending = True
        self._loop.call_later(self._ending.delay, self._close)

    def _close(self) -> None:
        for server in self._servers:
            server.should_exit = True


async def serve_until_signal(served: Sequence[Served], ready: Callable[[], None], ending: Ending = AT_ONCE) -> None:
    """Serve each application on its sockets until SIGINT or SIGTERM; `ready` is called once all of them accept.

    Then the requests under way are finished, unless a second signal comes.
    """
    servers = [Server(each.application, each.tls) for each in served]
    stop = _Stop(servers, ending, asyncio.get_running_loop())
    with _on_signal(stop):
        async with asyncio.TaskGroup() as running:
            for server, each in zip(servers, served, strict=True):
                running.create_task(server.serve(each.sockets))
            for server in servers:
                await server.accepting.wait()
            _settle()
            ready()


def _settle() -> None:
    """All that is here now stays, and a request leaves nothing behind that counting references does not free: so the
    collector of cycles is told to leave the former alone, and to look less often (a tenth of a refresh otherwise).
    """
    # Without a look before it: that takes 40 ms of the start, and finds four objects that would stay for nothing.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 100)


def _most_connections() -> int:
    """As many as there are descriptors for, beside those of store, keys and log."""
    possible, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if possible == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(8, min(MOST_CONNECTIONS, possible - max(32, possible // 8)))


@contextmanager
def _on_signal(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
