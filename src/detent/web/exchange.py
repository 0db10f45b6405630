"""One exchange of HTTP/1.1 on a connection that is open: h11 speaks it, here is how much is read.

Leaves: whom the connection leads to, how long it may take and what its failure means, to outbound.py.
"""

import asyncio
from collections.abc import Mapping

import h11
import msgspec

from detent.resource_server.fetch import Response


class NoAnswer(Exception):
    """A few words that say why."""


class Answer(msgspec.Struct, frozen=True):
    """`complete`: the body came to its end within the bounds."""

    response: Response
    complete: bool


async def exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    most: int,
) -> Answer:
    """`most` bytes are read. Raises NoAnswer and what the streams raise."""
    try:
        for sent in _request(wire := h11.Connection(our_role=h11.CLIENT), method, target, headers, body):
            writer.write(sent)
        await writer.drain()
        return await _answer(wire, reader, most)
    except h11.ProtocolError:
        raise NoAnswer("the answer is not HTTP") from None


def _request(wire: h11.Connection, method: str, target: str, headers: Mapping[str, str], body: bytes) -> list[bytes]:
    request = h11.Request(method=method, target=target, headers=list(headers.items()))
    return [wire.send(sent) or b"" for sent in (request, h11.Data(data=body), h11.EndOfMessage())]


async def _answer(wire: h11.Connection, reader: asyncio.StreamReader, most: int) -> Answer:
    status, received, complete = 0, 0, False
    named: dict[str, str] = {}
    content = b""
    while received <= most:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            chunk = await reader.read(most)
            received += len(chunk)
            wire.receive_data(chunk)
        elif isinstance(event, h11.Response):
            status = event.status_code
            named = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        elif isinstance(event, h11.Data):
            content += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed) or event is h11.PAUSED:
            complete = isinstance(event, h11.EndOfMessage)
            break
    if not status:
        raise NoAnswer("no complete answer")
    return Answer(Response(status, named, content), complete)
