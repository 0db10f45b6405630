"""A command line, by the device grant: a sign-in elsewhere, five refreshes that rotate, an old token, revocation."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.browsing import Browser
from tests.clients.example import Example
from tests.clients.life import TURNS, good_tokens
from tests.clients.program import Program, client_environment, program

REFUSED = "Unknown or invalid refresh token"
INTERVAL = 5  # seconds


def signed_in(example: Example, running: Program, phone: Browser) -> dict[str, Any]:
    asked = running.went_on("sign in")["asked"]
    assert (asked["interval"], asked["expires_in"]) == (INTERVAL, 600)
    assert running.told("too early")["answer"]["error"] == "authorization_pending"
    page = phone.open(asked["verification_uri_complete"])
    page = phone.log_in(page) if page.path == "/login" else page
    shown = phone.press(page, "device-continue", user_code=asked["user_code"])
    assert shown.texts["user-code"] == asked["user_code"]
    phone.press(shown, "device-confirm")
    example.detent.clock.advance(INTERVAL)
    running.say()
    return good_tokens(example, running, "signed in")


def refused(running: Program) -> None:
    answer = running.went_on("refused")["answer"]
    assert answer["error"] == "invalid_grant"
    assert answer["error_description"].startswith(REFUSED)
    assert answer["support_id"]


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="`sudo apt-get install curl jq`")
def test_curl_signs_in_by_the_device_grant_refreshes_five_times_and_is_refused_an_old_token(
    example: Example, tmp_path: Path
) -> None:
    """A command line is suspected and not ended: its next sign-in by the same person ends what was reused."""
    environment = client_environment(example.detent.issuer, example.registered("curl"))
    with program("curl.sh", tmp_path / "log", environment) as running, Browser(example.detent) as phone:
        chain = [signed_in(example, running, phone)]
        chain += [good_tokens(example, running, "refreshed") for _ in range(TURNS)]
        assert len({each["refresh_token"] for each in chain}) == TURNS + 1, "each turned"
        refused(running)
        suspected = good_tokens(example, running, "refreshed")

        again = signed_in(example, running, phone)
        assert not example.active(suspected["access_token"])
        refused(running)
        assert example.active(again["access_token"])
        running.went_on("revoked")
        assert not example.active(again["access_token"])
        refused(running)
        running.ended()
