"""Apache before a page: login with PKCE, five refreshes that rotate, a stolen old token, refresh in time, logout."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.browsing import Browser
from tests.cli.conftest import PLAIN
from tests.clients.example import Example
from tests.clients.life import OVERLAP, TURNS
from tests.clients.program import PROGRAMS, client_environment
from tests.examples import free_port
from tests.mission.test_a_tokens import claims_of

MODULE: Final = Path("/usr/lib/apache2/modules/mod_auth_openidc.so")
CALLBACK: Final = "/oidc/callback"
USUAL: Final = "127.0.0.1:8080"


class Apache:
    """A browser at it, and at the server to sign in."""

    def __init__(self, url: str, http: httpx.Client, browser: Browser) -> None:
        self.url = url
        self.http = http
        self.browser = browser

    def open_app(self) -> httpx.Response:
        """The page that Apache guards, after signing in if it asks for that."""
        answer = self.http.get("/app/")
        if answer.status_code == 302:
            page = self.browser.open(answer.headers["location"])
            if page.path == "/login":
                page = self.browser.log_in(page)
            back = self.http.get(self.browser.allow(page).location)
            assert (back.status_code, back.headers["location"]) == (302, f"{self.url}/app/"), back.text
            answer = self.http.get("/app/")
        return answer

    def tokens(self) -> dict[str, Any]:
        told: dict[str, Any] = self.http.get(CALLBACK, params={"info": "json"}).json()
        return told

    def refresh(self) -> dict[str, list[str]]:
        """What the hook adds to the address to return to: nothing, or an error."""
        parameters = {"refresh": f"{self.url}/app/", "access_token": self.tokens()["access_token"]}
        answer = self.http.get(CALLBACK, params=parameters)
        assert answer.status_code == 302
        return parse_qs(urlsplit(answer.headers["location"]).query)


@pytest.fixture
def registration(example: Example) -> tuple[str, Mapping[str, Any]]:
    """Where Apache listens, and what is registered of it."""
    host = f"127.0.0.1:{free_port()}"
    return host, example.registered("mod-auth-openidc", **{USUAL: host})


@pytest.fixture
def apache(example: Example, registration: tuple[str, Mapping[str, Any]]) -> Iterator[Apache]:
    host, document = registration
    with (
        serving(host, client_environment(example.detent.issuer, document)) as url,
        Browser(example.detent) as browser,
        httpx.Client(base_url=url, timeout=120) as http,
    ):
        yield Apache(url, http, browser)


@contextmanager
def serving(host: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Apache in a folder that its unprivileged processes can read, until the block ends. Skips."""
    if not MODULE.exists():
        pytest.skip("no Apache: `sudo apt-get install apache2-bin libapache2-mod-auth-openidc`")
    apache2 = shutil.which("apache2", path=f"{os.environ['PATH']}:/usr/sbin")
    assert apache2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for page in ("app", "signed-out"):
            (folder / "pages" / page).mkdir(parents=True)
            (folder / "pages" / page / "index.html").write_text(f"<!doctype html><title>{page}</title>")
        told = {"FOLDER": name, "HOST": host, "PASSPHRASE": "of the test", **environment}
        command = [apache2, "-f", str(PROGRAMS / "mod-auth-openidc.conf"), "-D", "FOREGROUND"]
        started = subprocess.Popen(command, env={**PLAIN, **told})
        try:
            while not _listens(host):
                assert started.poll() is None, "Apache ended; it says why above"
                time.sleep(0.05)
            yield f"http://{host}"
        finally:
            started.terminate()
            started.wait(timeout=120)
            sys.stderr.write((folder / "log").read_text() if (folder / "log").exists() else "no log")


def _listens(host: str) -> bool:
    name, port = host.split(":")
    try:
        socket.create_connection((name, int(port))).close()
    except ConnectionRefusedError:
        return False
    return True


def test_mod_auth_openidc_signs_in_refreshes_five_times_and_signs_out(example: Example, apache: Apache) -> None:
    assert apache.open_app().headers["x-person"] == "test"
    chain = [apache.tokens()]
    for _ in range(TURNS):
        example.detent.clock.advance(OVERLAP + 1)
        assert apache.refresh() == {}
        chain.append(apache.tokens())
        assert example.secret_area(chain[-1]["access_token"]) == 200
        assert example.active(chain[-1]["access_token"])
    assert len({each["refresh_token"] for each in chain}) == TURNS + 1, "each turned"
    assert {claims_of(each["access_token"])["sub"] for each in chain} == {chain[0]["userinfo"]["sub"]}

    leaving = apache.http.get(CALLBACK, params={"logout": f"{apache.url}/signed-out/"})
    assert apache.browser.open(leaving.headers["location"]).location == f"{apache.url}/signed-out/"
    assert not example.active(chain[-1]["access_token"]), "it revoked its refresh token"
    assert apache.browser.open(apache.http.get("/app/").headers["location"]).path == "/login"


def test_mod_auth_openidc_tells_of_a_refused_refresh_after_an_old_token_was_used(
    example: Example, registration: tuple[str, Mapping[str, Any]], apache: Apache
) -> None:
    apache.open_app()
    stolen = apache.tokens()["refresh_token"]
    for _ in range(2):
        example.detent.clock.advance(OVERLAP + 1)
        assert apache.refresh() == {}
    _, document = registration
    form = {"grant_type": "refresh_token", "refresh_token": stolen}
    secret = (document["client_id"], document["client_secret"])
    assert example.detent.http.post("/oauth/token", data=form, auth=secret).json()["error"] == "invalid_grant"
    assert apache.refresh() == {"error_code": ["refresh_failed"]}


def test_mod_auth_openidc_refreshes_in_time_and_signs_out_when_that_is_refused(
    example: Example, registration: tuple[str, Mapping[str, Any]], apache: Apache
) -> None:
    """An access token of 30 seconds is always in its last minute."""
    _, document = registration
    example.updated(document["client_id"], "--access-life", "30")
    apache.open_app()
    before = apache.tokens()["access_token"]
    assert apache.http.get("/app/").status_code == 200
    after = apache.tokens()
    assert after["access_token"] != before
    secret = (document["client_id"], document["client_secret"])
    example.detent.http.post("/oauth/revoke", data={"token": after["refresh_token"]}, auth=secret)
    assert apache.http.get("/app/").headers["location"] == f"{apache.url}/signed-out/"
    assert apache.open_app().headers["x-person"] == "test", "without a page: the session lives"
