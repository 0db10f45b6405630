"""Mission E6–E12: examples/small_app.py in a process of its own, against a house whose clock the test moves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from detent.core.api import Api
from detent.core.ids import Seconds
from detent.core.policy import DAY, MINUTE, Overrides
from detent.identity.throttle import Allowance, Allowances
from tests.examples import ROOT, present, ran, registered, serving
from tests.mission.test_a_tokens import claims_of
from tests.serving import Detent, running

pytestmark = pytest.mark.slow

AUDIENCE, FIRST = "https://small-app.example/", "https://small-app.example/first"
PEOPLE = {"user1": "password1", "user2": "password2"}


class Small:
    def __init__(self, detent: Detent, http: httpx.Client, folder: Path, env: dict[str, str]) -> None:
        self.detent = detent
        self.env = env
        self.http = http
        self.folder = folder

    def login(self, username: str = "user1", password: str = "password1") -> httpx.Response:
        return self.http.post("/login", json={"username": username, "password": password})

    def refresh(self, token: str) -> httpx.Response:
        return self.http.post("/refresh", json={"refreshToken": token})

    def protected(self, token: str) -> httpx.Response:
        return self.http.get("/protected", headers={"Authorization": f"Bearer {token}"})

    def pair(self, username: str = "user1") -> dict[str, Any]:
        answer = self.login(username, PEOPLE[username])
        assert answer.status_code == 200, answer.text
        pair: dict[str, Any] = answer.json()
        assert list(pair) == ["accessToken", "refreshToken"]
        return pair

    def renewed(self, pair: dict[str, Any]) -> dict[str, Any]:
        answer = self.refresh(pair["refreshToken"])
        assert answer.status_code == 200, answer.text
        renewed: dict[str, Any] = answer.json()
        return renewed


def prepared(detent: Detent) -> dict[str, str]:
    """What examples.start registers; the environment that it makes of it."""
    now = detent.clock.now()
    apis = {
        AUDIENCE: Api(AUDIENCE, now, "Small app", access_life=10 * MINUTE),
        FIRST: Api(FIRST, now, "Small app, first minute", access_life=MINUTE),
    }
    for username, password in PEOPLE.items():
        detent.thread.call(detent.house.people.add(username, password, {}))
    env = registered(
        detent,
        "small-app",
        apis=apis,
        grant_types=("password", "refresh_token"),
        scope=(),
        default_audience=AUDIENCE,
        overrides=Overrides(rotating=True, overlap=0, idle=30 * DAY, absolute=30 * DAY),
    )
    return {**env, "AUDIENCE": AUDIENCE, "FIRST_AUDIENCE": FIRST}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Small]:
    folder = tmp_path_factory.mktemp("small")
    with running(folder, keys_folder, clock=present()) as detent:
        env = prepared(detent)
        with serving("small_app", "--port", "0", env=env) as http:
            yield Small(detent, http, folder, env)


def test_e6_the_app_says_what_it_is(small: Small) -> None:
    assert small.http.get("/").json() == {"message": "access_token_refresh_token"}


@pytest.mark.parametrize("username", PEOPLE)
def test_e7_a_login_yields_an_access_token_for_a_minute_and_a_refresh_token_for_30_days(
    small: Small, username: str
) -> None:
    pair = small.pair(username)
    claims = claims_of(pair["accessToken"])
    assert claims["exp"] - claims["iat"] == MINUTE
    family = small.detent.family(pair["refreshToken"], "small-app")
    assert family.absolute_until - family.authorization.created_at == 30 * DAY


@pytest.mark.parametrize(
    ("username", "password"), [("user1", "password2"), ("user1", ""), ("nobody", "password1"), ("", "")]
)
def test_e8_a_wrong_login_is_401(small: Small, username: str, password: str) -> None:
    answer = small.login(username, password)
    if username and password:
        assert (answer.status_code, answer.json()) == (401, {"error": "Invalid username or password"})
    else:
        assert (answer.status_code, answer.json()) == (400, {"error": "The body needs, as strings: username, password"})


def test_e9_the_protected_page_opens_with_a_bearer_token_and_with_nothing_else(small: Small) -> None:
    opened = small.protected(small.pair()["accessToken"])
    assert (opened.status_code, opened.json()["message"]) == (200, "This is the protected message ")
    bare = small.http.get("/protected")
    assert (bare.status_code, bare.json()) == (401, {"error": "Access token not provided"})
    assert bare.headers["www-authenticate"] == "Bearer"


def test_e10_a_bad_or_expired_access_token_is_401(small: Small) -> None:
    pair = small.pair()
    good = pair["accessToken"]
    header, payload, signature = good.split(".")
    for bad in ("garbage", f"{header}.{payload}.", f"{header}.{payload}.{signature[:-8]}AAAAAAAA", f"{payload}.{good}"):
        refused = small.protected(bad)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")
    small.detent.clock.advance(-MINUTE)
    try:
        expired = small.protected(small.pair()["accessToken"])
    finally:
        small.detent.clock.advance(MINUTE)
    assert (expired.status_code, expired.json()["error"]) == (401, "invalid_token")
    assert "expired" in expired.json()["error_description"]


def test_e11_a_refresh_yields_a_new_pair_and_the_old_token_is_dead(small: Small) -> None:
    first = small.pair()
    second = small.renewed(first)
    claims = claims_of(second["accessToken"])
    assert claims["exp"] - claims["iat"] == 10 * MINUTE
    assert set(first.values()).isdisjoint(second.values())
    assert small.protected(second["accessToken"]).status_code == 200
    for wrong in (first["refreshToken"], first["accessToken"], "garbage", "\0", "x" * 60_000):
        answer = small.refresh(wrong)
        assert (answer.status_code, answer.json()) == (401, {"error": "Invalid refresh token"})


@pytest.mark.parametrize("path", ["/login", "/refresh"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"username": 1, "password": {}, "refreshToken": []}',
        b'{"username": "\\ud800", "password": "\\ud800", "refreshToken": "\\ud800"}',
        b'{"a":' * 10_000,
    ],
    ids=["empty", "cut", "list", "bytes", "types", "surrogate", "deep"],
)
def test_e11_a_body_that_is_not_what_is_asked_for_is_400_and_says_what_is(small: Small, path: str, body: bytes) -> None:
    answer = small.http.post(path, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("The body ")
    assert small.http.post(path, content=b" " * 70_000).status_code == 413


def test_e12_the_claim_that_is_signed_is_the_claim_that_is_read(small: Small) -> None:
    for username in PEOPLE:
        first = small.pair(username)
        for pair in (first, small.renewed(first)):
            told = small.protected(pair["accessToken"]).json()["sub"]
            assert told == small.detent.user(username).subject


def test_e12_a_refresh_really_succeeds_again_and_again(small: Small) -> None:
    pair = small.pair()
    for _ in range(5):
        pair = small.renewed(pair)
        assert small.protected(pair["accessToken"]).status_code == 200


def test_e12_a_refresh_token_does_not_open_the_protected_page(small: Small) -> None:
    first = small.pair()
    for pair in (first, small.renewed(first)):
        assert small.protected(pair["refreshToken"]).status_code == 401


def test_e12_tokens_made_in_one_second_differ(small: Small) -> None:
    """The house's clock stands still."""
    pairs = [small.pair() for _ in range(3)]
    pairs += [small.renewed(pair) for pair in pairs]
    assert len({token for pair in pairs for token in pair.values()}) == 12


