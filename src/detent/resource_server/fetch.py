"""One bounded HTTP request to the authorization server, and nowhere else.

Source: RFC 6749 §3.2, RFC 7517 §5 (TLS). The standard library in a thread; whoever has an HTTP client, or a
proxy on the way, passes a function of the same shape (`Fetch`). What is asked is up to jwks.py and introspect.py.
Rule: https, or http to this very machine; no redirects, no proxies; bounded; failure is `Unavailable`.
"""

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final, Protocol
from urllib.parse import urlsplit, urlunsplit

from detent.resource_server.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Response:
    """`headers` has lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetch(Protocol):
    """GET, or POST if there is a body. Raises Unavailable if no complete, bounded answer came in time."""

    async def __call__(self, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Response: ...


def checked_url(url: str) -> str:
    """The URL itself. ValueError unless https, or http to a loopback address; no userinfo, no fragment."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        raise ValueError("the URL must be https, or http with a loopback address")
    if not parts.hostname or parts.port == 0 or "@" in parts.netloc or "#" in url:
        raise ValueError("the URL needs a host and must not hold userinfo or a fragment")
    return url


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class StandardFetch:
    """The `Fetch` that needs nothing but the standard library; `timeout_seconds` bound the whole exchange.

    `trust` says which authorities are believed, if not those of the system (or of SSL_CERT_FILE).
    """

    timeout_seconds: float = 5.0
    max_body_bytes: int = 131_072
    trust: ssl.SSLContext | None = None

    async def __call__(self, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Response:
        parts = urlsplit(checked_url(url))
        host, port, seconds = parts.hostname or "", parts.port, self.timeout_seconds
        connection = (
            HTTPSConnection(host, port, timeout=seconds, context=self.trust)
            if parts.scheme == "https"
            else HTTPConnection(host, port, timeout=seconds)
        )
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await asyncio.to_thread(self._exchange, connection, target, headers, body)
        except (OSError, HTTPException, ValueError) as error:
            reason = type(error).__name__
        finally:
            _hang_up(connection)
        raise Unavailable(f"the authorization server could not be asked ({reason})")

    def _exchange(
        self, connection: HTTPConnection, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Response:
        deadline = time.monotonic() + self.timeout_seconds
        with closing(connection):
            connection.request("GET" if body is None else "POST", target, body, dict(headers))
            answer = connection.getresponse()
            received = b""
            while chunk := answer.read1(65_536):
                received += chunk
                if len(received) > self.max_body_bytes or time.monotonic() > deadline:
                    raise ValueError("the answer is too long")
            return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, received)


def _hang_up(connection: HTTPConnection) -> None:
    """Wake the thread if it still waits on the socket: each byte that drips in would renew its time."""
    if connection.sock:
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


fetch: Final = StandardFetch()
