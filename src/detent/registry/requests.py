"""A token request on its way: who asks, what it proves, and the grant that answers it.

Leaves: what tokens are made of to tokens.py.
"""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Protocol

import msgspec

from detent.core.api import Api
from detent.core.changes import Record
from detent.core.client import Client
from detent.core.confirmation import BEARER, Confirmation
from detent.core.errors import OAuthError
from detent.core.exchange import Form, Request, TokenResponse
from detent.core.family import Origin
from detent.core.ids import Instant


class Once(msgspec.Struct, frozen=True):
    """What may be presented a single time: `record` is written with what is got for it; where it stands already,
    `refusal` is the answer.
    """

    record: Record
    refusal: OAuthError


class Proved(msgspec.Struct, frozen=True):
    """The key that a request proved to hold, what it may do so with only once, and headers for a good answer."""

    cnf: Confirmation = BEARER
    once: tuple[Once, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class TokenRequest(msgspec.Struct, frozen=True):
    """A token request whose client is authenticated; `proved` is the key that the request proved to hold.

    `peer` is the address it came from: whole, where `origin` is coarse. `once` goes into the grant's one commit.
    """

    form: Form
    client: Client
    now: Instant
    origin: Origin
    peer: str
    support_id: str
    proved: Confirmation = BEARER
    once: tuple[Once, ...] = ()


class Claim(msgspec.Struct, frozen=True):
    """Who a request to `path` says it is, before anything of it is believed."""

    client_id: str
    method: str
    secret: str = ""
    path: str = ""

    def __repr__(self) -> str:
        return f"Claim({self.client_id!r}, {self.method}, secret=***)"


class Authenticated(msgspec.Struct, frozen=True):
    """A client that proved who it is, and what it may do so with only once."""

    client: Client
    once: tuple[Once, ...] = ()


class Grant(Protocol):
    """A `grant_type` of the token endpoint."""

    @property
    def grant_type(self) -> str: ...

    def screen(self, form: Form, client_id: str, now: Instant) -> Any:
        """Refuse garbage before any I/O; what it returns is handed to `issue`. Raises OAuthError."""
        ...

    async def issue(self, request: TokenRequest, screened: Any) -> TokenResponse:
        """Decide, mint, and as the last step write; a failure before the write leaves everything as it was."""
        ...


class ClientAuth(Protocol):
    """A method of client authentication (RFC 6749 §2.3, RFC 7591 §2 `token_endpoint_auth_method`)."""

    @property
    def method(self) -> str: ...

    @property
    def signing_algs(self) -> tuple[str, ...]:
        """What the proof may be signed with (RFC 8414 §2); none where nothing is signed."""
        ...

    def claim(self, request: Request, form: Form) -> Claim | None:
        """What the request claims by this method; None where it does not use it. Raises OAuthError if malformed."""
        ...

    async def proves(self, claim: Claim, client: Client | None, now: Instant) -> tuple[Once, ...] | None:
        """What of the proof counts only once, if the claim is proved; None, or InvalidClient with the reason, if not.

        Takes the same time for an unknown client (None) as for a wrong secret.
        """
        ...


class ResourcePolicy(Protocol):
    """Decides about a `resource` that no registered API is (RFC 8707 §2); without a policy each of those is refused."""

    @property
    def name(self) -> str: ...

    async def api(self, identifier: str) -> Api | None:
        """The API as if it were registered, with the clients and scopes it is for; None: nothing of this policy's.

        `identifier` is an absolute URI without fragment. Asked anew at every token, so what it no longer answers for
        gets no more of them. Raises OAuthError where it cannot be known now.
        """
        ...


class Phase(Enum):
    RESOLVE = "resolve"
    CHECK = "check"
    BIND = "bind"
    RESPOND = "respond"


class Stage(msgspec.Struct, frozen=True):
    """A step of the token endpoint between authentication and the grant, in the order of `Phase`."""

    name: str
    phase: Phase
    run: Callable[[TokenRequest], Awaitable[TokenRequest]]


class Possession(Protocol):
    """Turns a request into the key it proved to hold (DPoP, mTLS).

    `scheme` is how an access token is presented that it bound, `challenge` what WWW-Authenticate says of that
    (RFC 9110 §11.6.1).
    """

    @property
    def name(self) -> str: ...

    @property
    def scheme(self) -> str: ...

    @property
    def challenge(self) -> str: ...

    def asked(self, form: Form) -> Confirmation | None:
        """The key that an authorization request wants its code bound to. Raises InvalidRequest."""
        ...

    async def prove(self, request: Request, client: Client, now: Instant) -> Proved | None:
        """What a token request proves; None for nothing of this kind.

        Raises OAuthError for a bad proof, and where this client must bring one.
        """
        ...

    async def offered(self, request: Request, now: Instant) -> Proved | None:
        """What a client's request proves where no proof is demanded; None and raises as above."""
        ...

    async def present(self, request: Request, access_token: str, now: Instant) -> Proved | None:
        """What a request proves that presents an access token; None and raises as above."""
        ...
