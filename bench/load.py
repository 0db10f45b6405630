"""A load generator for chains of refresh tokens: asyncio, one connection a lane, every answer checked.

A lane takes the oldest token of the pool, redeems it, and puts the successor at the end; so no family is asked twice
at a time and each request meets another row. Only a 200 with an access token and a new refresh token counts.
"""

import asyncio
import base64
import json
import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit


class Lane(asyncio.Protocol):
    """One keep-alive connection that always has one request under way."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.ask()

    def ask(self) -> None:
        if self._run.is_over():
            self._transport.close()
            return
        self._token = self._run.pool.popleft()
        self._asked_at = time.perf_counter()
        self._transport.write(self._run.request(self._token))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._buffer = b""
        self._run.answered(head, body, self._token, time.perf_counter() - self._asked_at)
        self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        self._run.lane_ended(error)


class Run:
    """`connections` lanes for `seconds`; latencies are in seconds."""

    def __init__(
        self,
        url: str,
        basic: tuple[str, str],
        pool: deque[str],
        connections: int,
        seconds: float,
        path: str = "/oauth/token",
    ) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname, parts.port
        self.pool = pool
        self._connections = self._open = connections
        self._seconds = seconds
        self.latencies: list[float] = []
        self.bad: list[bytes] = []
        credentials = base64.b64encode(":".join(basic).encode()).decode()
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Basic {credentials}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
        ).encode()

    def request(self, token: str) -> bytes:
        body = b"grant_type=refresh_token&refresh_token=" + token.encode()
        return self._head + str(len(body)).encode() + b"\r\n\r\n" + body

    def is_over(self) -> bool:
        return time.perf_counter() >= self._until

    def answered(self, head: bytes, body: bytes, token: str, seconds: float) -> None:
        answer = json.loads(body) if head.startswith(b"HTTP/1.1 200") else {}
        successor = answer.get("refresh_token")
        if answer.get("access_token") and successor and successor != token:
            self.latencies.append(seconds)
            self.pool.append(successor)
        else:
            self.bad.append(head[:100])

    def lane_ended(self, error: Exception | None) -> None:
        if error:
            self.bad.append(repr(error).encode())
        self._open -= 1
        if not self._open:
            self._done.set_result(None)

    async def go(self) -> float:
        """Run it; returns the seconds it took."""
        loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = loop.create_future()
        started = time.perf_counter()
        self._until = started + self._seconds
        for _ in range(self._connections):
            await loop.create_connection(lambda: Lane(self), *self._address)
        await self._done
        return time.perf_counter() - started
