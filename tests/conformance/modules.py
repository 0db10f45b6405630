"""Which modules the plans of the OpenID Foundation's suite run against a server like this one, by name.

As of version 5.2.4 of the suite, response type `code`. Each module has a test of its name in this folder
(`oidcc-scope-all` → `test_oidcc_scope_all`); test_modules.py proves that none is missing. What the suite skips because
it is not advertised has its test too: that it is not advertised, and refused. What the real suite said of
each stands in conformance/README.md.
"""

from typing import Final, Literal

import msgspec

from detent.core.client import AuthMethod


class Variant(msgspec.Struct, frozen=True):
    """How a plan's client came to be registered, proves who it is, and wants its answers."""

    registration: Literal["static", "dynamic"] = "static"
    auth: AuthMethod = "client_secret_basic"
    response_mode: Literal["form_post"] | None = None


class Plan(msgspec.Struct, frozen=True):
    variant: Variant
    modules: tuple[str, ...]


CONFIG: Final = ("oidcc-discovery-endpoint-verification",)
BASIC: Final = (
    "oidcc-server", "oidcc-response-type-missing",
    "oidcc-userinfo-get", "oidcc-userinfo-post-header", "oidcc-userinfo-post-body",
    "oidcc-ensure-request-without-nonce-succeeds-for-code-flow",
    "oidcc-scope-profile", "oidcc-scope-email", "oidcc-scope-address", "oidcc-scope-phone", "oidcc-scope-all",
    "oidcc-alternate-happy-flow", "oidcc-display-page", "oidcc-display-popup",
    "oidcc-prompt-login", "oidcc-prompt-none-not-logged-in", "oidcc-prompt-none-logged-in",
    "oidcc-max-age-1", "oidcc-max-age-10000", "oidcc-ensure-request-with-unknown-parameter-succeeds",
    "oidcc-id-token-hint", "oidcc-login-hint", "oidcc-ui-locales", "oidcc-claims-locales",
    "oidcc-ensure-request-with-acr-values-succeeds",
    "oidcc-codereuse", "oidcc-codereuse-30seconds",
    "oidcc-ensure-registered-redirect-uri", "oidcc-ensure-post-request-succeeds",
    "oidcc-server-client-secret-post",
    "oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported",
    "oidcc-claims-essential", "oidcc-ensure-request-object-with-redirect-uri",
    "oidcc-refresh-token", "oidcc-ensure-request-with-valid-pkce-succeeds",
)  # fmt: skip
BASIC_DYNAMIC: Final = (
    *BASIC, "oidcc-idtoken-signature", "oidcc-idtoken-unsigned",
    "oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported",
)  # fmt: skip
DYNAMIC: Final = (
    *CONFIG, "oidcc-server", "oidcc-idtoken-rs256", "oidcc-idtoken-unsigned", "oidcc-userinfo-rs256",
    "oidcc-ensure-redirect-uri-in-authorization-request", "oidcc-redirect-uri-query-OK",
    "oidcc-redirect-uri-query-mismatch", "oidcc-redirect-uri-query-added", "oidcc-redirect-uri-regfrag",
    "oidcc-registration-logo-uri", "oidcc-registration-policy-uri", "oidcc-registration-tos-uri",
    "oidcc-registration-jwks-uri", "oidcc-registration-sector-uri", "oidcc-registration-sector-bad",
    "oidcc-server-rotate-keys", "oidcc-refresh-token-rp-key-rotation",
    "oidcc-request-uri-unsigned", "oidcc-request-uri-signed-rs256",
    "oidcc-ensure-request-object-with-redirect-uri", "oidcc-refresh-token",
    "oidcc-ensure-client-assertion-with-iss-aud-succeeds",
)  # fmt: skip
# The comprehensive plan: what every client runs, what one that registered itself adds, what a key adds.
COMPREHENSIVE: Final = (
    *CONFIG,
    *(name for name in BASIC if name not in ("oidcc-server-client-secret-post", "oidcc-ensure-post-request-succeeds")),
    "oidcc-redirect-uri-query-added", "oidcc-server-rotate-keys",
)  # fmt: skip
BY_KEY: Final = ("oidcc-ensure-client-assertion-with-iss-aud-succeeds",)
BY_REGISTERING: Final = (
    "oidcc-idtoken-rs256", "oidcc-idtoken-signature", "oidcc-idtoken-unsigned", "oidcc-userinfo-rs256",
    "oidcc-ensure-redirect-uri-in-authorization-request", "oidcc-redirect-uri-query-OK",
    "oidcc-redirect-uri-query-mismatch", "oidcc-redirect-uri-regfrag",
    "oidcc-registration-logo-uri", "oidcc-registration-policy-uri", "oidcc-registration-tos-uri",
    "oidcc-registration-sector-uri", "oidcc-registration-sector-bad",
    "oidcc-request-uri-unsigned", "oidcc-request-uri-signed-rs256",
)  # fmt: skip
BY_REGISTERING_A_KEY: Final = ("oidcc-registration-jwks-uri", "oidcc-refresh-token-rp-key-rotation")
RP_LOGOUT: Final = tuple(
    f"oidcc-rp-initiated-logout{name}"
    for name in (
        "", "-discovery-endpoint-verification", "-bad-post-logout-redirect-uri", "-modified-id-token-hint",
        "-no-id-token-hint", "-no-params", "-no-post-logout-redirect-uri", "-no-state", "-only-state",
        "-query-added-to-post-logout-redirect-uri", "-bad-id-token-hint",
    )
)  # fmt: skip
BACKCHANNEL_LOGOUT: Final = (
    "oidcc-backchannel-logout-discovery-endpoint-verification", "oidcc-backchannel-rp-initiated-logout",
)  # fmt: skip
THIRD_PARTY_LOGIN: Final = ("oidcc-3rd_party-init-login", "oidcc-3rd_party-init-login-nohttps")

