"""Attack rows H8-H11, H13, H14: paths, patterns, SQL, deep JSON, line breaks, work that would stop everybody else."""

import asyncio
import importlib
import json
import pkgutil
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import detent
from tests.attacks.outcomes import assert_refused, assert_unharmed, signed_in
from tests.attacks.wire import Answer, posted
from tests.browsing import Browser, request_of
from tests.serving import Detent

BREAK = "x\r\nset-cookie: thief=1\r\n\r\n<h1>"
SQL = (
    "' OR '1'='1",
    "'; DROP TABLE client; --",
    '" OR 1=1 --',
    "\\' UNION SELECT seed FROM authorization --",
    "%",
    "_",
)
WORST = (
    "a" * 20_000,
    "%" * 20_000,
    "a=" * 10_000,
    " " * 20_000 + "!",
    "-" * 20_000,
    "(" * 20_000,
    "1." * 10_000,
    "é" * 20_000,
)


# H8


@pytest.mark.parametrize(
    "path",
    [
        "/oauth/../oauth/token",
        "/oauth/./token",
        "//oauth/token",
        "/oauth//token",
        "/oauth/token/",
        "/OAuth/token",
        "/oauth/token;a=b",
        "/oauth%2Ftoken",
        "/oauth/%74oken",
        "/oauth/token%00",
        "/static/../../app.py",
        "/static/..%2f..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/....//app.py",
        "/static//etc/passwd",
        "/oauth/status-lists/../token",
        "/.well-known/jwks.json/x",
        "/.well-known\\jwks.json",
    ],
)
def test_attack_h8_a_path_has_one_spelling(standing: Detent, path: str) -> None:
    """So that what a proxy lets through by its spelling is what is served."""
    host = urlsplit(standing.issuer).netloc
    for method in ("GET", "POST"):
        head = f"{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        assert Answer(standing, head.encode()).status_code == 404, method


# H9


def patterns() -> dict[str, re.Pattern[Any]]:
    found = {}
    for module in pkgutil.walk_packages(detent.__path__, "detent."):
        if module.name.endswith("__main__"):  # runs
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                found[f"{value.pattern!r} in {module.name}.{name}"] = value
    return found


def test_attack_h9_every_pattern_takes_linear_time() -> None:
    """20,000 characters: quadratic time is half a second and more, exponential time for ever; linear is 0.02 s."""
    assert len(patterns()) > 10
    for name, pattern in patterns().items():
        for text in WORST:
            given = text.encode() if isinstance(pattern.pattern, bytes) else text
            began = time.thread_time()
            for ask in (pattern.search, pattern.match, pattern.fullmatch):
                ask(given)
            assert time.thread_time() - began < 0.25, (name, text[:10])


# H10


@pytest.mark.parametrize("text", SQL)
def test_attack_h10_sql_in_any_parameter_is_only_text(standing: Detent, text: str) -> None:
    """There are no cursors and no page sizes in anything that is public."""
    mine = signed_in(standing, "app")
    for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/par", "/oauth/device/code"):
        for name in ("client_id", "grant_type", "refresh_token", "token", "scope", "resource", "code", "username"):
            form: dict[str, Any] = {
                "grant_type": "refresh_token",
                "token": "x",
                "scope": "read",
                "password": "test",
                name: text,
            }
            assert standing.post(path, None, **form).status_code in (200, 400, 401), (path, name)
            if name != "client_id":
                assert standing.post(path, "testclient", **form).status_code in (200, 400, 401), (path, name)
    with Browser(standing) as browser:
        page = browser.authorize()
        assert browser.log_in(page, text, text).status in (422, 429)
        for name in ("client_id", "redirect_uri", "scope", "resource", "login_hint", "state"):
            assert browser.http.get("/authorize", params=request_of("spa") | {name: text}).status_code in (303, 400)
    assert_unharmed(standing, "app", [mine])


# H11


@pytest.mark.parametrize(
    "claims",
    [
        '{"id_token":' * 5_000,
        '{"id_token":' * 5_000 + "null" + "}" * 5_000,
        "[" * 30_000,
        '{"id_token":{"name":{"values":[' + ",".join(["1"] * 20_000) + "]}}}",
        '{"userinfo": {"x": 1e999}}',
        "\ud83d".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_attack_h11_oidc_5_5_claims_of_any_depth_and_size_are_a_bad_request(standing: Detent, claims: str) -> None:
    """Within what a body may hold at all (H2)."""
    with Browser(standing) as browser:
        page = browser.authorize("spa", method="POST", scope="openid read", claims=claims)
        assert page.answer["error"] == "invalid_request" if page.status == 303 else page.error == "invalid_request"


def test_attack_h11_languages_that_are_none_are_ignored(standing: Detent) -> None:
    with Browser(standing) as browser:
        for text in ("xx-XX " * 1_000, "\u202e", "../../en", "e" * 5_000):
            page = browser.authorize("spa", method="POST", ui_locales=text, claims_locales=text, display="page")
            assert page.path == "/login"


# H13


def test_attack_h13_rfc9112_11_1_no_value_ends_a_header(standing: Detent) -> None:
    with Browser(standing) as browser:
        for name in ("state", "nonce", "login_hint", "scope", "response_type", "prompt", "ui_locales", "redirect_uri"):
            page = browser.authorize("spa", method="POST", **{name: BREAK})
            for answer in browser.passed:
                told = "\n".join(f"{key}: {value}" for key, value in answer.headers.items())
                assert "thief=1\n" not in told + "\n", name
                assert "thief" not in answer.headers.get("set-cookie", ""), name
            assert BREAK not in page.text
    for name in ("grant_type", "scope", "resource", "client_id", "x"):
        form = {"grant_type": "refresh_token", "refresh_token": "x", name: BREAK}
        answer = posted(standing, "/oauth/token", json.dumps(form), content_type="application/json")
        assert "thief" not in "".join(answer.headers.values())


# H14


def test_attack_h14_nothing_holds_up_the_loop(
    standing: Detent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a callback takes of the processor, which others that run on this machine do not change."""
    took: dict[str, float] = {}
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        seconds = time.thread_time() - began
        name = repr(handle)
        took[name] = max(seconds, took.get(name, 0))

    monkeypatch.setattr(asyncio.Handle, "_run", timed)
    big = json.dumps({f"member-{number}": "x" * 600 for number in range(90)})
    with Browser(standing) as browser:
        page = browser.authorize()
        browser.log_in(page, "test", "wrong")
        browser.authorize("spa", method="POST", scope="openid", claims='{"id_token":' + "[" * 30_000)
    for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect"):
        posted(standing, path, big, content_type="application/json")
        posted(standing, path, "[" * 60_000, content_type="application/json")
        posted(standing, path, "&".join(f"p{n}=%41" for n in range(99)) + "&x=" + "%41" * 20_000,
               content_type="application/x-www-form-urlencoded")  # fmt: skip
    standing.http.get("/.well-known/jwks.json")
    signed_in(standing, "testclient")
    assert len(took) > 10
    slowest = max(took, key=lambda name: took[name])
    assert took[slowest] < 0.05, slowest


def test_attack_h14_a_wrong_password_is_refused_like_any_other(standing: Detent) -> None:
    """The control: the house of the test above is one that answers."""
    assert_refused(
        standing.token("testclient", grant_type="password", username="test", password="wrong"), "invalid_grant"
    )
