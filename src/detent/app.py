"""The composition root: read it first. Builds everything from the ports, and lists the features.

What is listed in `features` is on; nothing else switches anything. A refresh goes endpoints/token →
grants/refresh_token (asks core/family what it means) → stores/.
"""

from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from detent.admin.registrations import Registrations
from detent.client_auth import assertion
from detent.client_auth.client_secret import ClientSecretBasic, ClientSecretPost
from detent.client_auth.initial_tokens import InitialTokens
from detent.client_auth.keys import ClientKeys
from detent.client_auth.keys import feature as client_keys_feature
from detent.client_auth.none import NoAuthentication
from detent.client_auth.software_statements import SoftwareStatements
from detent.core.client import LOOPBACK_HOSTS, Client
from detent.core.exchange import Form, Request
from detent.core.family import Ahead
from detent.core.ids import Instant, Seconds
from detent.core.interaction import CREATE
from detent.core.session import SessionPolicy
from detent.endpoints.authorize import PROMPTS, RESPONSE_TYPE, AuthorizationEndpoint
from detent.endpoints.client_endpoint import ClientEndpoint
from detent.endpoints.dispatch import Dispatcher
from detent.endpoints.door import Door
from detent.endpoints.end_session import EndSession
from detent.endpoints.health import HEALTH_PATH, Health, HealthEndpoint
from detent.endpoints.introspect import IntrospectionEndpoint
from detent.endpoints.jwks import JwksEndpoint
from detent.endpoints.metadata import MetadataEndpoint
from detent.endpoints.operator import OperatorEndpoints
from detent.endpoints.presentation import Presentation
from detent.endpoints.response_modes import Query
from detent.endpoints.revoke import RevocationEndpoint
from detent.endpoints.token import TokenEndpoint
from detent.endpoints.userinfo import UserinfoEndpoint
from detent.endpoints.visitor import Visitors
from detent.features import (
    backchannel_logout,
    claims,
    client_id_metadata,
    device,
    dpop,
    encryption,
    jar,
    openid,
    pairwise,
    par,
    password,
    registration,
    status_list,
)
from detent.features.registration import Registration
from detent.grants.authorization_code import AuthorizationCode
from detent.grants.client_credentials import ClientCredentials
from detent.grants.ending import Ending
from detent.grants.issuing import Issuing
from detent.grants.refresh_token import RefreshToken
from detent.identity.consents import Consents
from detent.identity.passwords import Passwords
from detent.identity.people import People
from detent.identity.sessions import Sessions
from detent.identity.sign_in import SignIn
from detent.identity.throttle import Allowances, Throttle
from detent.pages.account import AccountPage
from detent.pages.arrival import Arrival
from detent.pages.consent import ConsentPage
from detent.pages.desk import Desk
from detent.pages.device import DevicePage
from detent.pages.door import FormDoor
from detent.pages.error import ErrorPage
from detent.pages.held_back import HeldBackPage
from detent.pages.login import LoginPage
from detent.pages.logout import LogoutPage
from detent.pages.rendering import Rendering
from detent.pages.response_modes import FormPost, WebMessage
from detent.pages.sign_up import SignUpPage
from detent.pages.static import static_routes
from detent.ports import Clock, Directory, Entropy, EventSink, Keys, Store
from detent.profiles import OIDC, Profile
from detent.registry.feature import Feature, without
from detent.registry.joined import Registry
from detent.registry.requests import Proved
from detent.sinks.metrics import Metrics
from detent.strategies import feature as jwt_refresh_tokens
from detent.strategies.jwt_refresh import Common
from detent.tokens.access import AccessTokens
from detent.tokens.disclosure import Disclosure, Public
from detent.tokens.handle import Handles
from detent.tokens.id_token import Hints, IdTokens
from detent.tokens.jwt import Jwt
from detent.tokens.logout_token import LogoutTokens
from detent.tokens.mint import Mint
from detent.tokens.opaque import Opaque
from detent.tokens.refresh_jwt import RefreshJwts
from detent.web.asgi import Edge
from detent.web.cookies import Cookies
from detent.web.outbound import Outbound
from detent.webhooks.logouts import LogoutCourier


