"""Registered things and families as JSON documents: what the command line and the admin API answer.

Clients are spelt as RFC 7591 §2 and §3.2.1 spell them. Rule: no secret, digest, seed or tag is in any of these.
"""

from typing import Any

import msgspec

from detent.core.api import Api
from detent.core.client import Client
from detent.core.events import Event, told
from detent.core.family import Family
from detent.core.people import User
from detent.core.policy import FAMILY, KINDS, Lives, default_policy
from detent.core.webhook import Webhook

Document = dict[str, Any]


def webhook_document(webhook: Webhook, owed: int) -> Document:
    return {
        "id": webhook.id,
        "url": webhook.url,
        "events": list(webhook.events) or ["all"],
        "state": webhook.state,
        "owed": owed,
        "created_at": webhook.created_at,
        "delivered_at": webhook.delivered_at,
        "failures": webhook.failures,
        "failing_since": webhook.failing_since,
        "retry_at": webhook.retry_at or None,
        "last_error": webhook.disabled or webhook.last_error,
    }


def client_document(client: Client) -> Document:
    return {
        "client_id": client.client_id,
        "client_name": client.client_name,
        "kind": client.kind,
        "enabled": client.enabled,
        "registered_by": client.registered_by or "operator",
        "client_id_issued_at": client.created_at,
        "client_uri": client.client_uri,
        "logo_uri": client.logo_uri,
        "policy_uri": client.policy_uri,
        "tos_uri": client.tos_uri,
        "first_party": client.first_party,
        "require_pkce": client.require_pkce,
        "redirect_uris": list(client.redirect_uris),
        "post_logout_redirect_uris": list(client.post_logout_redirect_uris),
        "web_origins": list(client.web_origins),
        "grant_types": list(client.grant_types),
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "scope": " ".join(client.scope),
        "default_audience": client.default_audience,
        "refresh_strategy": client.refresh_strategy,
        **client.extra,
        "policy": policy_document(client),
    }


def policy_document(client: Client) -> Document:
    """Each knob: the value in force, the kind's default and the clause behind that, and whether it is overridden.

    A refresh strategy other than the family has lives of its own and no other knob.
    """
    strategy, clause = client.refresh_strategy, KINDS[client.kind].clause
    defaults = default_policy(client.kind, strategy)
    rows = {}
    for knob, override in msgspec.structs.asdict(client.overrides).items():
        if strategy != FAMILY and knob not in Lives.__struct_fields__:
            continue
        name = "rotates" if knob == "rotating" else knob
        rows[name] = {
            "value": getattr(client.policy, name),
            "default": getattr(defaults, name),
            "overridden": override is not None,
            "clause": clause if strategy == FAMILY else f"refresh_strategy {strategy}",
        }
    return rows


def created_document(client: Client, client_secret: str | None) -> Document:
    """The one answer that holds the secret (RFC 7591 §3.2.1); 0 says that it has no end."""
    secret = {"client_secret": client_secret, "client_secret_expires_at": 0} if client_secret else {}
    document = client_document(client)
    return {"client_id": document.pop("client_id"), **secret, **document}


def api_document(api: Api) -> Document:
    document = msgspec.structs.asdict(api)
    del document["version"]
    return document


def user_document(user: User) -> Document:
    return {
        "sub": user.subject,
        "username": user.username,
        "enabled": user.enabled,
        "has_password": bool(user.password_hash),
        "claims": user.claims,
        "created_at": user.created_at,
    }


def family_document(family: Family) -> Document:
    authorization = family.authorization
    return {
        "id": family.key.text,
        "client_id": authorization.client_id,
        "sub": authorization.subject,
        "scope": " ".join(authorization.scope),
        "audience": list(authorization.audience),
        "cnf": authorization.cnf.claim(),
        "status": family.status,
        "ended_by": family.ended_by,
        "suspected": family.suspected,
        "generation": family.generation,
        "refreshes": family.refreshes,
        "created_at": authorization.created_at,
        "rotated_at": family.rotated_at,
        "last_used_at": family.last_used_at,
        "idle_until": family.idle_until,
        "absolute_until": family.absolute_until,
        "history": [event_document(event) for event in family.history],
    }


def event_document(event: Event) -> Document:
    return {**msgspec.structs.asdict(event), "told": told(event)}
