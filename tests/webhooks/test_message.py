"""What is sent: the published example of Standard Webhooks, and no more than the audit log holds."""

import base64
import json

import pytest

from detent.core.audit import AuditRow
from detent.core.ids import Instant
from detent.core.webhook import SecretSeed
from detent.webhooks.message import body_of, signed_headers

pytestmark = pytest.mark.quick


def test_the_signature_is_that_of_the_published_example() -> None:
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", Instant(1_614_265_330), body, [secret])
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330")


def test_the_body_has_what_the_log_holds_and_a_sentence() -> None:
    stored = '{"name":"reuse_detected","at":1790000000,"about":"f","client_id":"app","presented":4}'
    assert json.loads(body_of(AuditRow(7, 1790000000, "reuse_detected", "f", stored))) == {
        "type": "reuse_detected",
        "timestamp": "2026-09-21T14:13:20Z",
        "data": {
            "seq": 7,
            "at": 1790000000,
            "about": "f",
            "client_id": "app",
            "presented": 4,
            "told": "Refresh token 4 had been used before and was presented again: one of the two holders is a thief, "
            "so the whole family ended.",
        },
    }


def test_an_event_of_a_newer_release_is_sent_as_it_is_stored() -> None:
    stored = '{"name":"moon_phase","at":1790000000,"about":"f","shape":"full"}'
    assert json.loads(body_of(AuditRow(7, 1790000000, "moon_phase", "f", stored))) == {
        "type": "moon_phase",
        "timestamp": "2026-09-21T14:13:20Z",
        "data": {"seq": 7, "at": 1790000000, "about": "f", "shape": "full"},
    }


def test_attack_l1_no_repr_shows_what_a_secret_is_made_of() -> None:
    assert "salt=***" in repr(SecretSeed(1, b"0123456789abcdef"))
    assert "0123456789abcdef" not in repr(SecretSeed(1, b"0123456789abcdef"))
