"""uvicorn's HTTP protocol, with one shortcut, and bounds on what a connection may hold and for how long.

The shortcut: ASGI sends an answer as two messages, each checked, encoded and written to the socket on its own; here
`Edge.answer` is asked directly and its `Response` written at once. The bounds (attack H3): a request is whole a few
seconds after its first byte, its head is not endless, an answer that nobody reads is dropped, and where there is no
room for another connection the one goes that has kept us waiting longest. The rest is uvicorn's.
"""

import asyncio
import re
from collections.abc import Collection, Iterable
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from detent.core.exchange import Response
from detent.web.asgi import BODILESS, MAX_HEADER_BYTES, Crowd, Edge

REQUEST_SECONDS: Final = 5.0  # from its first byte, or the start of its connection, to its last
READ_SECONDS: Final = 10.0  # for an answer to be taken
_MOST_HEAD: Final = 4 * MAX_HEADER_BYTES  # bytes of a head that does not end; what does is judged by the edge
_NO_HEADER: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110 §5.5: what would end a header early


class State(ServerState):
    """What the connections of one server share; `waiting` are those that we wait for, the longest first."""

    def __init__(self, crowd: Crowd, most: int) -> None:
        super().__init__()
        self.crowd = crowd
        self.most = most
        self.ending = False  # each answer says that its connection ends with it
        self.waiting: dict[Protocol, None] = {}

    def has_room(self) -> bool:
        """Whether the connection that came may stay; another one may have to go for it."""
        if len(self.connections) <= self.most:
            return True
        longest = next(iter(self.waiting), None)
        if longest:
            longest.give_up(503)
        return longest is not None


class _Flow(FlowControl):
    """Nothing more is read while a request waits for those before it (attack H12); uvicorn reads on at each of them."""

    def __init__(self, transport: asyncio.Transport, pipeline: Collection[object]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()


class Protocol(HttpToolsProtocol):
    server_state: State

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._due: asyncio.TimerHandle | None = None
        self._whole = True  # what has come so far
        self._head: int | None = None  # bytes of the head that is coming, after those that it began with
        self._begun = False  # a request, by the bytes that came last

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        if self.server_state.has_room():
            self.server_state.waiting[self] = None
            self._due = self.loop.call_later(REQUEST_SECONDS, self._too_late)
        else:
            self._whole = False
            self.give_up(503)
        self.server_state.crowd.open = len(self.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._in_time()
        self._unset_keepalive_if_required()
        self.server_state.waiting.pop(self, None)
        self.server_state.crowd.open = len(self.connections)

    def data_received(self, data: bytes) -> None:
        self._begun = False
        super().data_received(data)
        if self._whole:
            return
        if self._due is None:
            self._due = self.loop.call_later(REQUEST_SECONDS, self._too_late)
        if self._head is not None and not self._begun:
            self._head += len(data)
            if self._head > _MOST_HEAD:
                self.give_up(431)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._whole, self._head, self._begun = False, 0, True

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._head = None

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._whole = True
        self._in_time()
        self.server_state.waiting.pop(self, None)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.pipeline or self.transport.is_closing():
            return
        self.server_state.waiting[self] = None
        if not self._whole:  # what has come of the next one had to wait for us: its time begins now
            self._in_time()
            self._due = self.loop.call_later(REQUEST_SECONDS, self._too_late)

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def give_up(self, status: int) -> None:
        """End the connection; with an answer, if a request has begun."""
        if self.transport.is_closing():
            return
        self.server_state.waiting.pop(self, None)
        self.server_state.crowd.given_up[status] = self.server_state.crowd.given_up.get(status, 0) + 1
        if not self._whole:
            app = self.config.app
            response = app.unheard(status) if isinstance(app, Edge) else Response(status)
            self.transport.write(_head(response, (), close=True) + response.body)
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._close()

    def _too_late(self) -> None:
        self._due = None
        cycle: Any = self.cycle  # None before the first request
        if self.pipeline or (cycle and not cycle.response_complete and not cycle.more_body):
            self._due = self.loop.call_later(REQUEST_SECONDS, self._too_late)  # it waits for us, not we for it
        else:
            self.give_up(408)

    def _in_time(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _close(self) -> None:
        """Once all is read that was written, but not for ever."""
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(READ_SECONDS, self.transport.abort)

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
                await asyncio.wait_for(self.flow.drain(), READ_SECONDS)
            if response is None or cycle.disconnected:
                return
            if self.server_state.ending:
                cycle.keep_alive = False
            head = _head(response, self.server_state.default_headers, close=not cycle.keep_alive)
            self.transport.write(head if scope["method"] == "HEAD" else head + response.body)
            cycle.response_started = cycle.response_complete = True
            cycle.message_event.set()
        except TimeoutError:
            return  # nobody reads
        finally:
            if not (cycle.response_complete and cycle.keep_alive):
                self._close()
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
