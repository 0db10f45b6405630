"""Claim sets: what an access token and an ID token say.

Source: RFC 9068 §2.2 (access token), OpenID Connect Core §2 (ID token). Access tokens carry no personal claims.
"""

from typing import Any, Final

from detent.core.api import Target
from detent.core.authorization import Authorization, Epochs
from detent.core.confirmation import Confirmation
from detent.core.family import Family
from detent.core.ids import ClientId, Instant
from detent.core.scope import OPENID, Scope

# What the server says of an access token; no feature says it in its stead.
ACCESS_CLAIMS: Final = frozenset({
    "iss", "sub", "aud", "client_id", "azp", "iat", "exp", "jti", "scope", "authorization_id", "auth_time", "acr",
    "amr", "sid", "cnf",
})  # fmt: skip


def access_claims(
    issuer: str,
    target: Target,
    client_id: ClientId,
    *,
    now: Instant,
    expires_at: Instant,
    jti: str,
    cnf: Confirmation,
    sub: str,
    sid: str | None,
    family: Family | None,
    epochs: Epochs,
) -> dict[str, Any]:
    """RFC 9068 §2.2; `azp` beside `client_id` for APIs that read the older spelling.

    `sub` and `sid` are the person and the session as this client knows them, or the client itself and none. A client's
    own token has no row that knows under which cut-offs it was issued, so it says so itself (`epochs`).
    """
    audience = [api.identifier for api in target.apis]
    if OPENID in target.scope:
        audience.append(f"{issuer}userinfo")
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": sub,
        "aud": audience,
        "client_id": client_id,
        "azp": client_id,
        "iat": now,
        "exp": expires_at,
        "jti": jti,
        "scope": " ".join(target.scope),
    }
    if family:
        claims["authorization_id"] = family.key.text
        claims |= _authentication(family.authorization, sid)
    else:
        claims["epochs"] = [epochs.client, epochs.server]
    if bound := cnf.claim():
        claims["cnf"] = bound
    return claims


def id_claims(
    issuer: str,
    authorization: Authorization,
    sub: str,
    sid: str | None,
    person: dict[str, Any],
    *,
    now: Instant,
    expires_at: Instant,
    at_hash: str,
    nonce: str | None = None,
) -> dict[str, Any]:
    """OpenID Connect Core §2; on a refresh (§12.2) the same but for `iat`, `exp` and without `nonce`."""
    claims = {
        **person,
        "iss": issuer,
        "sub": sub,
        "aud": authorization.client_id,
        "azp": authorization.client_id,
        "iat": now,
        "exp": expires_at,
        "at_hash": at_hash,
        **_authentication(authorization, sid),
    }
    if nonce is not None:
        claims["nonce"] = nonce
    return claims


def wants_id_token(scope: Scope) -> bool:
    return OPENID in scope


def _authentication(authorization: Authorization, sid: str | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"auth_time": authorization.auth_time}
    if authorization.acr:
        facts["acr"] = authorization.acr
    if authorization.amr:
        facts["amr"] = list(authorization.amr)
    if sid:
        facts["sid"] = sid
    return facts
