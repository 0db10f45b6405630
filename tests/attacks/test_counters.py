"""What an attacker's request and an honest one cost the database: statements and commits, counted by the store."""

from typing import Any

import pytest

from tests.attacks.outcomes import assert_refused, ongoing, signed_in
from tests.browsing import Browser
from tests.proving import Holder
from tests.serving import Detent

pytestmark = pytest.mark.quick

detent = ongoing


def spent(detent: Detent, before: Any) -> dict[str, int]:
    now = detent.statements()
    return {name: getattr(now, name) - getattr(before, name) for name in ("reads", "writes", "inserts", "commits")}


@pytest.mark.parametrize("client", ["testclient", "app", "nobody-knows-me"])
def test_counters_a_garbage_refresh_token_costs_no_statement(detent: Detent, client: str) -> None:
    before = detent.statements()
    for garbage in ("garbage", "dtrt_" + "A" * 84, "dtat_" + "A" * 84, "a.b.c"):
        assert_refused(detent.refresh(client, garbage))
    assert spent(detent, before) == {"reads": 0, "writes": 0, "inserts": 0, "commits": 0}


@pytest.mark.parametrize("client", ["testclient", "app", "spa", "web"])
def test_counters_a_refresh_is_one_read_and_one_update_in_one_commit(detent: Detent, client: str) -> None:
    """A client that does not rotate pays the same: its idle life moves. Clients and APIs come from memory."""
    token = detent.refreshed(client, signed_in(detent, client)["refresh_token"])["refresh_token"]
    for _ in range(3):
        detent.clock.advance(61)
        before = detent.statements()
        token = detent.refreshed(client, token)["refresh_token"]
        assert spent(detent, before) == {"reads": 1, "writes": 1, "inserts": 0, "commits": 1}


@pytest.mark.parametrize("again", [False, True])
def test_counters_an_introspection_is_one_read_of_the_row_and_of_what_revoked_the_token_alone(
    detent: Detent, again: bool
) -> None:
    token = signed_in(detent, "testclient")["access_token"]
    if again:
        assert detent.introspect(token)["active"]
    before = detent.statements()
    assert detent.introspect(token)["active"]
    assert spent(detent, before) == {"reads": 1, "writes": 0, "inserts": 0, "commits": 0}
    assert detent.post("/oauth/revoke", "testclient", token=token).status_code == 200
    assert not detent.introspect(token)["active"]


def test_counters_a_refresh_with_a_proof_inserts_what_makes_the_proof_count_once(detent: Detent) -> None:
    holder = Holder(detent)
    token = holder.sign_in("app")["refresh_token"]
    for writes in (1, 0):  # the family's row only once in a second: it stays the same token
        detent.clock.advance(writes)
        before = detent.statements()
        assert holder.refresh("app", token).status_code == 200
        assert spent(detent, before) == {"reads": 1, "writes": writes, "inserts": 1, "commits": 1}


@pytest.mark.parametrize(
    ("name", "scope", "reads"),
    [("testclient", "openid profile read", 1), ("spa", "openid read", 1), ("spa", "openid profile read", 2)],
)
def test_counters_the_person_is_read_only_for_an_id_token_that_says_something_of_them(
    detent: Detent, name: str, scope: str, reads: int
) -> None:
    token = detent.refreshed(name, detent.sign_in(name, scope=scope)["refresh_token"])["refresh_token"]
    before = detent.statements()
    detent.refreshed(name, token)
    assert spent(detent, before) == {"reads": reads, "writes": 1, "inserts": 0, "commits": 1}


def test_counters_a_repeat_after_the_first_is_one_read(detent: Detent) -> None:
    first = signed_in(detent, "app")["refresh_token"]
    for _ in range(2):
        detent.refreshed("app", first)
    before = detent.statements()
    detent.refreshed("app", first)
    assert spent(detent, before) == {"reads": 1, "writes": 0, "inserts": 0, "commits": 0}


@pytest.mark.sqlite
def test_counters_64_refreshes_at_once_share_their_commits(detent: Detent) -> None:
    tokens = [signed_in(detent, "app")["refresh_token"] for _ in range(64)]
    before = detent.statements()

    answers = detent.at_once(64, lambda index: detent.refresh("app", tokens[index]))

    assert {answer.status_code for answer in answers} == {200}
    counted = spent(detent, before)
    assert (counted["reads"], counted["writes"], counted["inserts"]) == (64, 64, 0)
    assert counted["commits"] < 64


def test_counters_an_authorization_request_of_nobody_costs_no_statement(detent: Detent) -> None:
    """Whoever can open a URL cannot make the store work, nor fill it."""
    with Browser(detent) as browser:
        browser.authorize()
        before = detent.statements()
        assert browser.authorize().path == "/login"
        assert browser.authorize(prompt="none").answer["error"] == "login_required"
        assert browser.authorize(redirect_uri="https://evil.example/").status == 400
        assert spent(detent, before) == {"reads": 0, "writes": 0, "inserts": 0, "commits": 0}


def test_counters_a_silent_sign_in_is_two_reads_and_its_code_one_commit(detent: Detent) -> None:
    """The session and the consent; then person and session, the family and two events."""
    with Browser(detent) as browser:
        browser.sign_in(scope="read")
        before = detent.statements()
        code = browser.authorize(prompt="none", scope="read").answer["code"]
        assert spent(detent, before) == {"reads": 2, "writes": 0, "inserts": 0, "commits": 0}
        before = detent.statements()
        assert detent.redeem("spa", code).status_code == 200
        assert spent(detent, before) == {"reads": 2, "writes": 0, "inserts": 2, "commits": 1}


def test_counters_a_refresh_uses_its_session_rarely(detent: Detent) -> None:
    """A family that ends with its session: at most one more update in a twenty-fourth of the session's idle life."""
    with Browser(detent) as browser:
        token = browser.tokens(scope="read")["refresh_token"]
    reads, writes = [], []
    for _ in range(12):
        detent.clock.advance(1800)
        before = detent.statements()
        token = detent.refreshed("spa", token)["refresh_token"]
        reads.append(spent(detent, before)["reads"])
        writes.append(spent(detent, before)["writes"])
    assert reads == [1] * 12
    assert writes == [1, 1, 1, 1, 1, 2] * 2
