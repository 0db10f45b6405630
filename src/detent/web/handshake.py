"""The TLS handshake of a connection, within the same bounds as everything that a connection does (attack H3).

asyncio tells a protocol of a connection only after its handshake: who never finishes one would be counted by nobody.
So each connection comes here first, counts as one that we wait for, and is given up like any other; the HTTP protocol
begins where the handshake ends.
"""

import asyncio
import ssl
from typing import Any, Final

from detent.web.connections import State
from detent.web.protocol import REQUEST_SECONDS

CLOSING_SECONDS: Final = 2.0  # for the other side to say that it has closed too


class Handshake(asyncio.Protocol):
    def __init__(self, context: ssl.SSLContext, inner: asyncio.Protocol, state: State) -> None:
        self._context = context
        self._inner = inner
        self._state = state
        self._transport: Any = None
        self._early: list[bytes] = []  # what came before the handshake could read it, then what came with its end
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.pause_reading()  # until TLS reads; see `_hand_over`
        self._state.connections.add(self)  # type: ignore[arg-type]
        if not self._state.has_room():
            return self.give_up(503)
        self._state.waiting[self] = None
        self._task = asyncio.get_running_loop().create_task(self._shake())
        self._state.crowd.open = len(self._state.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def data_received(self, data: bytes) -> None:
        self._early.append(data)

    def give_up(self, status: int) -> None:
        """There is nobody to tell: what could be said would have to be encrypted."""
        self._leave()
        self._state.given_up(status)
        self._transport.abort()

    def shutdown(self) -> None:
        """uvicorn asks for it at the end."""
        self._leave()
        self._transport.abort()

    async def _shake(self) -> None:
        if self._transport.is_closing():
            return
        loop = asyncio.get_running_loop()
        self._transport.pause_reading()
        raw, self._early = b"".join(self._early), []
        loop.call_soon(self._hand_over, raw)  # start_tls has put its protocol there by then
        try:
            secured = await loop.start_tls(
                self._transport,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=REQUEST_SECONDS,
                ssl_shutdown_timeout=CLOSING_SECONDS,
            )
        except (OSError, ssl.SSLError):  # no TLS, no common version, hung up, or too late
            self._transport.abort()
            return self._leave()
        self._leave()
        if secured is None or secured.is_closing():
            return
        secured.set_protocol(self._inner)
        self._inner.connection_made(secured)
        for data in self._early:
            self._inner.data_received(data)

    def _hand_over(self, raw: bytes) -> None:
        """What came before TLS was there to read it: after `connection_made` the first versions of Python 3.11 read on,
        paused or not, and so does uvloop.
        """
        while raw and not self._transport.is_closing():
            tls: asyncio.BufferedProtocol = self._transport.get_protocol()
            room: Any = tls.get_buffer(len(raw))
            taken = min(len(room), len(raw))
            room[:taken] = raw[:taken]
            tls.buffer_updated(taken)
            raw = raw[taken:]

    def _leave(self) -> None:
        self._state.waiting.pop(self, None)
        self._state.connections.discard(self)
        self._state.crowd.open = len(self._state.connections)