def test_e12_reuse_is_detected_and_ends_the_thiefs_token_too(small: Small) -> None:
    first = small.pair()
    second = small.renewed(first)
    other = small.pair()
    assert small.refresh(first["refreshToken"]).status_code == 401
    assert small.refresh(second["refreshToken"]).status_code == 401
    assert small.detent.introspect(second["accessToken"]) == {"active": False}
    assert small.refresh(other["refreshToken"]).status_code == 200, "another login is another family"


@pytest.mark.parametrize("app", ["small_app", "secret_api", "token_app", "walk_through"])
def test_e12_no_secret_is_in_the_code_and_without_one_nothing_starts(app: str) -> None:
    told = ran(app)
    assert told.returncode == 1
    assert "is not set. Start the example with `python -m examples.start`" in told.stderr
    code = (ROOT / "examples" / f"{app}.py").read_text()
    for secret in (*PEOPLE.values(), '"test"', '"secret"', "testclient"):
        assert secret not in code


@pytest.mark.sqlite
def test_e12_no_password_is_kept_in_plain(small: Small) -> None:
    small.pair()
    kept = b"".join(path.read_bytes() for path in small.folder.rglob("*") if path.is_file())
    assert b"user1" in kept
    for password in PEOPLE.values():
        assert password.encode() not in kept


def test_e8_who_guesses_too_often_is_told_to_wait(tmp_path: Path, keys_folder: Path) -> None:
    few = Allowances(account_here=Allowance(2, Seconds(60)))
    with (
        running(tmp_path, keys_folder, clock=present(), allowances=few) as detent,
        serving("small_app", "--port", "0", env=(env := prepared(detent))) as http,
    ):
        small = Small(detent, http, tmp_path, env)
        answers = [small.login("user1", "wrong") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [401, 401, 429]
        assert answers[-1].json() == {"error": "Too many attempts"}
        assert 0 < int(answers[-1].headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"CLIENT_SECRET": "wrong"}, "The authorization server refuses this app: invalid_client"),
        ({"ISSUER": "http://127.0.0.1:1/"}, "The authorization server does not answer"),
    ],
)
def test_e8_what_is_wrong_with_the_app_is_not_blamed_on_the_person(
    small: Small, change: dict[str, str], told: str
) -> None:
    with serving("small_app", "--port", "0", env={**small.env, **change}) as http:
        answer = http.post("/login", json={"username": "user1", "password": "password1"})
        assert (answer.status_code, answer.json()) == (503, {"error": told})
