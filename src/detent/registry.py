"""What can be added: the closed list of extension points, and the registry that joins the contributions.

A `Feature` is a value; `app.py` lists the features, and present means on. Contributions are additive and
disjoint: two owners of one name stop the start and both are named. Order is by named phase, never by number.
Discovery metadata is merged from what stands here, so it cannot promise what is not routed.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, Literal, Protocol, TypeVar

import msgspec

from detent.core.api import Api, SigningAlg
from detent.core.authorization import Authorization
from detent.core.changes import Part, Record
from detent.core.claims import ACCESS_CLAIMS
from detent.core.client import Client
from detent.core.confirmation import BEARER, Confirmation
from detent.core.errors import OAuthError, UnauthorizedClient
from detent.core.exchange import Form, Request, Response, TokenResponse
from detent.core.family import Family, Origin
from detent.core.ids import FamilyKey, Instant, Subject
from detent.core.interaction import AuthorizationRequest, Spent
from detent.core.scope import Scope
from detent.core.wishes import Place, Wishes


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


class TokenFormat(Protocol):
    """What an access token looks like on the wire."""

    @property
    def name(self) -> str: ...

    @property
    def self_contained(self) -> bool:
        """Whether an API reads it without asking; if not, it carries no `Mark`."""
        ...

    def mint(self, claims: dict[str, Any], alg: SigningAlg) -> str: ...

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


# What a parameter of an authorization request changes in what is asked for. Raises OAuthError for the client.
RequestReader = Callable[[Form, Client, AuthorizationRequest], AuthorizationRequest]


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


Handler = Callable[[Request], Awaitable[Response]]


class Route(msgspec.Struct, frozen=True):
    """A path; `metadata` is the discovery member that names its URL, `cors` who may read its answers.

    A path that ends in `/{}` stands for any last segment, which the handler reads from `Request.path`.
    `page`: it is for people, so that whatever goes wrong there is told on a page and not in JSON.
    """

    path: str
    methods: tuple[str, ...]
    handler: Handler
    metadata: str | None = None
    cors: Literal["nobody", "everybody", "client"] = "nobody"
    page: bool = False


class ClientRequest(msgspec.Struct, frozen=True):
    """A request whose client is authenticated, at an endpoint that a feature brings for clients."""

    request: Request
    form: Form
    client: Client
    now: Instant


class ClientRoute(msgspec.Struct, frozen=True):
    """A path that clients POST a form to, authenticated as at the token endpoint (RFC 6749 §2.3).

    `handler` raises OAuthError; `metadata` is as in `Route`.
    """

    path: str
    handler: Callable[[ClientRequest], Awaitable[Response]]
    metadata: str | None = None


ClientCheck = Callable[[Client], Awaitable[None]]  # raises InvalidClientMetadata


class Feature(msgspec.Struct, frozen=True):
    """One optional specification (or the base itself) as the sum of what it contributes.

    `client_metadata` are members of a registration (RFC 7591 §2) by name and type, any that msgspec knows; a client
    keeps them in `extra`. `client_checks` look at a client that is about to be registered or changed as a whole.
    """

    name: str
    specs: tuple[str, ...]
    grants: tuple[Grant, ...] = ()
    client_auth: tuple[ClientAuth, ...] = ()
    token_formats: tuple[TokenFormat, ...] = ()
    strategies: tuple[RefreshStrategy, ...] = ()
    marks: tuple[Mark, ...] = ()
    resource_policies: tuple[ResourcePolicy, ...] = ()
    releases: tuple[Release, ...] = ()
    subject_types: tuple[SubjectType, ...] = ()
    envelopes: tuple[Envelope, ...] = ()
    request_readers: tuple[RequestReader, ...] = ()
    stages: tuple[Stage, ...] = ()
    possession: tuple[Possession, ...] = ()
    response_modes: tuple[ResponseMode, ...] = ()
    request_sources: tuple[RequestSource, ...] = ()
    client_sources: tuple[ClientSource, ...] = ()
    routes: tuple[Route, ...] = ()
    client_routes: tuple[ClientRoute, ...] = ()
    metadata: Mapping[str, Any] = {}
    client_metadata: Mapping[str, Any] = {}
    client_checks: tuple[ClientCheck, ...] = ()
    requires: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


def without(features: tuple[Feature, ...], names: Collection[str]) -> tuple[Feature, ...]:
    """What is left once whatever has one of these names is out: features, grant types, authentication methods,
    response modes, paths.
    """
    return tuple(
        msgspec.structs.replace(
            feature,
            grants=tuple(each for each in feature.grants if each.grant_type not in names),
            client_auth=tuple(each for each in feature.client_auth if each.method not in names),
            response_modes=tuple(each for each in feature.response_modes if each.name not in names),
            routes=tuple(each for each in feature.routes if each.path not in names),
        )
        for feature in features
        if feature.name not in names
    )


class RegistryError(Exception):
    """Two features claim one name, or one misses what it requires: the start stops with this sentence."""


T = TypeVar("T")


class Registry:
    """The contributions of all features, joined and proved disjoint."""

    def __init__(self, features: tuple[Feature, ...]) -> None:
        _check_company(features)
        self.features = features
        self.grants = _joined("grant type", features, lambda f: [(g.grant_type, g) for g in f.grants])
        self.client_auth = _joined("authentication method", features, lambda f: [(a.method, a) for a in f.client_auth])
        self.token_formats = _joined("token format", features, lambda f: [(t.name, t) for t in f.token_formats])
        self.strategies = _joined("refresh strategy", features, lambda f: [(s.name, s) for s in f.strategies])
        self.marks = _joined("access token claim", features, lambda f: [(m.claim, m) for m in f.marks], ACCESS_CLAIMS)
        self.resource_policies = _joined(
            "resource policy", features, lambda f: [(p.name, p) for p in f.resource_policies]
        )
        self.releases = _joined("release", features, lambda f: [(r.name, r) for r in f.releases])
        self.subject_types = _joined("subject type", features, lambda f: [(s.name, s) for s in f.subject_types])
        self.envelopes = tuple(envelope for feature in features for envelope in feature.envelopes)
        self.request_readers = tuple(reader for feature in features for reader in feature.request_readers)
        self.possession = _joined("possession", features, lambda f: [(p.name, p) for p in f.possession])
        self.response_modes = _joined("response mode", features, lambda f: [(m.name, m) for m in f.response_modes])
        self.routes = _joined("route", features, lambda f: [(r.path, r) for r in f.routes])
        self.client_routes = tuple(route for feature in features for route in feature.client_routes)
        self.metadata = _joined("metadata member", features, lambda f: [*f.metadata.items(), *_route_members(f)])
        self.client_metadata = _joined("client metadata", features, lambda f: list(f.client_metadata.items()))
        self.request_sources = tuple(source for feature in features for source in feature.request_sources)
        self.client_sources = tuple(source for feature in features for source in feature.client_sources)
        self.client_checks = tuple(check for feature in features for check in feature.client_checks)
        stages = _joined("stage", features, lambda f: [(s.name, s) for s in f.stages])
        self.stages = tuple(stage for phase in Phase for stage in stages.values() if stage.phase is phase)


def _route_members(feature: Feature) -> list[tuple[str, Any]]:
    return [(route.metadata, route) for route in feature.routes if route.metadata]


def _joined(
    what: str,
    features: tuple[Feature, ...],
    of: Callable[[Feature], list[tuple[str, T]]],
    taken: Iterable[str] = (),
) -> dict[str, T]:
    owners = dict.fromkeys(taken, "the server")
    joined: dict[str, T] = {}
    for feature in features:
        for name, value in of(feature):
            if name in owners:
                raise RegistryError(f"The {what} {name} is claimed by both {owners[name]} and {feature.name}.")
            owners[name], joined[name] = feature.name, value
    return joined


def _check_company(features: tuple[Feature, ...]) -> None:
    names = [feature.name for feature in features]
    for feature in features:
        if names.count(feature.name) > 1:
            raise RegistryError(f"The feature {feature.name} is listed twice.")
        if missing := [name for name in feature.requires if name not in names]:
            raise RegistryError(f"The feature {feature.name} requires {', '.join(missing)}.")
        if against := [name for name in feature.conflicts if name in names]:
            raise RegistryError(f"The feature {feature.name} cannot stand beside {', '.join(against)}.")
