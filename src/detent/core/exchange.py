"""One HTTP exchange as values: what the edge hands in, and what it sends back.

Endpoints are functions from `Request` to `Response`, so they know no framework and can be called by a test, an
ASGI server or a faster edge alike. Reading bytes and headers off the wire is web/'s.
"""

import hashlib
import ipaddress
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from detent.core.family import Origin


class Request(msgspec.Struct, frozen=True):
    """`headers` have lower-case names; a repeated header is joined by ", " (RFC 9110 §5.3) and named in `repeated`."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    peer: str
    support_id: str
    repeated: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Request({self.method} {self.path}, support_id={self.support_id})"

    @property
    def origin(self) -> Origin:
        """Whence it came, coarsely (what a family remembers of a redemption)."""
        return _origin(self.headers.get("user-agent", ""), self.peer)


class Response(msgspec.Struct, frozen=True):
    """`error` is the OAuth code that the answer tells, for whoever counts; it is not sent."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    error: str = ""

    def with_headers(self, *headers: tuple[str, str]) -> "Response":
        return Response(self.status, self.body, (*self.headers, *headers), self.error)


class Form(dict[str, str]):
    """Parameters of a form or JSON body, each at most once; empty and null count as absent (RFC 6749 §3.1).

    `resources` is the one parameter that may repeat (RFC 8707 §2); it holds `resource` and `audience` together.
    """

    def __init__(self, parameters: Mapping[str, str], resources: tuple[str, ...] = ()) -> None:
        super().__init__(parameters)
        self.resources = resources

    def __repr__(self) -> str:
        return f"Form({', '.join(sorted(self))}: ***)"


class TokenResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 6749 §5.1; `expires_in` is seconds, `scope` always said."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str
    refresh_token: str | None = None
    id_token: str | None = None

    def __repr__(self) -> str:
        return "TokenResponse(***)"


@lru_cache(1024)
def _origin(agent: str, peer: str) -> Origin:
    return Origin(hashlib.blake2b(agent.encode(), digest_size=8).digest(), network_of(peer))


@lru_cache(4096)  # the same peers come again and again
def network_of(address: str, v4: int = 24, v6: int = 48) -> str:
    """The /24 of an IPv4 address or the /48 of an IPv6 one; empty for anything else (a unix socket)."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    prefix = v4 if ip.version == 4 else v6
    return str(ipaddress.ip_network((ip, prefix), strict=False))
