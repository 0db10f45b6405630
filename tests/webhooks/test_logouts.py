"""Whatever ends a session, every app that got an ID token in it gets a logout token, at least once (OpenID Connect
Back-Channel Logout 1.0).
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from detent.admin.families import Families
from detent.audit.chain import Chain
from detent.audit.prune import prune
from detent.core.errors import InvalidRequest
from detent.core.ids import Seconds
from detent.core.retrying import LEASE
from detent.core.session import SessionPolicy
from detent.testing.clock import ManualClock
from detent.testing.server import ServerThread
from detent.webhooks.endings import SETTLED
from tests.browsing import Browser
from tests.logging_out import (
    another,
    app,
    backlog,
    claims_of,
    deliver,
    opened,
    sid_of,
    signed_in,
    told,
)
from tests.mission.test_a_tokens import claims_of as unverified
from tests.receiving import HANG
from tests.serving import RETURN_URI, START, Detent

IDLE, ABSOLUTE = Seconds(3600), Seconds(7200)
Tokens = dict[str, Any]


@pytest.fixture
def detent(tmp_path: Path, keys_folder: Path) -> Iterator[Detent]:
    with told(tmp_path, keys_folder, session_policy=SessionPolicy(IDLE, ABSOLUTE)) as served:
        yield served


def leave(browser: Browser, tokens: Tokens) -> None:
    page = browser.open("/oidc/logout", params={"id_token_hint": tokens["id_token"]})
    assert page.path == "/signed-out"


def this_device(browser: Browser, tokens: Tokens) -> None:
    browser.press(browser.open("/account"), "sign-out", **{"sign-out": sid_of(tokens)})


def everywhere(browser: Browser, tokens: Tokens) -> None:
    browser.press(browser.open("/account"), "sign-out-all")


def v2_logout(browser: Browser, tokens: Tokens) -> None:
    page = browser.open("/v2/logout", params={"client_id": "chat", "returnTo": RETURN_URI})
    browser.press(page, "logout-confirm")


def somebody_else(browser: Browser, tokens: Tokens) -> None:
    browser.log_in(browser.authorize("mail", prompt="login"), "ada", "lovelace")


def person(what: str, *values: Any) -> Callable[[Browser, Tokens], None]:
    def change(browser: Browser, tokens: Tokens) -> None:
        people = browser.detent.house.people
        browser.detent.thread.call(getattr(people, what)(browser.detent.user("test").subject, *values))

    return change


def operator(browser: Browser, tokens: Tokens) -> None:
    house = browser.detent.house
    subject, now = browser.detent.user("test").subject, browser.detent.clock.now()
    browser.detent.thread.call(house.sessions.sign_out(subject, now, by="operator"))


def everything(browser: Browser, tokens: Tokens) -> None:
    house, outside = browser.detent.house, browser.detent.house.outside
    families = Families(house.issuing, house.access, house.ending, outside.directory, outside.clock)
    browser.detent.thread.call(families.end_all())
    deliver(browser.detent)
    browser.detent.clock.advance(SETTLED)  # every node has read the new counter by then


def idle_and_seen(browser: Browser, tokens: Tokens) -> None:
    browser.detent.clock.advance(IDLE)
    assert browser.open("/account").path == "/login"


def over_and_seen_by_an_app(browser: Browser, tokens: Tokens) -> None:
    browser.detent.clock.advance(IDLE)
    assert browser.detent.refresh("chat", tokens["refresh_token"]).status_code == 400


ENDS: dict[str, Callable[[Browser, Tokens], None]] = {
    "oidc logout": leave,
    "v2 logout": v2_logout,
    "account page": this_device,
    "account page, everywhere": everywhere,
    "another person": somebody_else,
    "password": person("set_password", "another-password"),
    "disabled": person("disable"),
    "removed": person("remove"),
    "operator": operator,
    "everything": everything,
    "idle, noticed by the browser": idle_and_seen,
    "idle, noticed by an app": over_and_seen_by_an_app,
}


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_bcl_2_3_every_app_of_a_session_that_ended_is_told_once(
    detent: Detent, end: Callable[[Browser, Tokens], None]
) -> None:
    chat, mail, elsewhere = app(detent, "chat"), app(detent, "mail"), app(detent, "elsewhere")
    browser, tokens = signed_in(detent, "chat", "mail")
    signed_in(detent, "app")  # a session that is another, of an app that wants no logout tokens
    deliver(detent)
    assert chat.all() + mail.all() == []
    end(browser, tokens["chat"])
    deliver(detent)
    for name, receiver in (("chat", chat), ("mail", mail)):
        claims = claims_of(detent, receiver.one(), name)
        assert claims["sid"] == sid_of(tokens[name])
        assert claims["sub"] == unverified(tokens[name]["id_token"])["sub"]
    detent.clock.advance(10)
    deliver(detent)
    assert chat.all() + mail.all() + elsewhere.all() == []
    assert backlog(detent) == 0


def test_bcl_2_3_only_the_session_that_ended_is_told_of_and_the_others_later(detent: Detent) -> None:
    chat = app(detent, "chat")
    (laptop, at_laptop), (phone, at_phone) = signed_in(detent, "chat"), signed_in(detent, "chat")
    leave(phone, at_phone["chat"])
    deliver(detent)
    assert claims_of(detent, chat.one(), "chat")["sid"] == sid_of(at_phone["chat"])
    leave(laptop, at_laptop["chat"])
    deliver(detent)
    assert claims_of(detent, chat.one(), "chat")["sid"] == sid_of(at_laptop["chat"])


def test_bcl_2_3_an_app_that_the_person_ends_or_whose_leave_is_withdrawn_is_told_alone(detent: Detent) -> None:
    chat, mail = app(detent, "chat"), app(detent, "mail")
    browser, tokens = signed_in(detent, "chat", "mail")
    page = browser.open("/account")
    browser.press(page, "end-app", **{"end-app": detent.family(tokens["chat"]["refresh_token"], "chat").key.text})
    deliver(detent)
    assert claims_of(detent, chat.one(), "chat")["sid"] == sid_of(tokens["chat"])
    browser.press(browser.open("/account"), "withdraw", withdraw="mail")
    deliver(detent)
    assert claims_of(detent, mail.one(), "mail")["sid"] == sid_of(tokens["mail"])
    assert detent.revoke(browser.tokens("chat", scope="openid")["refresh_token"], "chat").status_code == 200
    deliver(detent)
    assert chat.all() + mail.all() == [], "it revoked its own, and the session goes on"


def test_bcl_2_7_a_refresh_token_with_offline_access_outlives_the_session_that_its_app_is_told_of(
    detent: Detent,
) -> None:
    chat, mail = app(detent, "chat"), app(detent, "mail")
    browser = opened(detent)
    offline = browser.tokens("chat", scope="openid offline_access")
    bound = browser.tokens("mail", scope="openid")
    leave(browser, bound)
    deliver(detent)
    assert sid_of(offline) == claims_of(detent, chat.one(), "chat")["sid"]
    assert len(mail.all()) == 1
    assert detent.refresh("chat", offline["refresh_token"]).status_code == 200
    assert detent.refresh("mail", bound["refresh_token"]).status_code == 400


def test_bcl_2_4_an_app_without_an_id_token_is_not_told(detent: Detent) -> None:
    chat, mail = app(detent, "chat"), app(detent, "mail")
    browser, tokens = signed_in(detent, "mail")
    browser.tokens("chat", scope="read")
    leave(browser, tokens["mail"])
    deliver(detent)
    assert (len(mail.all()), chat.all()) == (1, [])


@pytest.mark.parametrize("status", [400, 500, 503, 302, 201])
def test_bcl_2_8_what_is_not_taken_is_sent_again_later_and_a_redirect_is_not_followed(
    detent: Detent, status: int
) -> None:
    chat = app(detent, "chat", status)
    browser, tokens = signed_in(detent, "chat")
    leave(browser, tokens["chat"])
    deliver(detent)
    deliver(detent)
    first = chat.one()
    detent.clock.advance(10)
    deliver(detent)
    claims = claims_of(detent, chat.one(), "chat")
    assert claims["jti"] != unverified(first)["jti"], "made anew, so that it is never too old"
    assert backlog(detent) == 0


def test_an_answer_that_takes_too_long_is_none(tmp_path: Path, keys_folder: Path) -> None:
    with told(tmp_path, keys_folder, seconds=0.3) as detent:
        chat = app(detent, "chat", HANG)
        browser, tokens = signed_in(detent, "chat")
        leave(browser, tokens["chat"])
        deliver(detent)
        assert (len(chat.all()), backlog(detent)) == (1, 1)


def given_up(detent: Detent) -> list[tuple[str, str]]:
    events = [event for event in detent.sink.events if event.name == "logout_undelivered"]
    logged = detent.thread.call(detent.house.outside.directory.events(limit=1000))
    assert [event for _, event in logged if event.name == "logout_undelivered"] == events
    return [(event.about, event.reason) for event in events]


def test_bcl_2_8_an_app_that_refuses_is_asked_three_times_and_the_audit_log_tells_it(detent: Detent) -> None:
    chat = app(detent, "chat", *[400] * 9)
    browser, tokens = signed_in(detent, "chat")
    leave(browser, tokens["chat"])
    for _ in range(9):
        deliver(detent)
        detent.clock.advance(3600)
    assert len(chat.all()) == 3
    assert given_up(detent) == [("chat", "answered 400")]
    page, _ = detent.thread.call(detent.house.outside.metrics.page(""))
    assert b'detent_logout_tokens_total{outcome="given_up"} 1.0' in page
    assert backlog(detent) == 0


def test_an_app_that_is_away_is_tried_ever_more_rarely_for_a_day(detent: Detent) -> None:
    chat = app(detent, "chat", *[503] * 99)
    browser, tokens = signed_in(detent, "chat")
    leave(browser, tokens["chat"])
    for _ in range(2 * 30):  # the last of a day's attempts may be due hours later
        deliver(detent)
        detent.clock.advance(1800)
    assert 6 <= len(chat.all()) <= 20
    assert given_up(detent) == [("chat", "answered 503")]
    assert backlog(detent) == 0


def test_nobody_waits_for_an_app_that_hangs(detent: Detent) -> None:
    chat, mail = app(detent, "chat", HANG, HANG), app(detent, "mail")
    running = detent.thread.submit(detent.house.logouts.run())
    try:
        browser, tokens = signed_in(detent, "chat", "mail")
        before = time.monotonic()
        leave(browser, tokens["chat"])
        assert time.monotonic() - before < 4
        assert mail.got.get(timeout=60)
        assert chat.got.get(timeout=60)
    finally:
        running.cancel()


def test_a_client_that_wants_no_more_or_is_gone_gets_no_more(detent: Detent) -> None:
    chat, mail = app(detent, "chat", 503), app(detent, "mail", 503)
    browser, tokens = signed_in(detent, "chat", "mail")
    leave(browser, tokens["chat"])
    deliver(detent)
    assert (len(chat.all()), len(mail.all()), backlog(detent)) == (1, 1, 2)
    detent.thread.call(detent.house.registrations.remove_client("chat"))
    detent.thread.call(detent.house.registrations.update_client("mail", _without_uri()))
    detent.clock.advance(60)
    deliver(detent)
    assert (chat.all(), mail.all(), backlog(detent)) == ([], [], 0)


def _without_uri() -> Any:
    from detent.admin.registrations import ClientFields

    return ClientFields(metadata={"backchannel_logout_uri": None})


def test_what_was_owed_at_a_crash_is_sent_after_the_restart_and_nothing_is_lost_in_between(
    tmp_path: Path, keys_folder: Path
) -> None:
    clock = ManualClock(START)
    with ServerThread() as elsewhere:
        with told(tmp_path, keys_folder, clock, store="sqlite") as detent:
            chat, hanging = app(detent, "chat", 503, at=elsewhere), app(detent, "hanging", HANG, at=elsewhere)
            browser, tokens = signed_in(detent, "chat", "hanging")
            leave(browser, tokens["chat"])
            running = detent.thread.submit(detent.house.logouts.run())
            assert chat.got.get(timeout=60)
            assert hanging.got.get(timeout=60)
            running.cancel()  # in the middle of one delivery, and after one that failed
            other, others = signed_in(detent, "chat")
            leave(other, others["chat"])  # nobody looked at this one yet
        clock.advance(LEASE)
        with told(tmp_path, keys_folder, clock, store="sqlite") as detent:
            deliver(detent)
            deliver(detent)
            expected = {sid_of(tokens["chat"]), sid_of(others["chat"])}
            assert {claims_of(detent, token, "chat")["sid"] for token in chat.all()} == expected
            assert claims_of(detent, hanging.one(), "hanging")["sid"] == sid_of(tokens["hanging"])
            assert backlog(detent) == 0


def test_of_several_nodes_each_logout_token_is_sent_by_one(detent: Detent) -> None:
    apps = [app(detent, f"app-{number}") for number in range(6)]
    browser, tokens = signed_in(detent, *(f"app-{number}" for number in range(6)))
    nodes = [detent.house.logouts, *(another(detent) for _ in range(2))]
    leave(browser, tokens["app-0"])
    for _ in range(2):
        for each in [detent.thread.submit(node.round()) for node in nodes]:
            each.result()
    assert [len(each.all()) for each in apps] == [1] * 6
    assert backlog(detent) == 0


def test_the_log_is_not_pruned_of_what_apps_were_not_told_of_yet(detent: Detent) -> None:
    outside = detent.house.outside
    ports = (outside.store, outside.directory, outside.keys, outside.clock)
    chain, chat = Chain(*ports, outside.entropy), app(detent, "chat")
    deliver(detent)
    browser, tokens = signed_in(detent, "chat")
    leave(browser, tokens["chat"])
    for _ in range(2):  # the newest link is never pruned
        detent.thread.call(chain.link_all())
        detent.clock.advance(60)
        detent.sign_in()
    detent.thread.call(chain.link_all())
    later = detent.clock.advance(1)
    with pytest.raises(InvalidRequest, match="Apps were not told yet"):
        detent.thread.call(prune(*ports, later))
    deliver(detent)
    assert detent.thread.call(prune(*ports, later)) > 0
    assert len(chat.all()) == 1


def test_one_sid_in_every_id_token_access_token_and_introspection_of_a_session(detent: Detent) -> None:
    _, tokens = signed_in(detent, "web", "app", scope="openid read")
    sid = sid_of(tokens["web"])
    assert sid_of(tokens["app"]) == sid
    detent.clock.advance(60)
    for answer in (tokens["web"], detent.refreshed("web", tokens["web"]["refresh_token"])):
        assert unverified(answer["id_token"])["sid"] == unverified(answer["access_token"])["sid"] == sid
        assert detent.introspect(answer["access_token"], "web")["sid"] == sid
        assert detent.introspect(answer["refresh_token"], "web")["sid"] == sid
    assert "sid" not in detent.introspect(detent.sign_in()["refresh_token"]), "a password grant has no session"
