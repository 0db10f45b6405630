"""The generator where there is no wrk: `load.py SCRIPT URL CONNECTIONS SECONDS ARGUMENTS`, as the scripts in wrk/.

asyncio, one connection a lane, one request under way in each, every answer checked. A script says what is asked next
and whether an answer is the wanted one.
"""

import asyncio
import json
import os
import random
import re
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

_NEW_TOKEN = re.compile(rb'"refresh_token"\s*:\s*"([^"]+)"')


class Script(Protocol):
    method: str

    def body(self) -> bytes | None:
        """What is asked next; None: nothing is left."""

    def wanted(self, body: bytes) -> bool: ...


class Rotate:
    """A chain's token is taken from the pool, its successor goes back to it; `close` writes down what is left."""

    method = "POST"

    def __init__(self, tokens: str) -> None:
        self._file = Path(tokens)
        self.pool = deque(self._file.read_bytes().split())

    def body(self) -> bytes | None:
        return b"grant_type=refresh_token&refresh_token=" + self.pool.popleft() if self.pool else None

    def wanted(self, body: bytes) -> bool:
        successor = _NEW_TOKEN.search(body)
        if successor is None or b'"access_token"' not in body:
            return False
        self.pool.append(successor[1])
        return True

    def close(self) -> None:
        self._file.write_bytes(b"\n".join(self.pool) + b"\n")


class Lines:
    method = "POST"

    def __init__(self, file: str, want: str = "") -> None:
        self._lines = deque(Path(file).read_bytes().split(b"\n"))
        self._want, self._again = want.encode(), "OA_AGAIN" in os.environ

    def body(self) -> bytes | None:
        line = self._lines.popleft() if self._lines else b""
        if self._again and line:
            self._lines.append(line)
        return line or None

    def wanted(self, body: bytes) -> bool:
        return self._want in body


class Constant:
    def __init__(self, method: str, body: str, want: str) -> None:
        self.method, self._body, self._want = method, body.encode(), want.encode()

    def body(self) -> bytes | None:
        return self._body

    def wanted(self, body: bytes) -> bool:
        return self._want in body


SCRIPTS: dict[str, Any] = {
    "rotate": Rotate,
    "list": Lines,
    "post": lambda body, want="": Constant("POST", body, want),
    "get": lambda want="": Constant("GET", "", want),
}


class Lane(asyncio.Protocol):
    """One keep-alive connection that always has one request under way."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.ask()

    def ask(self) -> None:
        request = None if self._run.is_over() else self._run.request()
        if request is None:
            self._transport.close()
            return
        self._asked_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._buffer = b""
        self._run.answered(head, body, time.perf_counter() - self._asked_at)
        if self._run.pause:
            asyncio.get_running_loop().call_later(random.uniform(0, 2 * self._run.pause), self.ask)  # noqa: S311 - no secret
        else:
            self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        self._run.lane_ended(error)


class Run:
    """`connections` lanes for `seconds`; latencies are in seconds. Ends early when the server goes away."""

    def __init__(self, script: Script, url: str, connections: int, seconds: float) -> None:
        parts = urlsplit(url)
        self._address = str(parts.hostname), parts.port or 80
        self._script = script
        self._connections = self._open = connections
        self._seconds = seconds
        self.latencies: list[float] = []
        self.bad: list[str] = []
        self.broken = 0
        self.pause = int(os.environ.get("OA_PAUSE", "0")) / 1000
        basic = os.environ.get("OA_BASIC")
        credentials = f"Authorization: Basic {basic}\r\n" if basic else ""
        self._head = (
            f"{script.method} {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{credentials}"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
        ).encode()

    def request(self) -> bytes | None:
        body = self._script.body()
        return None if body is None else self._head + str(len(body)).encode() + b"\r\n\r\n" + body

    def is_over(self) -> bool:
        return time.perf_counter() >= self._until

    def answered(self, head: bytes, body: bytes, seconds: float) -> None:
        if head.startswith(b"HTTP/1.1 200") and self._script.wanted(body):
            self.latencies.append(seconds)
        else:
            self.bad.append(f"{head[:40]!r} {body[:200]!r}")

    def lane_ended(self, error: Exception | None) -> None:
        self.broken += not self.is_over()
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


def main() -> None:
    name, url, connections, seconds, *arguments = sys.argv[1:]
    script = SCRIPTS[name](*arguments)
    run = Run(script, url, int(connections), float(seconds))
    took = asyncio.run(run.go())
    ordered = sorted(run.latencies) or [0.0]
    told = {"ok": len(run.latencies), "bad": len(run.bad), "broken": run.broken, "seconds": took}
    told |= {"p50": 1000 * ordered[len(ordered) // 2], "p99": 1000 * ordered[int(len(ordered) * 0.99)]}
    print("RESULT", json.dumps({**told, "refused": run.bad[0] if run.bad else ""}))
    if isinstance(script, Rotate):
        script.close()


if __name__ == "__main__":
    main()
