"""The composition root: read it first. Builds everything from the ports, and lists the features.

What is listed in `features` is on; nothing else switches anything. A refresh goes endpoints/token →
grants/refresh_token (asks core/family what it means) → stores/.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

from detent.client_auth.client_secret import ClientSecretBasic, ClientSecretPost
from detent.client_auth.none import NoAuthentication
from detent.core.client import LOOPBACK_HOSTS
from detent.core.family import Ahead
from detent.core.session import SessionPolicy
from detent.endpoints.door import Door
from detent.endpoints.health import HEALTH_PATH, HealthEndpoint
from detent.endpoints.introspect import IntrospectionEndpoint
from detent.endpoints.jwks import JwksEndpoint
from detent.endpoints.metadata import MetadataEndpoint
from detent.endpoints.revoke import RevocationEndpoint
from detent.endpoints.token import TokenEndpoint
from detent.endpoints.userinfo import UserinfoEndpoint
from detent.features import password
from detent.grants.authorization_code import AuthorizationCode
from detent.grants.client_credentials import ClientCredentials
from detent.grants.ending import Ending
from detent.grants.issuing import Issuing
from detent.grants.refresh_token import RefreshToken
from detent.identity.passwords import Passwords
from detent.identity.people import People
from detent.ports import Clock, Directory, Entropy, EventSink, Keys, Store
from detent.registry import Feature, Registry, TokenFormat
from detent.tokens.access import AccessTokens
from detent.tokens.handle import Handles
from detent.tokens.jwt import Jwt
from detent.tokens.mint import Mint
from detent.tokens.opaque import Opaque
from detent.web.asgi import Edge


class Outside(msgspec.Struct, frozen=True):
    """The ports, as chosen for this process; `store` and `directory` are usually one object."""

    store: Store
    directory: Directory
    keys: Keys
    clock: Clock
    entropy: Entropy
    sink: EventSink
    passwords: Passwords


def no_more(house: "House") -> tuple[Feature, ...]:
    return ()


class House:
    """Everything built; `asgi` is what a server runs, the rest is what the command line and tests reach for.

    `more` adds features of your own; they go through the same door as those listed here.
    """

    def __init__(
        self,
        outside: Outside,
        *,
        issuer: str,
        password_grant: bool = False,
        store_behind: Ahead = "refuse",
        more: "MoreFeatures" = no_more,
    ) -> None:
        self.outside = outside
        self.issuer = issuer
        self.handles = Handles(outside.keys, outside.entropy)
        self.people = People(outside.directory, outside.store, outside.passwords, outside.clock, outside.entropy)
        formats: dict[str, TokenFormat] = {}  # filled from the registry: a format may come with a feature
        self.access = AccessTokens(formats, outside.store)
        mint = Mint(issuer, formats, outside.keys, outside.entropy)
        self.issuing = Issuing(outside.store, self.handles, mint, outside.entropy, store_behind)
        self.ending = Ending(outside.store, outside.sink)

        features = (
            *((password.feature(self.issuing, self.people),) if password_grant else ()),
            *more(self),
        )
        self.registry = self._registry((*features, self._base(features)))
        formats.update(self.registry.token_formats)
        self.asgi = Edge(self.registry.routes, hosts_of(issuer), outside.entropy, frozenset({HEALTH_PATH}))

    def _base(self, features: tuple[Feature, ...]) -> Feature:
        """What OAuth 2.1 always has; it goes through the same door as every feature."""
        outside = self.outside
        strategies = {strategy.name: strategy for feature in features for strategy in feature.strategies}
        return Feature(
            "base",
            ("OAuth 2.1", "RFC 6749", "RFC 7636", "RFC 8707", "RFC 9068", "RFC 9700"),
            grants=(
                AuthorizationCode(self.issuing, self.ending, outside.directory),
                RefreshToken(self.issuing, outside.directory, outside.sink, strategies, SessionPolicy()),
                ClientCredentials(self.issuing),
            ),
            client_auth=(ClientSecretBasic(outside.keys), ClientSecretPost(outside.keys), NoAuthentication()),
            token_formats=(Jwt(self.issuer, outside.keys), Opaque(self.handles)),
        )

    def _registry(self, features: tuple[Feature, ...]) -> Registry:
        """The registry of everything, endpoints included; those are built on the registry of all that they serve."""
        outside, access, issuer = self.outside, self.access, self.issuer
        protocol = Registry(features)
        door = Door(protocol.client_auth, outside.store, outside.clock)
        metadata = MetadataEndpoint(issuer)
        endpoints = Feature(
            "endpoints",
            ("RFC 6749", "RFC 7009", "RFC 7517", "RFC 7662", "RFC 8414", "OpenID Connect Core"),
            routes=(
                TokenEndpoint(door, protocol).route(),
                RevocationEndpoint(door, self.handles, access, self.ending).route(),
                IntrospectionEndpoint(door, self.handles, access, outside.store).route(),
                UserinfoEndpoint(issuer, access, outside.directory, outside.clock).route(),
                JwksEndpoint(outside.keys).route(),
                HealthEndpoint(outside.store).route(),
                *metadata.routes(),
            ),
        )
        whole = Registry((*features, endpoints))
        metadata.publish(whole)
        return whole


MoreFeatures = Callable[[House], tuple[Feature, ...]]


def hosts_of(issuer: str) -> frozenset[str]:
    """The `Host` values that belong to the issuer; on loopback its other spellings too, with the same port."""
    parts = urlsplit(issuer)
    if parts.hostname not in LOOPBACK_HOSTS:
        return frozenset({parts.netloc.lower()})
    port = f":{parts.port}" if parts.port else ""
    return frozenset(f"[{host}]{port}" if ":" in host else f"{host}{port}" for host in LOOPBACK_HOSTS)
