"""Registered APIs (resource servers), and which of them a token request means.

Source: RFC 8707 (resource indicators), RFC 9068 (audience and scope of JWT access tokens). `audience` is the
common spelling of the same parameter. An identifier is compared as an exact string.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final, Literal, get_args

import msgspec

from detent.core.client import Client, may_ask
from detent.core.errors import InvalidClientMetadata, InvalidScope, InvalidTarget
from detent.core.ids import Instant
from detent.core.policy import ACCESS_LIFE_RANGE
from detent.core.scope import IDENTITY_SCOPES, OPENID, Scope, is_scope_token

SigningAlg = Literal["RS256", "PS256", "ES256", "EdDSA"]
SIGNING_ALGS: Final[tuple[SigningAlg, ...]] = get_args(SigningAlg)
EVERY_CLIENT: Final = "*"
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,99}:[\x21\x24-\x5B\x5D-\x7E]{1,500}")


class Api(msgspec.Struct, frozen=True, omit_defaults=True):
    """`clients` may ask for its tokens ("*": every client); `introspected_by` may ask what an opaque one says."""

    identifier: str
    created_at: Instant
    name: str = ""
    scopes: dict[str, str] = {}
    token_format: str = "jwt"
    signing_alg: SigningAlg = "RS256"
    access_life: int | None = None
    clients: tuple[str, ...] = (EVERY_CLIENT,)
    introspected_by: tuple[str, ...] = ()
    version: int = 1


class Target(msgspec.Struct, frozen=True):
    """What one access token is for: the APIs (none: only userinfo) and the scope that it carries there."""

    apis: tuple[Api, ...]
    scope: Scope


def is_identifier(text: str) -> bool:
    """RFC 8707 §2: an absolute URI without fragment."""
    return _IDENTIFIER.fullmatch(text) is not None


def checked_api(api: Api, known_formats: Collection[str]) -> Api:
    """Return the API if it may be registered. Raises InvalidClientMetadata with what to change."""
    if not is_identifier(api.identifier):
        raise InvalidClientMetadata("The identifier must be an absolute URI without fragment (RFC 8707 2).")
    for name in api.scopes:
        if not is_scope_token(name) or name in IDENTITY_SCOPES:
            raise InvalidClientMetadata(f"The scope {name[:100]!r} cannot be an API's: bad characters, or reserved.")
    if api.token_format not in known_formats:
        raise InvalidClientMetadata(f"token_format must be one of: {', '.join(sorted(known_formats))}.")
    low, high = ACCESS_LIFE_RANGE
    if api.access_life is not None and not low <= api.access_life <= high:
        raise InvalidClientMetadata(f"access_life must be between {low} and {high} seconds.")
    return api


def granted(client: Client, apis: tuple[Api, ...], asked: Scope | None) -> Scope:
    """The scope that a request for these APIs yields; None asks for everything the client may have there.

    Raises InvalidTarget where the client may not ask for an API, InvalidScope for a scope it may not have.
    """
    for api in apis:
        if EVERY_CLIENT not in api.clients and client.client_id not in api.clients:
            raise InvalidTarget(f"This client may not ask for tokens of {api.identifier}.")
    possible = [name for api in apis for name in api.scopes if may_ask(client, name)]
    if asked is None:
        return tuple(dict.fromkeys(possible))
    for name in asked:
        if name not in possible and not (name in IDENTITY_SCOPES and may_ask(client, name)):
            raise InvalidScope(f"The scope {name} is not one that this client may have here.")
    return asked


def target(apis: tuple[Api, ...], scope: Scope) -> Target:
    """One access token for these APIs with what of `scope` is theirs. Raises InvalidTarget (RFC 8707 §2.2)."""
    if not apis and OPENID not in scope:
        raise InvalidTarget("Name the API with the parameter audience or resource; this client has no default.")
    if len(apis) > 1 and len({(api.token_format, api.signing_alg) for api in apis}) > 1:
        raise InvalidTarget("These APIs take different kinds of token; ask for one of them at a time.")
    theirs = {*IDENTITY_SCOPES}.union(*[api.scopes for api in apis])
    return Target(apis, tuple([name for name in scope if name in theirs]))


def within(identifiers: tuple[str, ...], audience: tuple[str, ...], known: Mapping[str, Api]) -> tuple[Api, ...]:
    """The APIs named, if each was granted and still exists. Raises InvalidTarget otherwise (RFC 8707 §2.2)."""
    for identifier in identifiers:
        if identifier not in audience or identifier not in known:
            raise InvalidTarget("The audience or resource asked for goes beyond what was granted.")
    return tuple([known[identifier] for identifier in identifiers])
