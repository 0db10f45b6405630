"""Mission A8–A13 by the example: examples/secret_api.py and walk_through.py, each a process of its own."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.examples import present, ran, serving
from tests.serving import API, SECRET, Detent, running

pytestmark = pytest.mark.slow


class Walk:
    def __init__(self, detent: Detent, http: httpx.Client) -> None:
        self.detent = detent
        self.http = http
        self.env = {"ISSUER": detent.issuer, "CLIENT_ID": "testclient", "CLIENT_SECRET": SECRET}
        self.env |= {"APP_USER": "test", "APP_PASSWORD": "test"}

    def secret(self, access_token: str) -> httpx.Response:
        return self.http.get("/secret", headers={"Authorization": f"Bearer {access_token}"})


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("walk")
    with (
        running(folder, keys_folder, clock=present()) as detent,
        serving("secret_api", "--port", "0", env={"ISSUER": detent.issuer, "AUDIENCE": API}) as http,
    ):
        yield Walk(detent, http)


def test_a10_to_a13_the_walk_through_as_a_program(walk: Walk) -> None:
    told = ran("walk_through", "--api", str(walk.http.base_url), env=walk.env)
    assert (told.returncode, told.stderr) == (0, "")
    assert [line for line in told.stdout.splitlines() if line.startswith(" ")] == [
        "  a Bearer access token for 3600 s, and a refresh token",
        "  200 This is the secret area.",
        "  401 invalid_token",
        "  a Bearer access token for 3600 s, and a refresh token",
        "  200 This is the secret area.",
        "  400 invalid_grant",
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"CLIENT_SECRET": "wrong"}, "oauth/token answered 401, not 200"),
        ({"APP_PASSWORD": "wrong"}, "oauth/token answered 400, not 200"),
        ({"ISSUER": "http://127.0.0.1:1/"}, "Are ./up and secret_api.py running?"),
    ],
)
def test_a10_a_walk_through_that_goes_another_way_says_where(walk: Walk, change: dict[str, str], told: str) -> None:
    ended = ran("walk_through", env={**walk.env, **change})
    assert ended.returncode == 1
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a12_an_expired_token_is_401_at_an_api_that_asks_nobody(walk: Walk) -> None:
    walk.detent.clock.advance(-3600)
    try:
        expired = walk.secret(walk.detent.sign_in()["access_token"])
    finally:
        walk.detent.clock.advance(3600)
    assert (expired.status_code, expired.json()["error"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in expired.headers["www-authenticate"]


def test_a8_the_examples_page_is_closed_without_a_token_and_to_one_with_too_little_scope(walk: Walk) -> None:
    assert walk.http.get("/").status_code == 200
    assert walk.http.get("/secret").status_code == 401
    little = walk.secret(walk.detent.sign_in(scope="write")["access_token"])
    assert (little.status_code, little.json()["error"]) == (403, "insufficient_scope")
    lost = walk.http.get("/nowhere")
    assert (lost.status_code, lost.json()) == (404, {"error": "Not Found"})
