"""Attacks on the sign-up page: floods of accounts, names sounded out (rows U1, U2)."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from detent.core.policy import HOUR
from detent.identity.passwords import CHEAP, Passwords
from detent.pages import sign_up
from tests.browsing import Browser
from tests.serving import Detent, running

pytestmark = pytest.mark.slow
HASHED: list[str] = []


class Watched(Passwords):
    async def hash(self, password: str) -> str:
        HASHED.append(password)
        return await super().hash(password)


@pytest.fixture(scope="module")
def behind_a_proxy(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    """So a test has as many addresses as it wants."""
    with running(
        tmp_path_factory.mktemp("open"), keys_folder, sign_up=True, proxies=1, passwords=Watched(CHEAP)
    ) as served:
        yield served


class Robot:
    """One browser, of which each form is sent from the address that is wanted."""

    def __init__(self, detent: Detent, browser: Browser) -> None:
        self._http = browser.http
        page = browser.open("/sign-up")
        self.fields = page.forms[0]["fields"]
        self._own = {"origin": detent.issuer.rstrip("/"), "sec-fetch-site": "same-origin"}

    def asks(self, username: str, peer: str = "192.0.2.1", **headers: str) -> httpx.Response:
        content = {**self.fields, "username": username, "password": "password"}
        return self._http.post("/sign-up", data=content, headers={**self._own, "x-forwarded-for": peer, **headers})


def test_attack_u2_nobody_floods_the_server_with_accounts_or_sounds_out_names(behind_a_proxy: Detent) -> None:
    detent = behind_a_proxy
    with Browser(detent) as browser:
        robot = Robot(detent, browser)
        taken = [robot.asks("test", f"192.0.2.{n}").status_code for n in range(25)]
        made = [robot.asks(f"robot{n}", f"192.0.2.{n}").status_code for n in range(sign_up.AT_ONE_NETWORK - 25)]
        assert (set(taken), set(made)) == ({422}, {303})
        HASHED.clear()
        for name in ("test", "nobody", "robot99"):
            refused = robot.asks(name, "192.0.2.200")
            assert refused.status_code == 429, "a taken name and a free one alike"
            assert refused.headers["retry-after"] == str(HOUR)
            assert "Too many accounts were asked for of late. Try again in 60 minutes." in refused.text
        assert HASHED == [], "and unheard"
        assert detent.thread.call(detent.house.people.named("robot99")) is None
        assert robot.asks("elsewhere", "198.51.100.7").status_code == 303, "others go on"
        assert robot.asks("test", "198.51.100.7").status_code == 422
        detent.clock.advance(HOUR)
        assert robot.asks("later").status_code == 303


def test_attack_u1_a_name_that_is_taken_costs_a_hash_as_one_that_is_free(behind_a_proxy: Detent) -> None:
    """So the time of the answer says no more than its words."""
    with Browser(behind_a_proxy) as browser:
        robot = Robot(behind_a_proxy, browser)
        for name, status in (("test", 422), ("free", 303)):
            HASHED.clear()
            assert robot.asks(name, "203.0.113.1").status_code == status
            assert HASHED == ["password"]
