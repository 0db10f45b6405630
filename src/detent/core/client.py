"""Registered clients, spelt as RFC 7591 §2 spells them, and what makes a registration safe.

Rule: a `Client` that passed `checked_client` needs no further doubt at request time: its policy is sound, its
redirect URIs are exact strings, its grants and authentication method fit its kind.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, get_args
from urllib.parse import SplitResult, urlsplit

import msgspec

from detent.core.errors import InvalidClientMetadata
from detent.core.ids import ClientId, Instant
from detent.core.policy import FAMILY, KINDS, ClientKind, Overrides, RefreshPolicy, effective_policy
from detent.core.scope import IDENTITY_SCOPES, Scope, is_scope_token

AuthMethod = Literal[
    "none", "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"
]  # fmt: skip

# Members of `extra` that more than one room reads; features declare them.
ID_TOKEN_ALG: Final = "id_token_signed_response_alg"
BACKCHANNEL_LOGOUT_URI: Final = "backchannel_logout_uri"
INITIATE_LOGIN_URI: Final = "initiate_login_uri"
USERINFO_ALG: Final = "userinfo_signed_response_alg"
REQUIRE_NONCE: Final = "require_nonce"
REQUEST_OBJECT_ALG: Final = "request_object_signing_alg"  # declared by `jar`

OPEN: Final = "open"  # anybody, where registration is open
DOCUMENT: Final = "document"  # what a client says of itself at the URL that is its id
LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
REFUSED_SCHEMES: Final = frozenset({"javascript", "data", "vbscript", "file", "about", "blob", "ws", "wss", "ftp"})
_CLIENT_ID = re.compile(r"[\x21-\x39\x3B-\x7E]{1,256}")
_LOOPBACK = re.compile(
    r"http://(?P<host>localhost|127\.0\.0\.1|\[::1\])(?::(?P<port>[1-9][0-9]{0,4}))?(?P<rest>[/?][\x21\x24-\x5B\x5D-\x7E]*)?"
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*")


class SecretDigest(msgspec.Struct, frozen=True):
    """A client secret at rest: a keyed hash, the id of its key, and until when it is good (None: no end).

    `sealed` is the secret itself under the same key, for a client that signs with it alone.
    """

    key_id: int
    digest: bytes
    created_at: Instant
    expires_at: Instant | None = None
    sealed: bytes = b""


class Client(msgspec.Struct, frozen=True, omit_defaults=True):
    """`scope` is what the client may ever ask for; `default_audience` what it means when it names no API.

    `first_party`: the operator's own app, so people are not asked for consent. `require_pkce` off exempts a
    confidential client that always sends a `nonce` (OAuth 2.1 §7.5.1). `refresh_strategy` names what proves that
    its refresh tokens are good: "family", or one of the registry's for JWT refresh tokens.
    `extra` are the members that features add, as RFC 7591 spells them.
    `registered_by`: nobody but the operator (""), "open", "document", or the id of an initial access token.
    `registration_token` is the hash of what the client minds its registration with.
    """

    client_id: ClientId
    kind: ClientKind
    created_at: Instant
    client_name: str = ""
    client_uri: str = ""
    logo_uri: str = ""
    policy_uri: str = ""
    tos_uri: str = ""
    first_party: bool = False
    require_pkce: bool = True
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    web_origins: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ()
    token_endpoint_auth_method: AuthMethod = "none"
    scope: Scope = ()
    default_audience: str | None = None
    secrets: tuple[SecretDigest, ...] = ()
    overrides: Overrides = Overrides()
    refresh_strategy: str = FAMILY
    enabled: bool = True
    epoch: int = 0
    version: int = 1
    extra: dict[str, Any] = {}
    registered_by: str = ""
    registration_token: bytes = b""

    @property
    def policy(self) -> RefreshPolicy:
        return effective_policy(self.kind, self.overrides, self.refresh_strategy)

    @property
    def has_secret(self) -> bool:
        return self.token_endpoint_auth_method.startswith("client_secret")

    @property
    def signs_with_secret(self) -> bool:
        """So its secret must be had again (decision 0026)."""
        return self.token_endpoint_auth_method == "client_secret_jwt" or self.extra.get(REQUEST_OBJECT_ALG) == "HS256"

    @property
    def is_anybodys(self) -> bool:
        """Nobody of ours saw it before it was registered, or where it leads (RFC 9700 §4.11.2)."""
        return self.registered_by in (OPEN, DOCUMENT)

    @property
    def is_public(self) -> bool:
        return self.token_endpoint_auth_method == "none"


DEFAULT_GRANTS: Final[dict[ClientKind, tuple[str, ...]]] = {
    "browser": ("authorization_code", "refresh_token"),
    "native": ("authorization_code", "refresh_token"),
    "cli": ("authorization_code", "refresh_token"),
    "web": ("authorization_code", "refresh_token"),
    "machine": ("client_credentials",),
}


def checked_client(client: Client, known_grants: Collection[str], known_strategies: Collection[str] = ()) -> Client:
    """Return the client if it may be registered. Raises InvalidClientMetadata with what to change."""
    named = client.registered_by == DOCUMENT or _CLIENT_ID.fullmatch(client.client_id)
    _refuse_if(not named, "client_id must be 1 to 256 visible characters, no colon.")
    public = KINDS[client.kind].public
    methods = get_args(AuthMethod)
    _refuse_if(
        client.token_endpoint_auth_method not in methods,
        f"token_endpoint_auth_method must be one of: {', '.join(methods)}.",
    )
    _refuse_if(
        public != client.is_public,
        f"A {client.kind} client is {'public: it has no secret' if public else 'confidential: it needs a secret'}; "
        f"token_endpoint_auth_method {client.token_endpoint_auth_method} does not fit.",
    )
    unknown = [grant for grant in client.grant_types if grant not in known_grants]
    _refuse_if(bool(unknown), f"grant_types holds what this server does not offer: {', '.join(unknown)}.")
    _refuse_if(
        public and "client_credentials" in client.grant_types,
        "client_credentials is for confidential clients (RFC 6749 4.4).",
    )
    _refuse_if(
        client.kind == "machine" and client.grant_types != ("client_credentials",),
        "A machine client has the grant client_credentials and no other.",
    )
    for uri in (*client.redirect_uris, *client.post_logout_redirect_uris):
        check_redirect_uri(uri, client.kind)
    for origin in client.web_origins:
        check_web_origin(origin)
    for uri in (client.client_uri, client.logo_uri, client.policy_uri, client.tos_uri):
        check_shown_uri(uri)
    _refuse_if(
        public and not client.require_pkce, f"A {client.kind} client is public: it cannot do without PKCE (RFC 9700)."
    )
    bad = [name for name in client.scope if not is_scope_token(name)]
    _refuse_if(bool(bad), "scope holds a name that is not a scope (RFC 6749 3.3).")
    strategies = (FAMILY, *sorted(known_strategies))
    _refuse_if(client.refresh_strategy not in strategies, f"refresh_strategy must be one of: {', '.join(strategies)}.")
    effective_policy(client.kind, client.overrides, client.refresh_strategy)
    return client


def check_metadata(given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Members that features add, by name and type as msgspec reads them. Raises InvalidClientMetadata."""
    for name, value in given.items():
        names = ", ".join(sorted(known)) or "none at all"
        _refuse_if(name not in known, f"{name[:100]} is no client metadata of this server; its features have: {names}.")
        try:
            msgspec.convert(value, known[name])
        except msgspec.ValidationError as error:
            raise InvalidClientMetadata(f"{name} is not what it must be: {error}.") from None


