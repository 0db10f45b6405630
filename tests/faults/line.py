"""A line between detent and PostgreSQL that can be cut or go silent at any question, before or after it is heard.

A question is what the client sends until it expects an answer: up to a Sync or a Query message (PostgreSQL's frontend
protocol, "Message Formats"). What opens a connection is none, so that the next connection is always possible.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, Final, Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from detent.testing.server import ServerThread

Cut = Literal["unsent", "unanswered", "silent unsent", "silent unanswered"]
CUTS: Final[tuple[Cut, ...]] = ("unsent", "unanswered", "silent unsent", "silent unanswered")
_ENDS: Final = (b"Q", b"S")
_READY: Final = b"Z"


class Line:
    """`conninfo` leads through it. `cut_at(n, how)`: the n-th question of the block; `happened`: it was asked."""

    def __init__(self, target: str) -> None:
        self._socket = f"{conninfo_to_dict(target)['host']}/.s.PGSQL.5432"
        self._target = target
        self._questions = count(1)
        self._at, self._how = 0, CUTS[0]
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[Ends] = set()
        self.happened = False

    @contextmanager
    def cut_at(self, number: int, how: Cut) -> Iterator[None]:
        self.happened = False
        self._questions, self._at, self._how = count(1), number, how
        yield
        self._at = 0

    def cut_all(self) -> None:
        """Every connection there is, at whatever it is; from any thread."""
        for ends in tuple(self._open):
            self._server.get_loop().call_soon_threadsafe(ends.abort)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        direct = conninfo_to_dict(self._target) | {"sslmode": "disable", "gssencmode": "disable"}
        self.conninfo = make_conninfo("", **direct | {"host": "127.0.0.1", "port": port})

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            up, down = await asyncio.open_unix_connection(self._socket)
            ends = Ends(reader, writer, up, down)
            self._open.add(ends)
            for work in (self._ask(ends), self._answer(ends)):
                task = asyncio.create_task(ends.until_it_breaks(work))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                task.add_done_callback(lambda _: self._open.discard(ends))

    async def _ask(self, ends: "Ends") -> None:
        ends.server.write(await startup(ends.from_client))
        question = b""
        while True:
            kind, message = await one_message(ends.from_client)
            question += message
            if kind in _ENDS and not await self._is_cut(ends, question):
                ends.server.write(question)
            question = b"" if kind in _ENDS else question
            if kind == b"X":
                ends.server.write(message)

    async def _is_cut(self, ends: "Ends", question: bytes) -> bool:
        if next(self._questions) != self._at:
            return False
        self.happened = True
        if "unanswered" in self._how:
            ends.heard = False
            ends.server.write(question)
        elif self._how == "unsent":
            ends.abort()
        return True

    async def _answer(self, ends: "Ends") -> None:
        while True:
            kind, message = await one_message(ends.from_server)
            if ends.heard:
                ends.client.write(message)
            elif kind == _READY and self._how == "unanswered":  # it is done, and nobody will know
                ends.abort()


class Ends:
    def __init__(
        self,
        from_client: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        from_server: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> None:
        self.from_client, self.client, self.from_server, self.server = from_client, client, from_server, server
        self.heard = True  # whether the client gets what the server says

    def abort(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()

    async def until_it_breaks(self, work: Coroutine[Any, Any, None]) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            try:
                await work
            finally:
                self.abort()


async def startup(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    return head + await reader.readexactly(int.from_bytes(head, "big") - 4)


async def one_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(int.from_bytes(head[1:], "big") - 4)


@contextmanager
def line_to(conninfo: str) -> Iterator[Line]:
    with ServerThread() as thread:
        line = Line(conninfo)
        thread.call(line.start())
        thread.at_exit(line.stop)
        yield line
