"""The guard in front of an API: only a good access token gets past it. Plain ASGI, any framework.

Source: RFC 6750, RFC 9068 §4. Whether a token is good is up to access_tokens.py; what it allows
beyond `scopes_required` is up to the API. CORS middleware goes outside: a preflight carries no token.
Rule: one token, in one Authorization header, or no entry; only `lifespan` passes unguarded. What the API says of itself
(protected_resource.py) is told to anybody.

    issuer = "https://id.example/"
    jwks = JwksCache(issuer + ".well-known/jwks.json")
    guarded = BearerGuard(
        app,
        verifier=Verifier(issuer=issuer, audience="https://api.example"),
        jwks=jwks,
        status_lists=StatusLists(issuer, jwks),
        scopes_required=["read:secret"],
    )
    # in a handler: claims(request.scope).sub
"""

import json
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from detent.resource_server.access_tokens import AccessTokens
from detent.resource_server.bearer import Refusal, is_realm, is_scope_token, presented_token
from detent.resource_server.dpop import DPoP, Sent, challenge
from detent.resource_server.errors import InvalidToken, Unavailable
from detent.resource_server.introspect import Introspector
from detent.resource_server.jwks import KeySource
from detent.resource_server.protected_resource import ProtectedResource
from detent.resource_server.status_list import StatusLists
from detent.resource_server.verify import Claims, Verifier

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_KEPT: Final = b"public, max-age=300"
_CLAIMS: Final = "detent.claims"
_FORM: Final = b"application/x-www-form-urlencoded"
# How much of a form is searched for a misplaced token. It is never used as one, wherever it stands.
_FORM_BYTES: Final = 65_536


def claims(scope: Scope) -> Claims:
    """The verified claims of a guarded request; KeyError if no BearerGuard stands in front."""
    found: Claims = scope[_CLAIMS]
    return found


@dataclass(frozen=True, slots=True)
class Counters:
    """What a guard has done so far; the last three are requests to the authorization server."""

    verified: int
    refused: int
    jwks_fetches: int
    introspections: int
    status_list_fetches: int


