"""What the OpenID Foundation's conformance suite is told about a detent: our plan configurations, as values.

One configuration for clients that are registered by hand and one for clients that register themselves. `browser` is
how the suite's own browser goes through our pages: by their addresses and by the ids of their elements, which are
public API. Leaves: registering the clients and writing the files, to prepare.py; running the suite, to README.md.
"""

from typing import Any, Final

ALIAS: Final = "detent"
USERNAME: Final = "conformance"
CALLBACKS: Final = "*/test/*/callback*"
SIGNED_OUT: Final = "*/test/*/post_logout_redirect*"
SECONDS: Final = 10

Json = dict[str, Any]

# Modules that sign in a second time, where a person would have to look at the page: the suite keeps a picture of it.
AGAIN: Final = ("oidcc-prompt-login", "oidcc-max-age-1")
# Modules that are over once the first page of a new client was seen.
SHOWN: Final = ("oidcc-registration-logo-uri", "oidcc-registration-policy-uri", "oidcc-registration-tos-uri")
# Modules that end at an error page of ours.
REFUSED: Final = (
    "oidcc-ensure-registered-redirect-uri",
    "oidcc-ensure-redirect-uri-in-authorization-request",
    "oidcc-redirect-uri-query-added",
    "oidcc-redirect-uri-query-mismatch",
)
# Modules that end at a page of ours after a sign-out, and what is to be seen there.
LEFT: Final = {
    "oidcc-rp-initiated-logout-bad-post-logout-redirect-uri": "error",
    "oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri": "error",
    "oidcc-rp-initiated-logout-modified-id-token-hint": "error",
    "oidcc-rp-initiated-logout-bad-id-token-hint": "error",
    "oidcc-rp-initiated-logout-no-id-token-hint": "error",
    "oidcc-rp-initiated-logout-no-params": "signed-out",
    "oidcc-rp-initiated-logout-no-post-logout-redirect-uri": "signed-out",
    "oidcc-rp-initiated-logout-only-state": "signed-out",
}


def redirect_uri(suite: str) -> str:
    return f"{suite}/test/a/{ALIAS}/callback"


def post_logout_redirect_uri(suite: str) -> str:
    return f"{suite}/test/a/{ALIAS}/post_logout_redirect"


def configuration(issuer: str, password: str, **clients: Json) -> Json:
    """`issuer` ends in a slash; `clients` are the suite's sections client, client2 and client_secret_post."""
    signing_out = [_signing_in(issuer, password), _signing_out(issuer)]
    overrides = {name: [_signing_in(issuer, password, picture=True)] for name in AGAIN}
    overrides |= {name: [_stopping(issuer, "login", "login")] for name in SHOWN}
    overrides |= {name: [_stopping(issuer, "authorize", "error")] for name in REFUSED}
    overrides |= {name: [signing_out[0], _left(issuer, element)] for name, element in LEFT.items()}
    return {
        "alias": ALIAS,
        "description": "detent",
        "server": {"discoveryUrl": f"{issuer}.well-known/openid-configuration", "login_hint": USERNAME},
        **clients,
        "browser": signing_out,
        "override": {name: {"browser": browser} for name, browser in overrides.items()},
    }


def _task(name: str, match: str, *commands: list[Any], optional: bool = False) -> Json:
    return {"task": name, "match": match, "commands": list(commands), "optional": optional}


def _see(element: str, picture: str = "update-image-placeholder") -> list[Any]:
    """Wait until the element is there; the picture is for the person who reads the results."""
    return ["wait", "id", element, SECONDS, ".*", picture]


def _signing_in(issuer: str, password: str, *, picture: bool = False) -> Json:
    seen = [_see("login", "update-image-placeholder-optional")] if picture else []
    return {
        "match": f"{issuer}authorize*",
        "tasks": [
            _task(
                "Sign in",
                f"{issuer}login*",
                *seen,
                ["text", "id", "username", USERNAME],
                ["text", "id", "password", password],
                ["click", "id", "login"],
                optional=True,
            ),
            _task("Allow", f"{issuer}consent*", ["click", "id", "consent-accept"], optional=True),
            _task("Come back", CALLBACKS, ["wait", "id", "submission_complete", SECONDS]),
        ],
    }


def _stopping(issuer: str, path: str, element: str) -> Json:
    """At this page of ours, which is all that the module wants to see."""
    return {"match": f"{issuer}authorize*", "tasks": [_task("See", f"{issuer}{path}*", _see(element))]}


def _signing_out(issuer: str) -> Json:
    confirm = _task("Sign out", f"{issuer}logout*", ["click", "id", "logout-confirm"], optional=True)
    return {"match": f"{issuer}oidc/logout*", "tasks": [confirm, _task("Come back", SIGNED_OUT)]}


def _left(issuer: str, element: str) -> Json:
    confirm = _task("Sign out", f"{issuer}logout*", ["click", "id", "logout-confirm"], optional=True)
    return {"match": f"{issuer}oidc/logout*", "tasks": [confirm, _task("See", f"{issuer}*", _see(element))]}
