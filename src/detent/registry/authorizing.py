"""An authorization request: whence its parameters and its client come, and how its answer travels."""

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from detent.core.client import Client
from detent.core.exchange import Form, Response
from detent.core.ids import Instant
from detent.core.interaction import AuthorizationRequest, Spent

# What a parameter of an authorization request changes in what is asked for. Raises OAuthError for the client.
RequestReader = Callable[[Form, Client, AuthorizationRequest], AuthorizationRequest]


class Asked(msgspec.Struct, frozen=True):
    """The parameters of an authorization request, and what its answer spends."""

    form: Form
    spends: Spent | None = None


class RequestSource(Protocol):
    """Whence the parameters of an authorization request come, if not from the request itself (RFC 9101, RFC 9126).

    `parameter` leads to them. `checked_before`: what they are was checked, whole, when they were handed in. `demand`
    is told a client that may ask in no other way.
    """

    @property
    def parameter(self) -> str: ...

    @property
    def checked_before(self) -> bool: ...

    @property
    def demand(self) -> str: ...

    def recognises(self, form: Form) -> bool: ...

    def required_of(self, client: Client) -> bool: ...

    async def read(self, form: Form, client: Client, now: Instant) -> Asked:
        """Raises OAuthError."""
        ...


class ClientSource(Protocol):
    """Clients that nobody registered, known by where their id leads."""

    def names(self, client_id: str) -> bool: ...

    async def found(self, client_id: str, peer: str, now: Instant) -> Client:
        """The client, as it is to be from now on in the store. Raises OAuthError for the person."""
        ...


class ResponseMode(Protocol):
    """How an authorization response travels to the client (OAuth 2.0 Multiple Response Types §2.1)."""

    @property
    def name(self) -> str: ...

    @property
    def leads_away(self) -> bool:
        """Whether the person's window goes to the redirect URI."""
        ...

    def check(self, client: Client, redirect_uri: str) -> None:
        """Raises InvalidRequest where this mode cannot take an answer to this redirect URI of the client."""
        ...

    def respond(self, client: Client, redirect_uri: str, parameters: Mapping[str, str]) -> Response: ...
