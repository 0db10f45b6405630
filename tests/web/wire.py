"""A connection to a server in this process, for tests of what happens in one step of its loop."""

import asyncio
from typing import Any

from detent.web.protocol import Protocol
from detent.web.server import Server


class Wire(asyncio.Transport):
    """A connection without a socket; what would be read from it is kept while nobody reads."""

    def __init__(self, server: Server) -> None:
        super().__init__({"peername": ("127.0.0.1", 5000)})
        self.answers: list[bytes] = []
        self.statuses: list[int] = []
        self.closed = False
        self._reading = True
        self._on_the_way = b""
        self.protocol = Protocol(server.config, server.server_state, {})
        self.protocol.connection_made(self)

    def ask(self, *paths: str) -> None:
        self._on_the_way += b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths)
        self._deliver()

    def _deliver(self) -> None:
        while self._reading and self._on_the_way:
            chunk, self._on_the_way = self._on_the_way[:65536], self._on_the_way[65536:]
            self.protocol.data_received(chunk)

    def write(self, data: Any) -> None:
        self.answers.append(data)
        self.statuses.append(int(data[len("HTTP/1.1 ") :][:3]))

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        asyncio.get_running_loop().call_soon(self._deliver)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True
        asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0
