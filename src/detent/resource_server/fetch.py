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
from http.client import HTTPException, HTTPResponse
from typing import Final, Protocol
from urllib.parse import urlsplit

from detent.resource_server.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Response:
    """`headers` has lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetch(Protocol):
    """GET, or POST if there is a body. Raises Unavailable if no complete, bounded answer came in time."""

    async def __call__(
        self, url: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> Response: ...


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


@dataclass(frozen=True, slots=True)
class UrllibFetch:
    """The `Fetch` that needs nothing but the standard library; `timeout_seconds` bound the whole exchange."""

    timeout_seconds: float = 5.0
    max_body_bytes: int = 131_072

    async def __call__(self, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Response:
        request = urllib.request.Request(checked_url(url), data=body, headers=dict(headers))  # noqa: S310 (is checked)
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await asyncio.to_thread(self._send, request)
        except (OSError, HTTPException, ValueError) as error:
            reason = type(error).__name__
        raise Unavailable(f"the authorization server could not be asked ({reason})")

    def _send(self, request: urllib.request.Request) -> Response:
        # A proxy to the world outside must not be asked for this machine's own loopback.
        proxies = urllib.request.ProxyHandler({} if request.type == "http" else None)
        opener = urllib.request.build_opener(proxies, _AsAnswered)
        deadline = time.monotonic() + self.timeout_seconds
        with opener.open(request, timeout=self.timeout_seconds) as answer:
            body = b""
            while chunk := answer.read1(65_536):
                body += chunk
                if len(body) > self.max_body_bytes or time.monotonic() > deadline:
                    raise ValueError("the answer is too long")
            return Response(
                answer.status, {name.lower(): value for name, value in answer.headers.items()}, body
            )


fetch: Final = UrllibFetch()
