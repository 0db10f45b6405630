"""Mission A16: sliding sessions. The idle lifetime extends with use; after inactivity policy decides. Over HTTP."""

from pathlib import Path

import pytest

from detent.core.ids import Seconds
from detent.core.policy import DAY, HOUR
from detent.core.session import SessionPolicy
from tests.browsing import Browser
from tests.serving import Detent, running

pytestmark = pytest.mark.quick

IDLE = SessionPolicy(idle=Seconds(2 * HOUR), absolute=Seconds(DAY))


@pytest.fixture
def sliding(tmp_path: Path, keys_folder: Path) -> object:
    with running(tmp_path, keys_folder, session_policy=IDLE) as served:
        yield served


def test_a16_the_idle_life_of_a_session_extends_with_use(sliding: Detent) -> None:
    with Browser(sliding) as browser:
        browser.tokens()
        for _ in range(8):
            sliding.clock.advance(HOUR)
            assert "code" in browser.authorize(prompt="none").answer
        sliding.clock.advance(2 * HOUR)
        assert browser.authorize(prompt="none").answer["error"] == "login_required"


def test_a16_a_refresh_is_a_use_of_the_session_that_its_family_ends_with(sliding: Detent) -> None:
    with Browser(sliding) as browser:
        tokens = browser.tokens()
        for _ in range(8):
            sliding.clock.advance(HOUR)
            tokens = sliding.refreshed("spa", tokens["refresh_token"])
        assert "code" in browser.authorize(prompt="none").answer


def test_a16_nothing_extends_a_session_beyond_its_absolute_end(sliding: Detent) -> None:
    with Browser(sliding) as browser:
        tokens = browser.tokens()
        for _ in range(23):
            sliding.clock.advance(HOUR)
            tokens = sliding.refreshed("spa", tokens["refresh_token"])
        sliding.clock.advance(HOUR)
        assert sliding.refresh("spa", tokens["refresh_token"]).json()["error"] == "invalid_grant"
        assert browser.authorize(prompt="none").answer["error"] == "login_required"


def test_a16_after_inactivity_only_a_new_sign_in_goes_on_where_the_family_ends_with_the_session(
    sliding: Detent,
) -> None:
    with Browser(sliding) as browser:
        tokens = browser.tokens()
        sliding.clock.advance(2 * HOUR)
        assert sliding.refresh("spa", tokens["refresh_token"]).json()["error"] == "invalid_grant"
        assert browser.authorize().path == "/login"
        assert sliding.refresh("spa", browser.tokens()["refresh_token"]).status_code == 200


def test_a16_after_inactivity_the_refresh_token_goes_on_where_it_may_be_used_offline(sliding: Detent) -> None:
    with Browser(sliding) as browser:
        tokens = browser.tokens(scope="openid read offline_access")
        sliding.clock.advance(2 * HOUR)
        assert browser.authorize(prompt="none").answer["error"] == "login_required"
        assert sliding.refresh("spa", tokens["refresh_token"]).status_code == 200


def test_a16_the_idle_life_of_a_refresh_token_extends_with_use(detent: Detent) -> None:
    """The browser kind's own idle life: 12 hours."""
    with Browser(detent) as browser:
        tokens = browser.tokens(scope="openid read offline_access")
        for _ in range(5):
            detent.clock.advance(11 * HOUR)
            tokens = detent.refreshed("spa", tokens["refresh_token"])
        detent.clock.advance(12 * HOUR)
        assert detent.refresh("spa", tokens["refresh_token"]).json()["error"] == "invalid_grant"
