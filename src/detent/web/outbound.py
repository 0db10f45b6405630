"""Requests that this server makes of addresses that somebody named: one exchange, bounded, never into our own network.

Source: OWASP, Server-Side Request Forgery Prevention; RFC 9700 §4.11 (do not follow where an attacker points). The
name is resolved once, every address of it must be public (or allowed by the operator), and the connection goes to
the very address that was checked, so that a name that resolves anew changes nothing. No redirects, no proxies.
HTTP is spoken by exchange.py. Leaves: what is sent, and when to try again, to the caller.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

from detent.core.client import LOOPBACK_HOSTS
from detent.resource_server.errors import Unavailable
from detent.resource_server.fetch import Response

if TYPE_CHECKING:
    from detent.web.exchange import Answer

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

SECONDS: Final = 10.0  # for the whole exchange
FETCH_SECONDS: Final = 5.0  # where a request waits for it
MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_URL: Final = 2000
LOOPBACK: Final[tuple[Network, ...]] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
# Global by the registry, but they lead to an IPv4 address that is not looked at: NAT64 and 6to4.
_TRANSLATED: Final[tuple[Network, ...]] = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("2002::/16"))


class Unreachable(Exception):
    """No answer: a few words that say why, without the URL, which may hold a secret."""


def url_fault(url: str) -> str:
    """Why nothing can be sent there, whatever its name resolves to; empty if it can."""
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= MAX_URL
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "it is not a URL"
    if not plain or parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        return f"it is not an https URL of at most {MAX_URL} plain characters"
    if "@" in parts.netloc or "#" in url:
        return "it must not hold a user or a fragment"
    return ""


class Outbound:
    """`allowed` are networks that may be reached although they are not public; plain http goes to loopback alone.

    `authorities` are PEM files that are trusted beside the system's, or what `trust` trusts.
    """

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        seconds: float = SECONDS,
        trust: ssl.SSLContext | None = None,
        authorities: Sequence[Path] = (),
    ) -> None:
        self._authorities = tuple(authorities)
        self._allowed = tuple(allowed)
        self._seconds = seconds
        self._given_trust = trust

    def fault_of(self, url: str) -> str:
        """Why nothing will ever be sent there by this server, whatever the name resolves to; empty if it may be."""
        if fault := url_fault(url):
            return fault
        parts = urlsplit(url)
        plain = parts.scheme == "http"
        if plain and not (parts.hostname in LOOPBACK_HOSTS and self._may_reach(LOOPBACK[0].network_address + 1)):
            return "it must be an https URL; plain http is for loopback alone, while developing"
        return ""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer; 3xx is an answer like any other. Raises Unreachable."""
        return (await self._answer("POST", url, headers, body, self._seconds)).response.status

    async def fetch(self, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Response:
        """A whole answer, as a `Fetch` of resource_server/fetch.py. Raises Unavailable."""
        method, seconds = "GET" if body is None else "POST", min(self._seconds, FETCH_SECONDS)
        try:
            answer = await self._answer(method, url, headers, body or b"", seconds)
        except Unreachable as error:
            raise Unavailable(str(error)) from None
        if not answer.complete:
            raise Unavailable(f"no complete answer of at most {MAX_ANSWER_BYTES} bytes")
        return answer.response

    async def _answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> "Answer":
        if fault := url_fault(url):
            raise Unreachable(fault)
        try:
            async with asyncio.timeout(seconds):
                return await self._ask(method, urlsplit(url), headers, body)
        except TimeoutError:
            raise Unreachable(f"no answer within {seconds:g} s") from None
        except ssl.SSLError as error:
            raise Unreachable(f"TLS failed ({error.reason or type(error).__name__})") from None
        except OSError as error:
            raise Unreachable(f"no connection ({type(error).__name__})") from None

    async def _ask(self, method: str, parts: SplitResult, headers: Mapping[str, str], body: bytes) -> "Answer":
        from detent.web.exchange import NoAnswer, exchange  # few starts are followed by one

        host, encrypted = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if encrypted else 80)
        address = await self._address(host, port, encrypted)
        trust, name = (self._trust, host) if encrypted else (None, None)
        reader, writer = await asyncio.open_connection(str(address), port, ssl=trust, server_hostname=name)
        try:
            target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
            named = {"host": parts.netloc, "content-length": str(len(body)), "connection": "close", **headers}
            return await exchange(reader, writer, method, target, named, body, most=MAX_ANSWER_BYTES)
        except NoAnswer as error:
            raise Unreachable(str(error)) from None
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _address(self, host: str, port: int, encrypted: bool) -> Address:
        """The first address of the name, if all of them may be reached. Raises Unreachable, OSError."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError):
            raise Unreachable("the name cannot be resolved") from None
        addresses = [_plain(ipaddress.ip_address(sockaddr[0])) for *_, sockaddr in found]
        for address in addresses:
            if not self._may_reach(address):
                raise Unreachable(f"{address} is not a public address (setting outbound_allow)")
            if not encrypted and not address.is_loopback:
                raise Unreachable("plain http is for loopback alone")
        return addresses[0]

    def _may_reach(self, address: Address) -> bool:
        if any(address in network for network in self._allowed):
            return True
        public = address.is_global and not address.is_multicast
        return public and not any(address in network for network in _TRANSLATED)

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        trust = self._given_trust or ssl.create_default_context()
        for file in self._authorities:
            trust.load_verify_locations(file)
        return trust


def _plain(address: Address) -> Address:
    """An IPv4 address that is written as an IPv6 one is looked at as what it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
