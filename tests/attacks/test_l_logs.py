"""Attack on logs, answers and reprs (row L1): canary secrets go everywhere and show up nowhere.

Cookies and assertions come with sessions and private_key_jwt, metrics and traces with operations, row L2 with the
tests of the log.
"""

import base64
import contextlib
import io
import logging
from collections.abc import Iterator

import httpx
import pytest

from detent.client_auth.guesses import WINDOW
from detent.core.exchange import Form, Request, TokenResponse
from detent.core.family import Origin
from detent.registry.requests import Claim, TokenRequest
from detent.sinks.log import LogSink, logging_to
from tests.attacks.canary import CLIENT_SECRET, WRONG, Life
from tests.serving import START, Detent

pytestmark = pytest.mark.slow

ONE_OF_A_KIND = (
    "password", "client secret", "retry key", "code", "first access_token", "third refresh_token", "first id_token",
    "opaque access_token",
)  # fmt: skip
WRONG_PLACES = (
    {"grant_type": "refresh_token", "refresh_token": "@"},
    {"grant_type": "authorization_code", "code": "@"},
    {"grant_type": "authorization_code", "code": "x", "code_verifier": "@"},
    {"grant_type": "password", "username": "canary", "password": "@"},
    {"grant_type": "password", "username": "@", "password": WRONG},
    {"grant_type": "client_credentials", "client_secret": "@", "client_id": "canary"},
    {"grant_type": "client_credentials", "client_id": "@"},
    {"grant_type": "@"},
    {"token": "@"},
    {"token": "@", "token_type_hint": "@"},
    {"grant_type": "refresh_token", "refresh_token": "x", "retry_key": "@"},
)


def provoked(life: Life, secret: str) -> Iterator[httpx.Response]:
    """Refusals of requests that hold the secret in every place that a form, a header or a URL has."""
    http = life.detent.http
    basic = base64.b64encode(f"canary:{secret}".encode()).decode()
    for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect"):
        for place in WRONG_PLACES:
            form = {name: value.replace("@", secret) for name, value in place.items()}
            yield http.post(path, json=form)
            yield http.post(path, data=form, headers={"Authorization": f"Basic {basic}"})
        yield http.post(path, content=f'{{"token":"{secret}"', headers={"Content-Type": "application/json"})
        yield http.post(
            path, content=f"token={secret}&x=%zz", headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
        yield http.post(path, content=f"token={secret}", headers={"Content-Type": "text/plain"})
        yield http.post(path, content=f"token={secret}&token={secret}")
        yield http.post(path, data={"grant_type": "x"}, params={"refresh_token": secret, "token": secret})
        yield http.get(path, params={"code": secret, "password": secret})
    for where in (http, life.detent.api):
        for route in ("/userinfo", "/secret", "/opaque/secret"):
            yield where.get(route, headers={"Authorization": f"Bearer {secret}x"})
            yield where.get(route, params={"access_token": secret})
    yield http.get(f"/{secret[:200]}")


@contextlib.contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """The product's own log, opened to DEBUG and to every library; less what the test's HTTP client logs."""
    log = io.StringIO()
    clients = [logging.getLogger(name) for name in ("httpx", "httpcore")]
    with logging_to(log, "debug"):
        logging.getLogger().setLevel(logging.DEBUG)
        for each in clients:
            each.setLevel(logging.WARNING)
        yield log
    for each in clients:
        each.setLevel(logging.NOTSET)


def test_attack_l1_no_secret_reaches_a_log_at_debug_or_an_answer_that_refuses(detent: Detent) -> None:
    with everything_logged() as log:
        life = Life(detent)
        answers = [answer for name in ONE_OF_A_KIND for answer in provoked(life, life.secrets[name])]
        for event in detent.sink.events:
            LogSink().emit(event)
        detent.clock.advance(WINDOW)  # so many were provoked that the client is no longer heard from here
        detent.thread.call(detent.store.close())
        answers += [life.ask(grant_type="refresh_token", refresh_token=life.secrets["third refresh_token"])]
    assert answers[-1].status_code == 503
    refused = [answer for answer in answers if answer.status_code >= 400]
    assert len(refused) > 500
    assert not [answer for answer in refused if answer.status_code == 500]

    logged = log.getvalue()
    told = "\n".join(map(repr, detent.sink.events))
    shown = "\n".join(f"{answer.text} {answer.headers}" for answer in refused)

    ids = {answer.json()["support_id"] for answer in refused if "support_id" in answer.json()}
    assert sum(each in logged for each in ids) > 300, "the log was on, and tells of refusals"
    assert "code_replayed" in told
    assert "code_replayed" in logged
    for name, secret in life.needles():
        for where, text in (("log", logged), ("events", told), ("answers", shown)):
            assert secret not in text, f"the {name} stands in the {where}"


def test_attack_l1_no_secret_shows_in_the_repr_of_what_carries_it(detent: Detent) -> None:
    life = Life(detent)
    secrets = life.secrets
    form = Form({name.replace(" ", "_"): secret for name, secret in secrets.items()})
    body = "&".join(f"{name}={secret}" for name, secret in form.items()).encode()
    headers = {"authorization": f"Basic {CLIENT_SECRET}", "x": secrets["first access_token"]}
    registered = detent.thread.call(detent.store.client("canary"))
    family = detent.family(secrets["third refresh_token"], "canary")
    handle = detent.house.handles.open_refresh(secrets["third refresh_token"], "canary")
    keys = detent.house.outside.keys
    carriers: list[object] = [
        Request("POST", "/oauth/token", f"token={secrets['code']}", headers, body, "127.0.0.1", "support"),
        form,
        Claim("canary", "client_secret_basic", CLIENT_SECRET),
        registered,
        family,
        life.person,
        TokenResponse(secrets["first access_token"], "Bearer", 1, "read", secrets["first refresh_token"]),
        TokenRequest(form, registered, START, Origin(), "127.0.0.1", "support"),
        handle,
        keys.handle_keys(),
        keys.pepper(),
    ]
    raw = [family.seed, *keys.handle_keys().keys.values(), *keys.pepper().keys.values()]
    hidden = [life.person.password_hash, *(repr(secret)[2:-1] for secret in raw)]
    for carrier in carriers:
        for shown in (repr(carrier), str(carrier), f"{carrier}"):
            for name, secret in life.needles():
                assert secret not in shown, f"the {name} shows in {type(carrier).__name__}"
            assert not [secret for secret in hidden if secret in shown]
