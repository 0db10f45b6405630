"""Both discovery documents (RFC 8414, OpenID Connect Discovery §3), made from what is registered.

Rule: nothing is promised here by hand. Endpoint URLs come from routes, methods and grants from the registry, so a
deleted feature takes its promises with it.
"""

from typing import Any, Final
from urllib.parse import urlsplit

from detent.core.exchange import Request, Response
from detent.core.scope import Scope
from detent.registry.joined import Registry, RegistryError
from detent.registry.routes import Route
from detent.web.respond import json_public

METADATA_MAX_AGE: Final = 300
WELL_KNOWN: Final = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")


class MetadataEndpoint:
    """The document is made once the registry stands; `publish` is called by the composition root."""

    def __init__(self, issuer: str, scopes: Scope) -> None:
        self._issuer = issuer
        self._scopes = scopes
        self._answer = Response(503)

    def routes(self) -> tuple[Route, ...]:
        """An issuer with a path is also asked where RFC 8414 §3.1 puts it: behind the well-known part."""
        inserted = WELL_KNOWN[1] + urlsplit(self._issuer).path.rstrip("/")
        paths = dict.fromkeys((*WELL_KNOWN, inserted))
        return tuple(Route(path, ("GET",), self.handle, cors="everybody") for path in paths)

    def publish(self, registry: Registry) -> None:
        self._answer = json_public(document(self._issuer, self._scopes, registry), METADATA_MAX_AGE)

    async def handle(self, request: Request) -> Response:
        return self._answer


def document(issuer: str, scopes: Scope, registry: Registry) -> dict[str, Any]:
    """RFC 8414 §2; members without a value are left out (§3.2). Raises RegistryError for one with two owners."""
    methods = list(registry.client_auth)
    with_secret = [method for method in methods if method != "none"]
    algs = sorted({alg for method in registry.client_auth.values() for alg in method.signing_algs})
    members: dict[str, Any] = {
        "issuer": issuer,
        "grant_types_supported": list(registry.grants),
        "scopes_supported": list(scopes),
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algs,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algs,
        "introspection_endpoint_auth_methods_supported": with_secret,
        "introspection_endpoint_auth_signing_alg_values_supported": algs,
        "response_modes_supported": list(registry.response_modes),
        "code_challenge_methods_supported": ["S256"] if "authorization_code" in registry.grants else [],
        "subject_types_supported": list(registry.subject_types),
    }
    for name, value in registry.metadata.items():
        if name in members:
            owner = _owner(registry, name)
            raise RegistryError(f"The metadata member {name} is claimed by both the server and {owner}.")
        members[name] = issuer + value.path.removeprefix("/") if isinstance(value, Route) else value
    return {name: value for name, value in members.items() if value or value is False}


def _owner(registry: Registry, member: str) -> str:
    for feature in registry.features:
        if member in feature.metadata or member in {route.metadata for route in feature.routes}:
            return feature.name
    raise KeyError(member)