class Outside(msgspec.Struct, frozen=True):
    """The ports, as chosen for this process; `store` and `directory` are usually one object."""

    store: Store
    directory: Directory
    keys: Keys
    clock: Clock
    entropy: Entropy
    sink: EventSink
    passwords: Passwords
    metrics: Metrics = msgspec.field(default_factory=Metrics)


def no_more(house: "House") -> tuple[Feature, ...]:
    return ()


class House:
    """Everything built; `asgi` is what a server runs, `operator_asgi` what it runs for operators alone, the rest is
    what the command line and tests reach for.

    `more` adds features of your own; they go through the same door as those listed here. `profile` leaves some of
    both out. Without a `status_list_ttl` there are no status lists.
    """

    def __init__(
        self,
        outside: Outside,
        *,
        issuer: str,
        password_grant: bool = False,
        store_behind: Ahead = "refuse",
        session_policy: SessionPolicy = SessionPolicy(),
        allowances: Allowances = Allowances(),
        sign_up: bool = False,
        proxies: int = 0,
        status_list_ttl: Seconds | None = status_list.DEFAULT_TTL,
        outbound: Outbound | None = None,
        request_uri: bool = False,
        client_id_metadata_documents: bool = False,
        registering: Literal["off", "token", "open"] = "off",
        registration_scopes: tuple[str, ...] = (),
        registration_pkce: bool = True,
        registration_nonce: bool = True,
        software_statement_issuers: Mapping[str, str] = {},
        node: str = "",
        profile: Profile = OIDC,
        more: "MoreFeatures" = no_more,
    ) -> None:
        self.outside = outside
        self.issuer = issuer
        self.profile = profile
        self._sign_up = sign_up
        self._prompts = (*PROMPTS, CREATE) if sign_up else PROMPTS
        self.outbound = outbound or Outbound()
        self.client_keys = ClientKeys(self.outbound.fetch, outside.clock)
        self.initial_tokens = InitialTokens(outside.store, outside.directory, outside.clock, outside.entropy)
        self.health = Health(node, outside.store, outside.keys)
        self.handles = Handles(outside.keys, outside.entropy)
        self.people = People(outside.directory, outside.store, outside.passwords, outside.clock, outside.entropy)
        registry = self.registry = Registry()  # joined below: features are built of much that reads it
        self.registrations = Registrations(
            outside.store,
            outside.keys,
            outside.clock,
            outside.entropy,
            known_grants=registry.grants,
            known_formats=registry.token_formats,
            known_strategies=registry.strategies,
            known_metadata=registry.client_metadata,
            client_checks=registry.client_checks,
        )
        self.access = AccessTokens(registry.token_formats, outside.store)
        self.jwts = RefreshJwts(issuer, outside.keys)
        self.disclosure = Disclosure(outside.directory, registry.releases, registry.subject_types)
        mint = Mint(issuer, registry.token_formats, registry.marks, self.disclosure, outside.entropy)
        id_tokens = IdTokens(issuer, outside.keys, self.disclosure, registry.envelopes)
        self.issuing = Issuing(
            outside.store,
            self.handles,
            mint,
            id_tokens,
            outside.entropy,
            registry.strategies,
            registry.marks,
            registry.resource_policies,
            store_behind,
            scopes=profile.scopes,
            refresh_needs_offline_access=profile.refresh_needs_offline_access,
        )
        self.ending = Ending(outside.store, outside.sink)
        throttle = Throttle(outside.entropy, allowances)
        self.sign_in = SignIn(self.people, throttle, outside.sink, outside.store, outside.metrics)
        self.sessions = Sessions(outside.store, outside.entropy, outside.sink, session_policy)
        self.logouts = LogoutCourier(
            outside.store,
            outside.directory,
            outside.clock,
            outside.entropy,
            outside.sink,
            outside.metrics,
            LogoutTokens(issuer, outside.keys, self.disclosure, registry.envelopes, outside.entropy),
            self.outbound,
        )
        self.consents = Consents(outside.store, outside.sink)
        self.visitors = Visitors(Cookies(issuer), self.sessions, self.handles, outside.clock, outside.entropy)
        self.devices = device.Devices(self.issuing, outside.keys, outside.entropy)
        self._session_policy = session_policy
        self._rendering = Rendering()
        self._error_page = ErrorPage(self._rendering)

        published = outside.store, outside.directory, outside.keys, outside.clock
        open_scopes = (*profile.scopes, *registration_scopes)
        features = (
            *((password.feature(self.issuing, self.sign_in),) if password_grant else ()),
            openid.feature(outside.keys, claims_in_id_token=profile.claims_in_id_token),
            backchannel_logout.feature(self.outbound),
            claims.feature(),
            client_keys_feature(),
            device.feature(issuer, self.issuing, self.ending, outside.directory, self.devices),
            encryption.feature(self.client_keys),
            pairwise.feature(outside.keys, self.outbound.fetch),
            dpop.feature(issuer, self.handles),
            par.feature(outside.store, outside.entropy, self._check_asked, self._offered),
            *((client_id_metadata.feature(self._documents(open_scopes)),) if client_id_metadata_documents else ()),
            registration.feature(
                self._registration(
                    registering,
                    open_scopes,
                    registration.Demands(registration_pkce, registration_nonce),
                    software_statement_issuers,
                )
            ),
            jar.feature(issuer, outside.keys, self.client_keys, self.outbound.fetch if request_uri else None),
            *((status_list.feature(issuer, *published, status_list_ttl),) if status_list_ttl else ()),
            jwt_refresh_tokens.feature(Common(self.issuing, self.ending, self.jwts, outside.entropy, session_policy)),
            *more(self),
        )
        assertions = assertion.feature(issuer, profile.assertion_audience, outside.keys, self.client_keys)
        registry.join(*without((*features, self._base(), assertions), profile.leaves_out))
        registry.join(*without((self._endpoints(), self._pages()), profile.leaves_out))
        self._metadata.publish(registry)
        self.asgi = Edge(
            registry.routes,
            hosts_of(issuer),
            outside.entropy,
            frozenset({HEALTH_PATH}),
            self._error_page,
            proxies,
            outside.metrics.answered,
            outside.keys.look_again,
        )
        operators = {route.path: route for route in OperatorEndpoints(self.health, outside.metrics.page).routes()}
        self.operator_asgi = Edge(operators, frozenset(), outside.entropy, frozenset(operators))

    def _documents(self, scopes: tuple[str, ...]) -> client_id_metadata.Documents:
        return client_id_metadata.Documents(
            self.outside.store,
            self.outbound.fetch,
            scopes,
            self.registrations,
            self.registry.client_metadata,
        )

    def _registration(
        self,
        mode: Literal["off", "token", "open"],
        scopes: tuple[str, ...],
        demands: registration.Demands,
        issuers: Mapping[str, str],
    ) -> Registration | None:
        outside = self.outside
        return None if mode == "off" else Registration(
            self.issuer,
            mode,
            scopes,
            demands,
            outside.store,
            outside.clock,
            outside.entropy,
            self.initial_tokens,
            self.registrations,
            self.registry.client_metadata,
            SoftwareStatements(issuers, self.outbound.fetch, outside.clock),
        )  # fmt: skip

    def _base(self) -> Feature:
        """What OAuth 2.1 always has; it goes through the same door as every feature."""
        outside = self.outside
        return Feature(
            "base",
            ("OAuth 2.1", "RFC 6749", "RFC 7636", "RFC 8707", "RFC 9068", "RFC 9700"),
            grants=(
                AuthorizationCode(self.issuing, self.ending, outside.directory),
                RefreshToken(self.issuing, outside.sink, outside.metrics, self._session_policy),
                ClientCredentials(self.issuing),
            ),
            client_auth=(ClientSecretBasic(outside.keys), ClientSecretPost(outside.keys), NoAuthentication()),
            token_formats=(Jwt(self.issuer, outside.keys), Opaque(self.handles)),
            subject_types=(Public(),),
            response_modes=(Query(), FormPost(self._rendering), WebMessage(self._rendering)),
        )

    def _endpoints(self) -> Feature:
        """Built on the registry of all that they serve."""
        outside, access, issuer, registry = self.outside, self.access, self.issuer, self.registry
        door = Door(registry.client_auth, outside.store, outside.clock)
        self._metadata = MetadataEndpoint(issuer, self.profile.scopes)
        hints = Hints(issuer, outside.keys)
        presentation = Presentation(registry.possession, outside.store)
        self.dispatcher = Dispatcher(
            issuer,
            registry.response_modes,
            self.issuing,
            self.sessions,
            self.consents,
            self.disclosure,
            outside.entropy,
            HeldBackPage(self._rendering),
        )
        self.end_session = EndSession(outside.store, self.sessions, self.visitors, hints, self.handles, self.disclosure)
        self.authorization = AuthorizationEndpoint(
            registry,
            self.issuing,
            self.dispatcher,
            self.visitors,
            hints,
            self._prompts,
            self.profile.pkce_of_everybody,
        )
        parameters = {source.parameter for source in registry.request_sources}
        return Feature(
            "endpoints",
            (
                "RFC 6749",
                "RFC 7009",
                "RFC 7517",
                "RFC 7662",
                "RFC 8414",
                "RFC 9207",
                "OpenID Connect Core",
                "OpenID Connect RP-Initiated Logout",
            ),
            routes=(
                self.authorization.route(),
                *self.end_session.routes(),
                TokenEndpoint(door, registry, outside.metrics).route(),
                RevocationEndpoint(door, self.handles, access, self.ending, registry.strategies).route(),
                IntrospectionEndpoint(
                    door, self.handles, access, self.issuing, registry.strategies, self.disclosure
                ).route(),
                UserinfoEndpoint(
                    issuer,
                    access,
                    presentation,
                    outside.store,
                    outside.directory,
                    outside.keys,
                    outside.clock,
                    self.disclosure,
                    registry.envelopes,
                ).route(),
                JwksEndpoint(outside.keys).route(),
                HealthEndpoint(self.health).route(),
                *(ClientEndpoint(door, served).route() for served in registry.client_routes),
                *self._metadata.routes(),
            ),
            metadata={
                "response_types_supported": [RESPONSE_TYPE],
                "authorization_response_iss_parameter_supported": True,
                "prompt_values_supported": list(self._prompts),
                "request_parameter_supported": "request" in parameters,
                # Left out it would mean true; a reference that came of a push is not meant.
                "request_uri_parameter_supported": "require_request_uri_registration" in registry.metadata,
            },
        )

    async def _check_asked(self, form: Form, client: Client, now: Instant) -> Form:
        """For features: what the authorization endpoint, which is built of them, makes of a request."""
        return await self.authorization.check(form, client, now)

    async def _offered(self, request: Request, now: Instant) -> Proved:
        """For features too: the key that a client's request proves where no proof is demanded."""
        for possession in self.registry.possession.values():
            if proved := await possession.offered(request, now):
                return proved
        return Proved()

    def _pages(self) -> Feature:
        """What people see."""
        outside, sessions = self.outside, self.sessions
        desk = Desk(self._rendering, FormDoor(self.issuer), self.visitors, self.dispatcher, outside.directory)
        arrival = Arrival(self.visitors, self.dispatcher, sessions, self._error_page)
        login = LoginPage(desk, self.sign_in, arrival, self._sign_up)
        sign_up = SignUpPage(desk, self.people, arrival)
        consent = ConsentPage(desk, self.consents, self.issuing)
        logout = LogoutPage(desk, self.end_session, outside.store)
        account = AccountPage(self.issuer, desk, sessions, self.consents, self.ending, self.issuing)
        device_page = DevicePage(desk, self.consents, self.devices, self.issuing, outside.entropy)
        return Feature(
            "pages",
            ("OpenID Connect Core §3.1.2.3", "OpenID Connect Core §3.1.2.4", "RFC 9700 §4.7", "RFC 9700 §4.16"),
            routes=(
                login.route(),
                *((sign_up.route(),) if self._sign_up else ()),
                consent.route(),
                device_page.route(),
                *logout.routes(),
                *account.routes(),
                *static_routes(),
            ),
        )


MoreFeatures = Callable[[House], tuple[Feature, ...]]


def hosts_of(issuer: str) -> frozenset[str]:
    """The `Host` values that belong to the issuer; on loopback its other spellings too, with the same port."""
    parts = urlsplit(issuer)
    if parts.hostname not in LOOPBACK_HOSTS:
        return frozenset({parts.netloc.lower()})
    port = f":{parts.port}" if parts.port else ""
    return frozenset(f"[{host}]{port}" if ":" in host else f"{host}{port}" for host in LOOPBACK_HOSTS)
