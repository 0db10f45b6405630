"""What is sent, and how the receiver knows that it is from us.

Source: Standard Webhooks 1.0.0 (https://github.com/standard-webhooks/standard-webhooks): `webhook-id` is the same for
every attempt, the signature is HMAC-SHA256 over id, time and body, several of them while a secret is being replaced.
Rule: no body holds a secret; events never do.
"""

import base64
import hmac
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from detent.core.audit import AuditRow
from detent.core.events import Event, told
from detent.core.ids import Instant
from detent.core.webhook import SecretSeed, Webhook
from detent.ports import Keys

SECRET_PREFIX: Final = "whsec_"
SALT_BYTES: Final = 16
_PURPOSE: Final = b"detent webhook secret 1\n"


def secret_of(seed: SecretSeed, webhook_id: str, keys: Keys) -> bytes | None:
    """32 bytes; None once the key is gone."""
    key = keys.audit_keys().keys.get(seed.key)
    return hmac.digest(key, _PURPOSE + webhook_id.encode() + seed.salt, "sha256") if key else None


def shown(secret: bytes) -> str:
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def live_secrets(webhook: Webhook, keys: Keys, now: Instant) -> list[bytes]:
    """Those that sign now, the newest first."""
    live = [seed for seed in webhook.secrets if seed.until is None or now < seed.until]
    return [secret for seed in live if (secret := secret_of(seed, webhook.id, keys))]


def body_of(row: AuditRow) -> bytes:
    """Raises msgspec.MsgspecError for a row that cannot be read; one of a newer release lacks its sentence."""
    fields = msgspec.json.decode(row.body, type=dict[str, Any])
    with suppress(msgspec.ValidationError):
        fields["told"] = told(msgspec.convert(fields, Event))
    fields.pop("name", None)
    return _body(row.name, row.at, {"seq": row.seq, **fields})


def test_body(now: Instant) -> bytes:
    return _body("test", now, {"told": "Somebody asked for a test of this webhook."})


def _body(kind: str, at: int, data: dict[str, Any]) -> bytes:
    timestamp = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    return msgspec.json.encode({"type": kind, "timestamp": timestamp, "data": data})


def signed_headers(message_id: str, now: Instant, body: bytes, secrets: list[bytes]) -> dict[str, str]:
    signed = f"{message_id}.{now}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in secrets]
    return {
        "content-type": "application/json",
        "user-agent": "detent",
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
