"""One bounded HTTP request to the authorization server, and nowhere else.

Source: RFC 6749 §3.2, RFC 7517 §5 (TLS). The standard library in a thread; whoever has an HTTP client already
passes a function of the same shape (`Fetch`). What is asked is up to jwks.py and introspect.py.
Rule: https, or http to this very machine; no redirects; size and time are bounded; failure is `Unavailable`.
"""

import asyncio
import ipaddress
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from typing import Final, Protocol
from urllib.parse import urlsplit

from detent.resource_server.errors import Unavailable

MAX_BODY_BYTES: Final = 131_072
TIMEOUT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Response:
    """`headers` has lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetch(Protocol):
    """GET, or POST if there is a body. Raises Unavailable if no complete, bounded answer came in time."""

    async def __call__(self, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Response: ...


async def fetch(url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Response:
    """The `Fetch` that needs nothing but the standard library."""
    request = urllib.request.Request(checked_url(url), data=body, headers=dict(headers))  # noqa: S310 (is checked)
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await asyncio.to_thread(_send, request)
    except (OSError, HTTPException, ValueError) as error:
        reason = type(error).__name__
    raise Unavailable(f"the authorization server could not be asked ({reason})")


def checked_url(url: str) -> str:
    """The URL itself. ValueError unless https, or http to a loopback address; no userinfo, no fragment."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        raise ValueError("the URL must be https, or http with a loopback address")
    if not parts.hostname or "@" in parts.netloc or "#" in url:
        raise ValueError("the URL needs a host and must not hold userinfo or a fragment")
    return url


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _AsAnswered(urllib.request.HTTPErrorProcessor):
    """Hands every status on as it is; following a redirect would start here, so none is."""

    def http_response(self, request: urllib.request.Request, response: HTTPResponse) -> HTTPResponse:
        return response

    https_response = http_response


def _send(request: urllib.request.Request) -> Response:
    # A proxy for the outside world must not be asked for this machine's own loopback.
    proxies = urllib.request.ProxyHandler({} if request.type == "http" else None)
    opener = urllib.request.build_opener(proxies, _AsAnswered)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
        body = b""
        while chunk := answer.read1(65_536):
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise ValueError("the answer is too long")
            if time.monotonic() > deadline:
                raise TimeoutError
        return Response(answer.status, _lower(answer.headers), body)


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
