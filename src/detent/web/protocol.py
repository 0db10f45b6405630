"""From the bytes of a connection to what `Edge` answers, and bounds on what a connection may hold and for how long.

HTTP is read by httptools, the server around it is uvicorn's. ASGI is left out: it hands a request over in pieces and
takes an answer in pieces, each a step of the event loop; here a request is whole before it is a task, and its answer
is written in one piece. The bounds (attack H3): a request is whole a few seconds after its first byte, neither its head
nor its body is endless, an answer that nobody reads is dropped, and where there is no room for another connection
the one goes that has kept us waiting longest.
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.protocols.utils import get_remote_addr

from detent.core.errors import OAuthError
from detent.core.exchange import Response
from detent.web.asgi import BODILESS, MAX_BODY_BYTES, MAX_HEADER_BYTES, Edge, Heard, too_large
from detent.web.connections import State
from detent.web.respond import PRIVATE

log = logging.getLogger("detent.web")

REQUEST_SECONDS: Final = 5.0  # from its first byte, or the start of its connection, to its last
READ_SECONDS: Final = 10.0  # for an answer to be taken
LINGER_SECONDS: Final = 1.0  # for the rest of a request that was refused: RFC 9112 §9.6
_PORTION: Final = 4096  # bytes that are looked at in one go, so that what waits behind a request is not parsed for it
_MOST_HEAD: Final = 4 * MAX_HEADER_BYTES  # bytes of a head that does not end; what does is judged by the edge
_NO_HEADER: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110 §5.5: what would end a header early
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
Headers = tuple[tuple[str, str], ...]


class Protocol(asyncio.Protocol):
    """One connection, as `uvicorn.Server` keeps it."""

    def __init__(
        self, config: Config, server_state: State, app_state: object, _loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        edge: Any = config.app
        self._edge: Edge = edge
        self._state = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._keep_alive = config.timeout_keep_alive  # seconds
        self._parser = httptools.HttpRequestParser(self)
        self._peer = ""
        self._transport: asyncio.Transport
        self._flow: FlowControl
        self._under_way: asyncio.Task[None] | None = None
        self._queue: deque[tuple[Heard, bool]] = deque()  # whole requests behind it, and whether more may follow
        self._last_word = 0  # the status that those who are under way are followed by, and then the end
        self._leaving = False
        self._ended = False  # all that is said here has been said
        self._final = False  # the last request that is answered here has come
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._deadline = 0.0
        self._asked = False  # anything at all, yet
        self._unread: bytes | memoryview = b""  # what came, and waits for the request before it
        # The request that is coming:
        self._whole = True  # what has come so far
        self._begun = False  # with the bytes that came last
        self._timed = False  # its deadline is set
        self._head: int | None = None  # bytes of its head after those that it began with
        self._refused = False  # before it was whole: the rest of it is read and forgotten
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size = 0

    # asyncio and uvicorn

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._flow = FlowControl(transport)
        peer = get_remote_addr(transport)
        self._peer = peer[0] if peer else ""
        self._state.connections.add(self)  # type: ignore[arg-type]
        if self._state.has_room():
            self._state.waiting[self] = None
            self._expect(REQUEST_SECONDS)
        else:
            self._whole = False
            self.give_up(503)
        self._state.crowd.open = len(self._state.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)
        self._state.waiting.pop(self, None)
        self._state.crowd.open = len(self._state.connections)
        self._queue.clear()
        self._unread = b""
        self._flow.resume_writing()
        if self._timer:
            self._timer.cancel()

    def pause_writing(self) -> None:
        self._flow.pause_writing()

    def resume_writing(self) -> None:
        self._flow.resume_writing()

    def shutdown(self) -> None:
        """The server ends: what has begun to come is still answered."""
        self._leaving = True
        if self._whole and not self._under_way:
            self._close()

    def data_received(self, data: bytes) -> None:
        self._asked = True
        if self._unread or self._under_way or len(data) > _PORTION:
            self._unread = memoryview(b"".join((self._unread, data)))
            self._read_on()
        else:
            self._read(data)

    def _read_on(self) -> None:
        """Up to the next request, and no further while that is under way (attack H12)."""
        while self._unread:
            if self._under_way and not (self._final or self._last_word):
                return self._flow.pause_reading()
            portion, self._unread = self._unread[:_PORTION], self._unread[_PORTION:]
            self._read(portion)
        self._flow.resume_reading()

    def _read(self, portion: bytes | memoryview) -> None:
        if self._last_word or (self._final and self._whole) or self._transport.is_closing():
            return
        self._begun = False
        try:
            self._parser.feed_data(portion)
        except httptools.HttpParserUpgrade:  # nothing that we speak
            if not self._final:
                self._close()
            return
        except httptools.HttpParserError:
            return self._end_with(400)
        if self._whole:
            return
        if not self._timed:
            self._timed = True
            self._expect(REQUEST_SECONDS)
        if self._head is not None and not self._begun:
            self._head += len(portion)
            if self._head > _MOST_HEAD:
                self._end_with(431)

    # httptools

    def on_message_begin(self) -> None:
        self._headers, self._body = [], []
        self._size, self._url = 0, b""
        if not self._final:
            self._whole, self._begun, self._timed, self._refused, self._head = False, True, False, False, 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._head = None
        headers = dict(self._headers)
        if int(headers.get(b"content-length", 0)) > MAX_BODY_BYTES:
            self._refuse()
        elif headers.get(b"expect", b"").lower() == b"100-continue" and not (self._under_way or self._final):
            self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._refused:
            return
        if self._size > MAX_BODY_BYTES:
            return self._refuse()
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._whole = True
        self._state.waiting.pop(self, None)
        if not self._refused:
            parser = self._parser
            last = parser.get_http_version() == "1.0" or not parser.should_keep_alive() or parser.should_upgrade()
            self._take(self._heard(None), more=not last)
        elif not self._under_way:
            self._close()

    # What is asked and answered

    def _heard(self, fault: OAuthError | None) -> Heard:
        url = httptools.parse_url(self._url)
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        return Heard(
            self._parser.get_method().decode("ascii"),
            url.path,
            url.query or b"",
            self._headers,
            self._peer,
            body,
            fault,
        )

    def _refuse(self) -> None:
        """The body is too large."""
        self._refused = True
        self._take(self._heard(too_large()), more=False)

    def _take(self, heard: Heard, *, more: bool) -> None:
        if self._final:
            return
        self._final = not more
        if self._under_way:
            self._queue.append((heard, more))
        else:
            self._begin(heard, more)

    def _begin(self, heard: Heard, more: bool) -> None:
        self._under_way = self._loop.create_task(self._answer(heard, more))
        self._state.tasks.add(self._under_way)

    async def _answer(self, heard: Heard, more: bool) -> None:
        """Until it is ready; it is under way until it has left."""
        end, task = self._fail, self._under_way
        try:
            response = await self._edge.answer(heard)
            if response.error and (wait := self._edge.seconds_held_back(response.error)):
                await self._hold_back(wait)
            if self._flow.write_paused:
                await asyncio.wait_for(self._flow.drain(), READ_SECONDS)
            end = partial(self._send, response, heard.method, more)
        except TimeoutError:
            return  # nobody reads
        except Exception:
            log.exception("fault: there is no answer to %s", heard.method)
        finally:
            if task:
                self._state.tasks.discard(task)
            self._state.send_soon(end)

    def _send(self, response: Response, method: str, more: bool) -> None:
        self._under_way = None
        try:
            more = more and not (self._leaving or self._state.ending)
            head = _head(response, self._state.default_headers, close=not more)
            if not self._transport.is_closing():
                self._transport.write(head if method == "HEAD" else head + response.body)
                self._state.total_requests += 1
                return self._go_on(more)
        except Exception:  # those that leave with it are not to stay
            log.exception("fault: an answer to %s could not be sent", method)
        self._close()

    def _fail(self) -> None:
        """There is no answer, or nobody to read it."""
        self._under_way = None
        self._close()

    async def _hold_back(self, seconds: float) -> None:
        """The answer. Where room is needed for another connection meanwhile, this one may have to go for it."""
        self._state.waiting[self] = None
        await self._edge.hold_back(seconds)
        self._state.waiting.pop(self, None)

    def _go_on(self, more: bool) -> None:
        if not more:
            if self._whole:
                self._close()
            else:
                self._linger()
        elif self._queue:
            self._begin(*self._queue.popleft())
        elif self._last_word:
            self._end_with(self._last_word)
        else:
            self._state.waiting[self] = None
            # What has come of the next one had to wait for us: its time begins now.
            self._expect(self._keep_alive if self._whole else REQUEST_SECONDS)
            if self._unread:
                self._read_on()

    # Ends and times

    def _end_with(self, status: int) -> None:
        """After what is under way."""
        self._last_word = status
        if not self._under_way:
            self.give_up(status)

    def give_up(self, status: int) -> None:
        """End the connection; with an answer, if a request has begun."""
        if self._transport.is_closing():
            return
        self._state.waiting.pop(self, None)
        if self._ended:
            return self._close()
        self._state.given_up(status)
        if not self._whole or status == 400:
            response = self._edge.unheard(status)
            self._transport.write(_head(response, (), close=True) + response.body)
        if status in (400, 431):  # they go on speaking
            self._linger()
        else:
            self._close()

    def _linger(self) -> None:
        """Read on for a moment and forget it: what nobody read would take our answer back (RFC 9112 §9.6)."""
        self._ended = True
        self._state.waiting[self] = None
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._expect(LINGER_SECONDS)

    def _expect(self, seconds: float) -> None:
        """Something of them within this time. A timer that is armed already and rings too early is left as it is."""
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._timer_at > self._deadline:
            self._arm(self._deadline)

    def _arm(self, at: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(at, self._rung), at

    def _rung(self) -> None:
        self._timer = None
        if self._under_way:  # they wait for us
            self._expect(REQUEST_SECONDS)
        elif self._loop.time() < self._deadline:
            self._arm(self._deadline)
        elif (self._whole and self._asked) or self._ended:
            self._close()
        else:
            self.give_up(408)

    def _close(self) -> None:
        """Once all is read that was written, but not for ever."""
        if not self._transport.is_closing():  # closed twice, asyncio's TLS transport forgets how to answer
            self._transport.close()
        if self._transport.get_write_buffer_size():
            self._loop.call_later(READ_SECONDS, self._transport.abort)


def _head(response: Response, ours: Iterable[tuple[bytes, bytes]], *, close: bool) -> bytes:
    """Status line and headers (RFC 9112 §4, §5). Raises ValueError for a header that would end early."""
    lines = _CONSTANT.get(response.headers) or _lines(response.headers)
    always = b"".join([b"%b: %b\r\n" % header for header in ours])
    length = b"" if response.status in BODILESS else b"content-length: %d\r\n" % len(response.body)
    end = b"connection: close\r\n\r\n" if close else b"\r\n"
    return STATUS_LINE[response.status] + always + lines + length + end


def _lines(headers: Headers) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers]
    if _NO_HEADER.search("".join(lines)):
        raise ValueError("A header holds a control character.")
    return "\r\n".join([*lines, ""]).encode("latin-1")


_CONSTANT: Final[Mapping[Headers, bytes]] = {PRIVATE: _lines(PRIVATE)}  # those of nearly every answer
