"""What a client may say of itself when it registers without an operator (RFC 7591 §2, OpenID Connect Registration §2).

Pure: from the metadata as it came to a kind of client and its fields, and from a client to what it is told of itself.
Rule: nothing here makes a client first-party, exempts it from PKCE, or gives it an API's scope that the operator did
not open to everybody. What is not ours to read, features check (`client_metadata`) or nobody (RFC 7591 §2: ignored).
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from detent.core.client import INITIATE_LOGIN_URI, LOOPBACK_HOSTS, REQUIRE_NONCE, AuthMethod, Client, check_redirect_uri
from detent.core.errors import InvalidClientMetadata, InvalidRedirectUri
from detent.core.policy import ClientKind
from detent.core.scope import parse_scope

BY_CODE: Final = ("authorization_code", "refresh_token")
OPEN_GRANTS: Final = frozenset({*BY_CODE, "urn:ietf:params:oauth:grant-type:device_code"})
TRUSTED_GRANTS: Final = OPEN_GRANTS | {"client_credentials"}
MAX_URIS: Final = 50
MAX_TEXT: Final = 2000
PRIVILEGED: Final = frozenset(
    {
        "kind",
        "first_party",
        "require_pkce",
        REQUIRE_NONCE,
        "enabled",
        "web_origins",
        "default_audience",
        "refresh_strategy",
        "policy",
    }
)
_SHOWN: Final = ("client_name", "client_uri", "logo_uri", "policy_uri", "tos_uri")
_ISSUED: Final = frozenset(
    {"client_id", "client_secret", "client_id_issued_at", "client_secret_expires_at", "registration_access_token",
     "registration_client_uri", "software_statement"}
)  # fmt: skip
OWN_MEMBERS: Final[Mapping[str, Any]] = {
    "application_type": Literal["web", "native"],
    "response_types": list[Literal["code"]],
    "contacts": list[str],
    "software_id": str,
    "software_version": str,
    "software_statement": str,
    INITIATE_LOGIN_URI: str,
}


class Metadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """The members that every client has; names and defaults are those of RFC 7591 §2."""

    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = BY_CODE
    token_endpoint_auth_method: AuthMethod = "client_secret_basic"
    application_type: Literal["web", "native"] = "web"
    scope: str | None = None
    client_name: str = ""
    client_uri: str = ""
    logo_uri: str = ""
    policy_uri: str = ""
    tos_uri: str = ""


def read_metadata(given: Mapping[str, Any]) -> Metadata:
    """Raises InvalidClientMetadata, InvalidRedirectUri."""
    if privileged := sorted(PRIVILEGED & given.keys()):
        raise InvalidClientMetadata(f"Only the operator can say {', '.join(privileged)} of a client.")
    if not _is_list_of_text(given.get("redirect_uris") or []):
        raise InvalidRedirectUri("redirect_uris must be a list of strings.")
    try:
        metadata = msgspec.convert({n: v for n, v in given.items() if v is not None}, Metadata)
    except msgspec.ValidationError as error:
        raise InvalidClientMetadata(f"The metadata cannot be read: {error}.") from None
    if len(metadata.redirect_uris) + len(metadata.post_logout_redirect_uris) > MAX_URIS:
        raise InvalidRedirectUri(f"A client has at most {MAX_URIS} URIs.")
    if any(len(getattr(metadata, name)) > MAX_TEXT for name in _SHOWN):
        raise InvalidClientMetadata(f"A member is longer than {MAX_TEXT} characters.")
    kind = kind_of(metadata)
    for uri in metadata.redirect_uris:
        try:
            check_redirect_uri(uri, kind)
        except InvalidClientMetadata as error:
            raise InvalidRedirectUri(error.description) from None
    if "authorization_code" in metadata.grant_types and not metadata.redirect_uris:
        raise InvalidRedirectUri("The grant authorization_code needs redirect_uris.")
    return metadata


def kind_of(metadata: Metadata) -> ClientKind:
    """A secret or keys: a web app, or a machine; neither: native if it says so or its URIs do, else a browser app."""
    if metadata.token_endpoint_auth_method != "none":
        return "machine" if metadata.grant_types == ("client_credentials",) else "web"
    native = metadata.application_type == "native" or any(map(_is_of_an_app, metadata.redirect_uris))
    return "native" if native or not metadata.redirect_uris else "browser"


def fields_of(metadata: Metadata, grants: Collection[str], scopes: Collection[str]) -> dict[str, Any]:
    """The fields of the client; of the scopes it wants it gets those that are open. Raises InvalidClientMetadata."""
    if refused := [grant for grant in metadata.grant_types if grant not in grants]:
        raise InvalidClientMetadata(f"A client that registers itself cannot have the grant {', '.join(refused)[:200]}.")
    wanted = parse_scope(metadata.scope) if metadata.scope is not None else scopes
    browser = kind_of(metadata) == "browser"
    return {
        **{name: getattr(metadata, name) for name in _SHOWN},
        "redirect_uris": metadata.redirect_uris,
        "post_logout_redirect_uris": metadata.post_logout_redirect_uris,
        "grant_types": metadata.grant_types,
        "token_endpoint_auth_method": metadata.token_endpoint_auth_method,
        "scope": tuple(name for name in wanted if name in scopes),
        "web_origins": tuple(dict.fromkeys(map(_origin, metadata.redirect_uris))) if browser else (),
    }


def more_of(given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The members that features know, as a client keeps them; whatever nobody knows is left out."""
    extra = {name: value for name, value in given.items() if name in known and value is not None}
    return extra | {name: given.get(name) or value for name, value in _said(read_metadata(given)).items()}


def _said(metadata: Metadata) -> dict[str, Any]:
    types = ["code"] if "authorization_code" in metadata.grant_types else []
    return {"application_type": metadata.application_type, "response_types": types}


def told_itself(client: Client) -> dict[str, Any]:
    """RFC 7591 §3.2.1: all of its metadata as it is registered; what the operator alone may say is not its own."""
    document: dict[str, Any] = {
        "client_id": client.client_id,
        "client_id_issued_at": client.created_at,
        **{name: getattr(client, name) for name in _SHOWN if getattr(client, name)},
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grant_types),
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "scope": " ".join(client.scope),
        **{name: value for name, value in client.extra.items() if name not in PRIVILEGED},
    }
    if client.post_logout_redirect_uris:
        document["post_logout_redirect_uris"] = list(client.post_logout_redirect_uris)
    return document


def without_issued(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in _ISSUED}


def _is_of_an_app(uri: str) -> bool:
    parts = urlsplit(uri)
    return parts.scheme not in ("http", "https") or (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS)


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