class BearerGuard:
    """ASGI middleware. What checks a token is as in access_tokens.py.

    With a `resource` the guard serves its metadata to anybody, and names them in each refusal (RFC 9728).
    `dpop` admits tokens that are bound to a key, with their proof; without it they are refused. `clock` tells seconds
    since the epoch.
    """

    def __init__(
        self,
        app: App,
        *,
        verifier: Verifier,
        jwks: KeySource,
        introspection: Introspector | None = None,
        dpop: DPoP | None = None,
        resource: ProtectedResource | None = None,
        status_lists: StatusLists | None = None,
        scopes_required: Collection[str] = (),
        realm: str = "api",
        opaque_prefix: str = "dtat_",
        refresh_prefix: str = "dtrt_",
        clock: Callable[[], float] = time.time,
    ) -> None:
        if isinstance(scopes_required, str) or not all(map(is_scope_token, scopes_required)):
            raise ValueError("scopes_required must be a collection of scope names")
        if not is_realm(realm):
            raise ValueError("realm must be printable ASCII without quote and backslash")
        self._app = app
        self._tokens = AccessTokens(
            verifier=verifier,
            jwks=jwks,
            introspection=introspection,
            status_lists=status_lists,
            opaque_prefix=opaque_prefix,
            refresh_prefix=refresh_prefix,
            clock=clock,
        )
        self._jwks = jwks
        self._introspection = introspection
        self._dpop = dpop
        self._keys = challenge(realm) if dpop else ""
        self._schemes = (b"bearer", b"dpop") if dpop else (b"bearer",)
        self._status_lists = status_lists
        self._scopes_required = frozenset(scopes_required)
        self._realm = realm
        self._resource = resource
        self._clock = clock
        self._verified = 0
        self._refused = 0

    @property
    def counters(self) -> Counters:
        introspections = self._introspection.introspections if self._introspection else 0
        lists = self._status_lists.fetches if self._status_lists else 0
        return Counters(self._verified, self._refused, self._jwks.fetches, introspections, lists)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if self._resource and scope["type"] == "http" and scope["path"] == self._resource.path:
            return await _tell(self._resource, scope["method"], send)
        form, receive = await _form(scope, receive)
        scheme = b""
        try:
            scheme, token = presented_token(scope["headers"], scope.get("query_string", b""), form, self._schemes)
            admitted = await self._admit(token)
            nonce = self._possessed(scope, scheme, token, admitted)
            if not self._scopes_required <= admitted.scope:
                raise Refusal.insufficient(self._scopes_required)
        except Refusal as refusal:
            self._refused += 1
            refusal.key = refusal.key or scheme == b"dpop"
            metadata = self._resource.url if self._resource else ""
            return await _send(refusal, refusal.headers(self._realm, self._keys, metadata), scope, receive, send)
        self._verified += 1
        await self._app({**scope, _CLAIMS: admitted}, receive, _with_nonce(send, nonce) if nonce else send)

    async def _admit(self, token: str) -> Claims:
        """Whose token this is. Raises Refusal."""
        try:
            return await self._tokens.claims(token)
        except InvalidToken as error:
            raise Refusal.invalid(error.reason) from None
        except Unavailable:
            raise Refusal.unavailable() from None

    def _possessed(self, scope: Scope, scheme: bytes, token: str, admitted: Claims) -> str | None:
        """RFC 9449 §7.2: a bound token is worth nothing without the proof, and one that is not bound is no DPoP token.

        Returns a nonce for the answer, if it is time for one. Raises Refusal.
        """
        if scheme == b"bearer":
            if admitted.cnf is None:
                return None
            reason = "it is bound to a key and was presented without proof"
            if self._dpop is None:
                raise Refusal.invalid(reason)
            raise Refusal.unproved("invalid_token", f"The access token is refused: {reason}.")
        if self._dpop is None or admitted.cnf is None:
            raise Refusal.unproved("invalid_token", "The access token is refused: it is bound to no key.")
        return self._dpop.admit(Sent.of(scope), token, admitted.cnf, self._clock())


async def _form(scope: Scope, receive: Receive) -> tuple[bytes, Receive]:
    """The beginning of a form body, and a `receive` that still tells the whole of it."""
    types = [value for name, value in scope["headers"] if name.lower() == b"content-type"]
    if not any(value.partition(b";")[0].strip().lower() == _FORM for value in types):
        return b"", receive
    body, read, more = b"", list[Message](), True
    while more and len(body) <= _FORM_BYTES:
        message = await receive()
        read.append(message)
        body += message.get("body", b"")
        more = message.get("more_body", False)
    read.reverse()

    async def again() -> Message:
        return read.pop() if read else await receive()

    return body, again


def _with_nonce(send: Send, nonce: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"dpop-nonce", nonce.encode())]}
        await send(message)

    return sending


async def _tell(resource: ProtectedResource, method: str, send: Send) -> None:
    """RFC 9728 §3: for whoever asks, scripts of other origins among them."""
    headers = [(b"access-control-allow-origin", b"*")]
    status, body = 204, b""
    if method == "OPTIONS":
        headers += [(b"access-control-allow-methods", b"GET"), (b"access-control-allow-headers", b"*")]
    elif method in ("GET", "HEAD"):
        status, document = 200, json.dumps(resource.document()).encode()
        headers += [(b"content-type", b"application/json"), (b"cache-control", _KEPT)]
        body = document if method == "GET" else b""
    else:
        status = 405
        headers.append((b"allow", b"GET, HEAD, OPTIONS"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send(refusal: Refusal, told: list[tuple[str, str]], scope: Scope, receive: Receive, send: Send) -> None:
    start = "http.response"
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        start = "websocket.http.response"
        if start not in (scope.get("extensions") or {}):
            return await send({"type": "websocket.close", "code": 1008})
    headers = [(name.lower().encode(), value.encode()) for name, value in told]
    await send({"type": f"{start}.start", "status": refusal.status, "headers": headers})
    await send({"type": f"{start}.body", "body": refusal.body()})
