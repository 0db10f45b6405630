"""Real servers in this process, on real sockets, for tests that speak HTTP and move the clock themselves.

Owns: starting ASGI applications on one event loop in a thread, and stopping them. What is served is the caller's.
Rule: the only time that a served house knows is that of the clock it was built with.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from detent.web.server import Application, Server, listening, port_of

T = TypeVar("T")
START_SECONDS = 60


class Loopback:
    """A listening socket on a free port of 127.0.0.1, taken before the application is built.

    `host` is what its URL calls this machine. With a `certificate`, a PEM file of key and chain, it speaks TLS.
    """

    def __init__(self, host: str = "127.0.0.1", certificate: Path | None = None) -> None:
        self.socket = listening("127.0.0.1", 0)
        self.certificate = certificate
        self.url = f"{'https' if certificate else 'http'}://{host}:{port_of(self.socket)}/"

    def tls(self) -> ssl.SSLContext | None:
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        return context


class Prompt(Server):
    """Ends as soon as it is told to: uvicorn looks every tenth of a second, and waits for another at the end."""

    def __init__(self, application: Application, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(application, tls)
        self._ending = asyncio.Event()

    def end(self) -> None:
        """On its loop."""
        self.should_exit = True
        self._ending.set()

    async def main_loop(self) -> None:
        ticking = asyncio.ensure_future(super().main_loop())
        await self._ending.wait()
        ticking.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.sleep(0)  # who has hung up is seen to go
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
        for server in self.servers:
            server.close()


class ServerThread:
    """One event loop in a thread; `call` runs a coroutine there, `serve` starts an application there."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop or asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="detent-test-server", daemon=True)
        self._stack = AsyncExitStack()
        self._servers: list[Prompt] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            self._loop.call_soon_threadsafe(server.end)  # all at once: each may take its time
        self.call(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's loop and wait for its result."""
        return self.submit(work).result()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def at_exit(self, close: Callable[[], Awaitable[None]]) -> None:
        """Call this on the loop when the thread ends, last come first served."""

        async def register() -> None:
            self._stack.push_async_callback(close)

        self.call(register())

    def serve(self, application: Application, loopback: Loopback) -> None:
        """Serve until the thread ends; returns once connections are accepted."""
        server = Prompt(application, loopback.tls())
        self._servers.append(server)
        done = self.submit(server.serve([loopback.socket]))
        self.submit(server.accepting.wait()).result(START_SECONDS)

        async def stop() -> None:
            server.end()
            await asyncio.wrap_future(done)

        self.at_exit(stop)
