"""uvicorn's HTTP protocol, with one shortcut: an answer of ours leaves in one piece.

ASGI sends an answer as two messages, each checked, encoded and written to the socket on its own. Here `Edge.answer`
is asked directly and its `Response` written at once. Reading, pipelining, flow control, keep-alive and the graceful
end stay uvicorn's; another application than `Edge` is served as ever.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from detent.core.exchange import Response
from detent.web.asgi import BODILESS, Edge

_NO_HEADER: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110 §5.5: what would end a header early


class Protocol(HttpToolsProtocol):
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: object) -> None:
        if not isinstance(self.config.app, Edge):
            return super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]
        task = self.loop.create_task(self._answer(cycle, self.config.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    async def _answer(self, cycle: RequestResponseCycle, edge: Edge) -> None:
        scope: Any = cycle.scope  # uvicorn's types of ASGI are its own
        receive: Any = cycle.receive
        try:
            response = await edge.answer(scope, receive)
            if self.flow.write_paused and not cycle.disconnected:
                await self.flow.drain()
            if response is None or cycle.disconnected:
                return
            head = _head(response, self.server_state.default_headers, close=not cycle.keep_alive)
            self.transport.write(head if scope["method"] == "HEAD" else head + response.body)
            cycle.response_started = cycle.response_complete = True
            cycle.message_event.set()
        finally:
            if not (cycle.response_complete and cycle.keep_alive):
                self.transport.close()
        cycle.on_response()


def _head(response: Response, ours: Iterable[tuple[bytes, bytes]], *, close: bool) -> bytes:
    """Status line and headers (RFC 9112 §4, §5). Raises ValueError for a header that would end early."""
    if _NO_HEADER.search(":".join([text for header in response.headers for text in header])):
        raise ValueError("A header holds a control character.")
    lines = [f"{name}: {value}\r\n" for name, value in response.headers]
    if response.status not in BODILESS:
        lines.append(f"content-length: {len(response.body)}\r\n")
    if close:
        lines.append("connection: close\r\n")
    lines.append("\r\n")
    always = b"".join([b"%b: %b\r\n" % header for header in ours])
    return STATUS_LINE[response.status] + always + "".join(lines).encode("latin-1")
