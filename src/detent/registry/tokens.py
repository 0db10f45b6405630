"""Tokens: their formats, how refresh tokens may be kept, and what features add to what is said in them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from detent.core.api import SigningAlg
from detent.core.authorization import Authorization
from detent.core.changes import Part
from detent.core.client import Client
from detent.core.errors import UnauthorizedClient
from detent.core.exchange import TokenResponse
from detent.core.family import Family
from detent.core.ids import FamilyKey, Instant, Subject
from detent.core.scope import Scope
from detent.core.wishes import Place, Wishes
from detent.registry.requests import TokenRequest


class TokenFormat(Protocol):
    """What an access token looks like on the wire."""

    @property
    def name(self) -> str: ...

    @property
    def self_contained(self) -> bool:
        """Whether an API reads it without asking; if not, it carries no `Mark`."""
        ...

    async def mint(self, claims: dict[str, Any], alg: SigningAlg) -> str: ...

    def recognises(self, token: str) -> bool:
        """Whether the token has this form; says nothing of its being authentic."""
        ...

    def said(self, token: str) -> Mapping[str, Any] | None:
        """What the token claims, expired or not, authentic or not; None where that cannot be read."""
        ...

    def read(self, token: str, audience: str | None, now: Instant) -> Mapping[str, Any] | None:
        """The claims of an authentic token that has not expired, for `audience` if one is named; else None."""
        ...


class Issued(msgspec.Struct, frozen=True):
    """A refresh token that was minted, and what must be written before it is handed out."""

    refresh_token: str
    parts: tuple[Part, ...] = ()

    def __repr__(self) -> str:
        return "Issued(***)"


class RefreshStrategy(Protocol):
    """How a refresh token that is not a family handle is made, proves that it is still good, and is ended.

    A client names its strategy (`refresh_strategy`); one without belongs to the families of grants/. `told` is a
    sentence for the operator: when such a token is good, and what ends it.
    """

    @property
    def name(self) -> str: ...

    @property
    def told(self) -> str: ...

    def recognises(self, token: str) -> bool:
        """Whether the token has this strategy's form, which is never a family handle's; proves nothing."""
        ...

    def family_of(self, token: str) -> FamilyKey | None:
        """Which sign-in the token says it is of; proves nothing."""
        ...

    async def issue(self, family: Family, client: Client, now: Instant) -> Issued:
        """The first refresh token of a sign-in, whose row `family` has no handle; writes nothing."""
        ...

    async def redeem(self, token: str, request: TokenRequest) -> TokenResponse:
        """Raises InvalidGrant; as a grant does: decide, mint, and as the last step write."""
        ...

    async def introspect(self, token: str, client: Client, now: Instant) -> Mapping[str, Any] | None:
        """What the token says (RFC 7662 §2.2) while it would be good if this client redeemed it; else None."""
        ...

    async def revoke(self, token: str, request: TokenRequest) -> None:
        """End what the token was issued with; nothing if it is not this client's. Raises UnsupportedTokenType."""
        ...


def strategy_of(token: str, strategies: Mapping[str, RefreshStrategy]) -> RefreshStrategy | None:
    return next((each for each in strategies.values() if each.recognises(token)), None)


class Mark(Protocol):
    """What an authorization is given at its birth, and the claim that each of its access tokens tells of it.

    Only what has a row is marked, so never a client's own token (client_credentials).
    """

    @property
    def claim(self) -> str: ...

    async def born(self, authorization: Authorization) -> Authorization:
        """The authorization with what is to be noted (its `number`, something under `extra`); nothing else changes."""
        ...

    def told(self, authorization: Authorization) -> Any:
        """The value of the claim; None leaves it out, as for an authorization older than this feature. No I/O."""
        ...


class Release(Protocol):
    """What lets claims about a person out to a client."""

    @property
    def name(self) -> str: ...

    def asked(self, authorization: Authorization, client: Client, scope: Scope, place: Place) -> Wishes:
        """Which claims this authorization, used with `scope`, is to be told at `place`. No I/O."""
        ...


class SubjectType(Protocol):
    """Under which `sub` a client knows a person (OpenID Connect Core §8)."""

    @property
    def name(self) -> str: ...

    def told(self, subject: Subject, client: Client) -> str:
        """The same for ever for the same person and client."""
        ...


SUBJECT_TYPE: Final = "subject_type"


def subject_type_of(client: Client, known: Mapping[str, SubjectType]) -> SubjectType:
    """Raises UnauthorizedClient where the client's subject type was taken out meanwhile: never tell another one."""
    chosen = client.extra.get(SUBJECT_TYPE, "public")
    if chosen not in known:
        raise UnauthorizedClient(f"This server has no subject type {chosen} any more.")
    return known[chosen]


class Envelope(Protocol):
    """What a JWT about a person travels in where a client wants that (JWE)."""

    async def wrap(self, token: str, client: Client, place: Place) -> str:
        """The token as the client wants it; itself where it wants nothing of this kind. Raises OAuthError."""
        ...


async def wrapped(token: str, client: Client, place: Place, envelopes: Sequence[Envelope]) -> str:
    for envelope in envelopes:
        token = await envelope.wrap(token, client, place)
    return token