_DYNAMIC, _BY_KEY = Variant("dynamic"), Variant(auth="private_key_jwt")
_DYNAMIC_BY_KEY = Variant("dynamic", "private_key_jwt")
PLANS: Final[dict[str, Plan]] = {
    "config": Plan(Variant(), CONFIG),
    "basic, static": Plan(Variant(), BASIC),
    "basic, dynamic": Plan(_DYNAMIC, BASIC_DYNAMIC),
    "formpost-basic, static": Plan(Variant(response_mode="form_post"), BASIC),
    "formpost-basic, dynamic": Plan(Variant("dynamic", response_mode="form_post"), BASIC_DYNAMIC),
    "dynamic": Plan(_DYNAMIC_BY_KEY, DYNAMIC),
    "comprehensive, static": Plan(Variant(), COMPREHENSIVE),
    "comprehensive, dynamic": Plan(_DYNAMIC, (*COMPREHENSIVE, *BY_REGISTERING)),
    "comprehensive, static, by key": Plan(_BY_KEY, (*COMPREHENSIVE, *BY_KEY)),
    "comprehensive, dynamic, by key": Plan(
        _DYNAMIC_BY_KEY, (*COMPREHENSIVE, *BY_KEY, *BY_REGISTERING, *BY_REGISTERING_A_KEY)
    ),
    "rp-initiated-logout": Plan(Variant(), RP_LOGOUT),
    "backchannel-rp-initiated-logout": Plan(Variant(), BACKCHANNEL_LOGOUT),
    "3rdparty-init-login": Plan(_DYNAMIC, THIRD_PARTY_LOGIN),
}
SIZES: Final = {
    "config": 1, "basic, static": 35, "basic, dynamic": 38, "formpost-basic, static": 35, "formpost-basic, dynamic": 38,
    "dynamic": 23, "comprehensive, static": 36, "comprehensive, dynamic": 51, "comprehensive, static, by key": 37,
    "comprehensive, dynamic, by key": 54, "rp-initiated-logout": 11, "backchannel-rp-initiated-logout": 2,
    "3rdparty-init-login": 2,
}  # fmt: skip
VARIANTS: Final = tuple(dict.fromkeys(plan.variant for plan in PLANS.values()))


def name_of_test(module: str) -> str:
    return f"test_{module.replace('-', '_').lower()}"
