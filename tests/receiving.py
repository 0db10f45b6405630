"""An endpoint that the house posts to, on a real socket: what came, and answers that are not always the wanted ones."""

import asyncio
import queue
from collections import deque
from typing import Any, ClassVar, Final, Generic, TypeVar

from detent.testing.server import Loopback
from detent.web.asgi import Receive, Scope, Send

HANG: Final = 0  # among the statuses: an answer that comes too late

Got = TypeVar("Got")


class Receiving(Generic[Got]):
    """Answers with the statuses that were told, then with `done`; all that came is in `got`, as `read` makes it."""

    path: ClassVar[str]
    done: ClassVar[int]
    hanging_seconds: ClassVar[int]

    def __init__(self, *statuses: int, at: Loopback | None = None) -> None:
        self.statuses = deque(statuses)
        self.got: queue.Queue[Got] = queue.Queue()
        self.at = at or Loopback()
        self.url = f"{self.at.url}{self.path}"

    def read(self, method: str, headers: dict[str, str], body: bytes) -> Got:
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.got.put(self.read(scope["method"], headers, body))
        status = self.statuses.popleft() if self.statuses else self.done
        if status == HANG:
            await asyncio.sleep(self.hanging_seconds)
        elsewhere: Any = [(b"location", self.at.url.encode())] if 300 <= status < 400 else []
        await send({"type": "http.response.start", "status": status or self.done, "headers": elsewhere})
        await send({"type": "http.response.body", "body": b""})

    def all(self) -> list[Got]:
        """Those that came so far."""
        return [self.got.get() for _ in range(self.got.qsize())]