def check_redirect_uri(uri: str, kind: ClientKind) -> None:
    """RFC 9700 §2.1, RFC 8252 §7: absolute, exact, no fragment, https, or loopback http, or a private scheme."""
    parts, scheme = _parts(uri)
    _refuse_if(not scheme or scheme in REFUSED_SCHEMES, f"redirect URI {uri[:100]!r} has a scheme that is refused.")
    _refuse_if("#" in uri, f"redirect URI {uri[:100]!r} must not have a fragment (RFC 6749 3.1.2).")
    _refuse_if("*" in uri, f"redirect URI {uri[:100]!r}: wildcards are not possible; register each URI.")
    if scheme in ("http", "https"):
        _refuse_if(
            not parts.hostname or parts.username is not None,
            f"redirect URI {uri[:100]!r} needs a plain host.",
        )
        loopback = parts.hostname in LOOPBACK_HOSTS
        _refuse_if(scheme == "http" and not loopback, f"redirect URI {uri[:100]!r} must use https outside loopback.")
        return
    _refuse_if(
        kind not in ("native", "cli"),
        f"redirect URI {uri[:100]!r}: private schemes are for native and cli clients.",
    )


def check_web_origin(origin: str) -> None:
    """RFC 6454 §7: scheme, host and port, nothing behind."""
    parts, scheme = _parts(origin)
    plain = scheme in ("http", "https") and bool(parts.hostname) and not (parts.path or parts.query or parts.fragment)
    exact = origin == origin.lower() and "*" not in origin and parts.username is None
    _refuse_if(not plain or not exact, f"web origin {origin[:100]!r} must be scheme://host[:port] in lower case.")
    _refuse_if(
        scheme == "http" and parts.hostname not in LOOPBACK_HOSTS,
        f"web origin {origin[:100]!r} must use https outside loopback.",
    )


def check_shown_uri(uri: str) -> None:
    """A link or a picture on a page for people: https, or http on loopback (RFC 7591 §5)."""
    if not uri:
        return
    parts, scheme = _parts(uri)
    loopback = scheme == "http" and parts.hostname in LOOPBACK_HOSTS
    plain = bool(parts.hostname) and parts.username is None
    _refuse_if(not plain or not (scheme == "https" or loopback), f"{uri[:100]!r} must be an https URL.")


def matching_redirect_uri(client: Client, uri: str) -> bool:
    """Whether `uri` is one of the client's: the same string (RFC 9700 §2.1), but that a native or cli client's http
    URI on a loopback address may have any port (RFC 8252 §7.3).
    """
    if uri in client.redirect_uris:
        return True
    if client.kind not in ("native", "cli"):
        return False
    asked = _LOOPBACK.fullmatch(uri)
    return asked is not None and any(
        (known := _LOOPBACK.fullmatch(registered)) and known.group("host", "rest") == asked.group("host", "rest")
        for registered in client.redirect_uris
    )


def may_ask(client: Client, scope: str) -> bool:
    """Whether the client is registered for this scope; identity scopes are everybody's but a machine's."""
    return scope in client.scope or (client.kind != "machine" and scope in IDENTITY_SCOPES)


def _parts(uri: str) -> tuple[SplitResult, str]:
    _refuse_if(
        not uri.isascii() or not uri.isprintable() or " " in uri or "\\" in uri or len(uri) > 2000,
        f"{uri[:100]!r} is not a URI: only printable ASCII without spaces, at most 2000 characters.",
    )
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        raise InvalidClientMetadata(f"{uri[:100]!r} is not a URI (RFC 3986).") from None
    return parts, parts.scheme if _SCHEME.fullmatch(parts.scheme) else ""


def _refuse_if(wrong: bool, description: str) -> None:
    if wrong:
        raise InvalidClientMetadata(description)
