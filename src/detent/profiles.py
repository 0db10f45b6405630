"""The profiles: what each leaves out, changes and fixes, as data. What is not said here is the same in all of them.

Source: OAuth 2.1, the Model Context Protocol's authorization specification, the contract that Auth0's SDKs rely on.
Read at composition alone (app.py), and by settings/ for the defaults that a profile brings: nothing asks which
profile it is in. Leaves: docs/profiles.md is the page for people, and a test compares it with this.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import msgspec

from detent.core.scope import IDENTITY_SCOPES, OFFLINE_ACCESS, Scope

ProfileName = Literal["oidc", "oauth21", "mcp", "auth0"]
NAMES: Final[tuple[ProfileName, ...]] = get_args(ProfileName)


class Fixed(msgspec.Struct, frozen=True):
    """The one value that a setting may have in a profile, and why."""

    value: Any
    because: str


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """`leaves_out` names features, grant types, authentication methods, response modes and paths; `scopes` are those
    that belong to no API.

    `pkce_of_everybody`: no client is exempt. `assertion_audience` is for clients that do not choose.
    `claims_in_id_token`: of every client that does not say otherwise, and not of browser apps alone.
    `refresh_needs_offline_access`: no refresh token without that scope. `settings` are defaults in place of the
    declared ones, `fixed` settings that cannot be otherwise.
    """

    name: ProfileName
    leaves_out: frozenset[str] = frozenset()
    scopes: Scope = IDENTITY_SCOPES
    pkce_of_everybody: bool = False
    assertion_audience: Literal["issuer", "endpoint"] = "endpoint"
    claims_in_id_token: bool = False
    refresh_needs_offline_access: bool = False
    settings: Mapping[str, Any] = {}
    fixed: Mapping[str, Fixed] = {}


_OPENID: Final = frozenset(
    {
        *("openid", "claims", "encryption", "pairwise", "backchannel-logout"),
        *("/userinfo", "/oidc/logout", "/v2/logout", "/.well-known/openid-configuration"),
    }
)
_OAUTH21: Final = {
    "password_grant": Fixed(False, "OAuth 2.1 has no password grant"),
    "registration_pkce": Fixed(True, "OAuth 2.1 asks PKCE of every client"),
}

OIDC: Final = Profile(name="oidc")
OAUTH21: Final = Profile(
    name="oauth21",
    leaves_out=_OPENID | {"password", "web_message"},
    scopes=(OFFLINE_ACCESS,),
    pkce_of_everybody=True,
    assertion_audience="issuer",
    fixed=_OAUTH21,
)
MCP: Final = Profile(
    name="mcp",
    leaves_out=frozenset({"password", "web_message", "/v2/logout"}),
    pkce_of_everybody=True,
    assertion_audience="issuer",
    settings={"client_id_metadata_documents": True},
    fixed=_OAUTH21,
)
AUTH0: Final = Profile(name="auth0", claims_in_id_token=True, refresh_needs_offline_access=True)

PROFILES: Final[Mapping[ProfileName, Profile]] = {each.name: each for each in (OIDC, OAUTH21, MCP, AUTH0)}
