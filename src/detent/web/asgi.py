"""The ASGI door: one request in, one `Response` out, whatever happens.

Source: ASGI 3.0; RFC 9110 §7.4 (misdirected requests), §15.5.6 (405 and Allow). Body and header sizes are bounded
before anything is parsed. Rule: nothing that a client sends ends in a 500; what does is a fault of ours, logged
under the support id.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from itertools import chain
from random import Random
from time import monotonic, perf_counter
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from detent.core.errors import (
    Conflict,
    HeadersTooLarge,
    InvalidRequest,
    KeyUnknown,
    MethodNotAllowed,
    Misdirected,
    NotFound,
    OAuthError,
    PayloadTooLarge,
    RequestTimeout,
    ServerError,
    StoreUnavailable,
    TemporarilyUnavailable,
)
from detent.core.exchange import Request, Response
from detent.ports import Entropy
from detent.registry.routes import Route
from detent.web.cors import preflight, readable_by_everybody
from detent.web.pace import Pace
from detent.web.respond import error_response

log = logging.getLogger("detent.web")

Scope = MutableMapping[str, Any]
ErrorPage = Callable[[Request, OAuthError], Response]
Observe = Callable[[str, int, str, float], None]  # endpoint, status, OAuth code or empty, seconds
LookAgain = Callable[[], AbstractAsyncContextManager[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY_BYTES: Final = 64 * 1024
MAX_HEADER_BYTES: Final = 16 * 1024
MAX_HEADERS: Final = 100
MOST_UNDER_WAY: Final = 1024  # at one endpoint: one that stands still holds up no other
MOST_HELD_BEHIND_PROXIES: Final = 32  # answers: a proxy's connections are everybody's (docs/decisions/0043)
NOWHERE: Final = "none"  # the endpoint of what no route takes
BODILESS: Final = frozenset({204, 304})  # RFC 9110 §6.4.1
_NONE: Final[frozenset[str]] = frozenset()
_UNHEARD: Final[Mapping[int, Callable[[], OAuthError]]] = {
    400: partial(InvalidRequest, "This is not HTTP as RFC 9112 has it."),
    408: partial(RequestTimeout, "The request took too long to arrive. Send it again.", retry_after=1),
    431: partial(HeadersTooLarge, "The headers are too large."),
    503: partial(TemporarilyUnavailable, "Too many connections; try again.", retry_after=1),
}


class Heard(msgspec.Struct, frozen=True):
    """A request as it came over the wire, whole; `headers` have lower-case names. `fault` is why it is not heard."""

    method: str
    raw_path: bytes
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    peer: str
    body: bytes
    fault: OAuthError | None = None

    def __repr__(self) -> str:
        return f"Heard({self.method} {self.raw_path!r})"


def too_large() -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes.")


class Crowd(msgspec.Struct):
    """The connections of a server: how many are open, and how many were given up, by the status that told them so.
    `held_back` is how many answers had to wait for their turn (pace.py), `holding` how many of them still do.
    """

    open: int = 0
    held_back: int = 0
    holding: int = 0
    given_up: dict[int, int] = {}


class Edge:
    """`hosts` are the `Host` values that are ours; paths in `any_host` are answered under any (health probes).

    `error_page` tells people what went wrong; without it they read JSON, as clients do. `proxies` is how many of the
    operator's own proxies add to `X-Forwarded-For`; nothing beyond what they added is believed. `observe` is told of
    each answer, and how many seconds it took from the last byte of its request on. `look_again` is entered
    for a request that raised KeyUnknown, and it is handled once more inside.
    """

    def __init__(
        self,
        routes: Mapping[str, Route],
        hosts: frozenset[str],
        entropy: Entropy,
        any_host: frozenset[str] = frozenset(),
        error_page: ErrorPage = error_response,
        proxies: int = 0,
        observe: Observe = lambda endpoint, status, error, seconds: None,
        look_again: LookAgain = nullcontext,
    ) -> None:
        self.crowd = Crowd()
        self.pace = Pace()
        self._observe = observe
        self._under_way = dict.fromkeys(routes, 0)
        self._error_page = error_page
        self._proxies = proxies
        self._routes = routes
        self._hosts = hosts
        self._any_host = any_host
        self._chance = Random(entropy.token_bytes(16))  # noqa: S311  # for names alone
        self._look_again = look_again

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"only http is served, not {scope['type']}")
        heard = await _heard(scope, receive)
        if heard:
            response = await self.answer(heard)
            if wait := self.seconds_held_back(response.error):
                await self.hold_back(wait)
            await _send(response, send)

    async def answer(self, heard: Heard) -> Response:
        """What to send; counted, timed, and refused at once where too many are under way."""
        request = self._request(heard)
        route = self._route(request, heard)
        if isinstance(route, Response):
            self._observe(NOWHERE, route.status, route.error, 0.0)
            return route
        began, path = perf_counter(), route.path
        if heard.fault:
            response = self._refused(request, heard.fault)
        elif self._under_way[path] >= MOST_UNDER_WAY:
            busy = TemporarilyUnavailable("The server is too busy just now; try again.", retry_after=1)
            response = self._refused(request, busy)
        else:
            self._under_way[path] += 1
            try:
                response = await self._handled(route, request)
            finally:
                self._under_way[path] -= 1
        self._observe(path, response.status, response.error, perf_counter() - began)
        return response

    def seconds_held_back(self, error: str) -> float:
        """For which an answer with this OAuth code, or the empty text for none, waits before it leaves."""
        full = self._proxies and self.crowd.holding >= MOST_HELD_BEHIND_PROXIES
        return 0.0 if full else self.pace.seconds_to_wait(error, monotonic())

    async def hold_back(self, seconds: float) -> None:
        """An answer, for as long as `seconds_held_back` said of it."""
        self.crowd.held_back += 1
        self.crowd.holding += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.crowd.holding -= 1

    def unheard(self, status: int) -> Response:
        """What a connection is told that is given up before its request was whole."""
        return refused(Request("", "", "", {}, b"", "", self._support_id()), _UNHEARD[status]())

    def _support_id(self) -> str:
        """Twelve characters to find a request by; nothing that anybody must not guess."""
        return f"{self._chance.getrandbits(48):012x}"

    def _request(self, heard: Heard) -> Request:
        headers, repeated = {name.decode("latin-1"): value.decode("latin-1") for name, value in heard.headers}, _NONE
        if len(headers) < len(heard.headers):
            together: dict[str, list[str]] = {}
            for name, value in heard.headers:
                together.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
            repeated = frozenset(name for name, values in together.items() if len(values) > 1)
            headers = {name: ", ".join(values) for name, values in together.items()}
        return Request(
            heard.method,
            heard.raw_path.decode("latin-1"),
            heard.query.decode("latin-1"),
            headers,
            heard.body,
            _peer(heard.peer, headers, self._proxies) if self._proxies else heard.peer,
            self._support_id(),
            repeated,
        )

    async def _handled(self, route: Route, request: Request) -> Response:
        """Every way of ending, in one place."""
        try:
            response = await self._known(route, request)
            return readable_by_everybody(response) if route.cors == "everybody" else response
        except OAuthError as error:
            return self._refused(request, error)
        except (StoreUnavailable, Conflict, KeyUnknown) as error:
            unavailable = TemporarilyUnavailable("The server cannot do this just now; try again.", retry_after=1)
            unavailable.detail = str(error)
            return self._refused(request, unavailable)
        except Exception:
            log.exception("fault %s %s support_id=%s", request.method, request.path, request.support_id)
            fault = ServerError("This is a fault of the server. Tell its operator the id.")
            return msgspec.structs.replace(self._teller(request)(request, fault), error=fault.code)

    async def _known(self, route: Route, request: Request) -> Response:
        """A key that another node just made is looked for once, before anything is written."""
        try:
            return await route.handler(request)
        except KeyUnknown:
            async with self._look_again():
                return await route.handler(request)

    def _refused(self, request: Request, error: OAuthError) -> Response:
        return refused(request, error, self._teller(request))

    def _teller(self, request: Request) -> ErrorPage:
        """Who reads an error here: a person at a page, or wherever nothing is; else a client."""
        route = self._named(request.path)
        for_people = route.page if route else "text/html" in request.headers.get("accept", "")
        return self._error_page if for_people else error_response

    def _route(self, request: Request, heard: Heard) -> Route | Response:
        if _head_too_large(heard.headers):
            return _turned_away(request, HeadersTooLarge("The headers are too large or too many."))
        if request.headers.get("host", "").lower() not in self._hosts and request.path not in self._any_host:
            away = "This server does not answer under that host name; use the issuer's."
            return _turned_away(request, Misdirected(away))
        route = self._named(request.path)
        # No path of ours needs an escape: another spelling would pass a proxy that goes by the path (attack H8).
        if route is None or b"%" in heard.raw_path:
            return _turned_away(request, NotFound("There is nothing at this path."), self._teller(request))
        if request.method in route.methods:
            return route
        allowed = _allowed(route)
        if request.method == "OPTIONS":
            return preflight(route, request) or Response(204, headers=(("allow", ", ".join(allowed)),))
        if request.method not in allowed:
            wrong = MethodNotAllowed(f"Use {' or '.join(route.methods)} here.")
            return _turned_away(request, wrong, self._teller(request)).with_headers(("allow", ", ".join(allowed)))
        return route

    def _named(self, path: str) -> Route | None:
        return self._routes.get(path) or self._routes.get(f"{path.rpartition('/')[0]}/{{}}")


def _allowed(route: Route) -> tuple[str, ...]:
    """RFC 9110 §9.3.2, §9.3.7: HEAD wherever GET is, OPTIONS everywhere."""
    return (*route.methods, "HEAD", "OPTIONS") if "GET" in route.methods else (*route.methods, "OPTIONS")


def refused(request: Request, error: OAuthError, tell: ErrorPage = error_response) -> Response:
    """The answer to a request that ends in `error`; the reason goes to the log under the same support id."""
    level = logging.WARNING if error.status >= 500 else logging.INFO
    detail = error.detail or error.description
    log.log(level, "%s %d %s support_id=%s: %s", request.path, error.status, error.code, request.support_id, detail)
    return msgspec.structs.replace(tell(request, error), error=error.code)


def _peer(connected: str, headers: Mapping[str, str], proxies: int) -> str:
    """Who asks: each proxy appends whom it was asked by, so the last of `proxies` entries is the client's address.

    With fewer entries than proxies somebody went around one; then the connection is all that is known.
    """
    if not (forwarded_for := headers.get("x-forwarded-for")):
        return connected
    hops = forwarded_for.split(",")
    if len(hops) < proxies:
        return connected
    hop = hops[-proxies].strip()
    if not hop.startswith("[") and hop.count(":") != 1:
        return hop
    try:  # some proxies append the port
        return urlsplit(f"//{hop}").hostname or ""
    except ValueError:
        return ""


async def _heard(scope: Scope, receive: Receive) -> Heard | None:
    """None where the peer hung up before its request was whole."""
    headers = [(name.lower(), value) for name, value in scope["headers"]]
    raw_path = scope.get("raw_path", scope["path"].encode()).partition(b"?")[0]
    announced = dict(headers).get(b"content-length", b"0")
    fault: OAuthError | None = None
    if not announced.isdigit():
        fault = InvalidRequest("Content-Length is not a number.")
    elif int(announced) > MAX_BODY_BYTES:
        fault = too_large()
    body, more = b"", True
    while more and not fault:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
        fault = too_large() if len(body) > MAX_BODY_BYTES else None
    client = scope.get("client")
    peer = client[0] if client else ""
    return Heard(scope["method"], raw_path, scope["query_string"], headers, peer, body, fault)


def _head_too_large(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return len(headers) > MAX_HEADERS or sum(map(len, chain.from_iterable(headers))) > MAX_HEADER_BYTES


def _turned_away(request: Request, error: OAuthError, tell: ErrorPage = error_response) -> Response:
    """The answer to what no route takes; told to the log without the path, which may be anything."""
    log.info("%d %s support_id=%s: %s", error.status, error.code, request.support_id, error.description)
    return msgspec.structs.replace(tell(request, error), error=error.code)


async def _send(response: Response, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    if response.status not in BODILESS:
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
