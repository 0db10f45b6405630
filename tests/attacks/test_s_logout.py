"""Attacks through logout tokens (rows S1, S7, X4): where they go, how many, and what one that was taken is good for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detent.core.api import SIGNING_ALGS
from detent.core.changes import InsertRecord
from detent.core.ids import ClientId, Subject
from detent.core.logout import OwedLogout
from detent.testing.server import Loopback
from detent.web.asgi import Receive, Scope, Send
from detent.webhooks.logouts import AT_ONCE, AT_ONE_APP, PORTION, PORTIONS
from tests import decrypting
from tests.logging_out import LogoutReceiver, app, backlog, claims_of, deliver, opened, register, signed_in, told
from tests.mission.test_a_tokens import claims_of as unverified
from tests.serving import START, Detent, running


@pytest.fixture
def detent(tmp_path: Path, keys_folder: Path) -> Iterator[Detent]:
    with told(tmp_path, keys_folder, seconds=0.5, store="memory") as served:
        yield served


class Hanging:
    """An app that takes connections and never answers; `most` is how many there were at once."""

    def __init__(self) -> None:
        self.at = Loopback()
        self.here = self.most = self.came = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.here, self.came = self.here + 1, self.came + 1
        self.most = max(self.most, self.here)
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self.here -= 1


def owe(detent: Detent, name: str, count: int) -> None:
    """As so many sessions that ended would; the times are earlier than anybody else's."""
    owed = [OwedLogout(f"{name}-{n:05}", ClientId(name), Subject("someone"), f"sid-{n}", START) for n in range(count)]
    detent.apply(*(InsertRecord(each.due(START)) for each in owed))


@pytest.mark.slow
def test_attack_s7_ten_thousand_logouts_at_an_app_that_hangs_keep_nobody_else_waiting(detent: Detent) -> None:
    hanging = Hanging()
    detent.thread.serve(hanging, hanging.at)
    register(detent, "hanging", hanging.at.url)
    owe(detent, "hanging", 10_000)
    chat = app(detent, "chat")
    detent.clock.advance(1)  # whoever comes now is last in the queue
    browser, tokens = signed_in(detent, "chat")
    browser.open("/oidc/logout", params={"id_token_hint": tokens["chat"]["id_token"]})
    deliver(detent)
    assert hanging.came == hanging.most == AT_ONE_APP
    for _ in range(10_000 // (PORTION * PORTIONS) + 1):
        deliver(detent)
    assert len(chat.all()) == 1
    assert hanging.came == AT_ONE_APP, "it rests, with all that it is owed"
    assert backlog(detent) == 1000, "as many as the list tells of; nothing was dropped"


def test_attack_s7_however_many_apps_there_are_few_are_asked_at_once(detent: Detent) -> None:
    apps = [Hanging() for _ in range(3)]
    for number in range(AT_ONCE):
        hanging = apps[number % len(apps)]
        register(detent, f"app-{number}", hanging.at.url)
        owe(detent, f"app-{number}", 2)
    for hanging in apps:
        detent.thread.serve(hanging, hanging.at)
    deliver(detent)
    assert sum(hanging.came for hanging in apps) == AT_ONCE


@pytest.mark.slow
def test_attack_s7_each_app_gets_a_token_for_itself_alone_by_its_own_algorithm_key_and_subject(
    tmp_path: Path, keys_folder: Path
) -> None:
    with told(tmp_path, keys_folder, store="memory") as detent:
        apps: dict[str, LogoutReceiver] = {
            alg: app(detent, alg, id_token_signed_response_alg=alg) for alg in SIGNING_ALGS
        }
        key = decrypting.key_for("ECDH-ES")
        asked: dict[str, Any] = {"id_token_encrypted_response_alg": "ECDH-ES", "jwks": decrypting.jwks_of(key)}
        apps["sealed"] = app(detent, "sealed", **asked)
        apps["pairwise"] = app(
            detent, "pairwise", subject_type="pairwise", sector_identifier_uri="https://sector.example/"
        )
        browser, tokens = signed_in(detent, *apps)
        left = browser.open("/oidc/logout", params={"id_token_hint": tokens["pairwise"]["id_token"]})
        assert left.path == "/signed-out", "its own sid is a hint"
        deliver(detent)
        deliver(detent)
        known_as = {}
        for name, receiver in apps.items():
            token = receiver.one()
            known = tokens[name]["id_token"]
            if name == "sealed":
                (header, token), known = decrypting.opened(token, key), decrypting.opened(known, key)[1]
                assert header["alg"] == "ECDH-ES"
            claims = claims_of(detent, token, name, (name if name in SIGNING_ALGS else "RS256",))
            for said in (unverified(known), unverified(tokens[name]["access_token"])):
                assert (said["sub"], said["sid"]) == (claims["sub"], claims["sid"])
            known_as[name] = claims["sub"], claims["sid"]
        assert len(set(known_as.values())) == 2
        assert not set(known_as["pairwise"]) & set(known_as["RS256"]), "nothing in common to join them by"


@pytest.mark.slow
def test_attack_x4_a_logout_token_that_was_taken_opens_nothing(tmp_path: Path, keys_folder: Path) -> None:
    with told(tmp_path, keys_folder, store="memory") as detent:
        chat = app(detent, "chat")
        browser, tokens = signed_in(detent, "chat")
        browser.open("/oidc/logout", params={"id_token_hint": tokens["chat"]["id_token"]})
        deliver(detent)
        token = chat.one()
        assert detent.secret(token).status_code == 401
        assert detent.http.get("/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        assert detent.introspect(token) == {"active": False}
        assert detent.refresh("chat", token).json()["error"] == "invalid_grant"
        assert detent.redeem("chat", token).json()["error"] == "invalid_grant"
        again = opened(detent)
        again.tokens("chat", scope="openid")
        assert again.open("/oidc/logout", params={"id_token_hint": token}).path == "/logout", "a page asks: no hint"


def test_attack_s1_a_logout_token_is_not_sent_inside(tmp_path: Path, keys_folder: Path) -> None:
    with running(tmp_path, keys_folder, "memory") as detent:
        receiver = app(detent, "inside")  # on loopback, and this house may not go there
        named = {"inside-too": "https://169.254.169.254/latest", "inside-again": "https://[::ffff:10.0.0.1]/"}
        for name, uri in named.items():
            register(detent, name, uri)
        browser, tokens = signed_in(detent, "inside", *named)
        browser.open("/oidc/logout", params={"id_token_hint": tokens["inside"]["id_token"]})
        deliver(detent)
        assert receiver.all() == []
        assert backlog(detent) == 3
