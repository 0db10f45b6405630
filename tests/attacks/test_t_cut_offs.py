"""Attempts to go on after a cut-off (rows T15, T23, X6, X12), over HTTP: by refreshing, with a live access token, with
a code that was not redeemed yet. Whoever cut it off, and by whichever door.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from detent.admin.families import Families
from detent.admin.registrations import ClientFields
from detent.core.ids import ClientId, SessionKey
from detent.ports import FoundSession
from detent.testing.clock import ManualClock
from tests.attacks.outcomes import assert_refused
from tests.browsing import Browser
from tests.serving import START, VAULT, Detent, running

pytestmark = pytest.mark.slow
NUMBERS: Final = count()
SCOPE: Final = "openid read offline_access"
WITHIN_SECONDS: Final = 1.0


class Held:
    """A person signed in to `app`: what the app holds of them, and a code that it has yet to redeem."""

    def __init__(self, detent: Detent, stack: ExitStack) -> None:
        self.detent = detent
        self.name = f"person-{next(NUMBERS)}"
        self.subject = detent.thread.call(detent.house.people.add(self.name, "password")).subject
        self.laptop = stack.enter_context(Browser(detent))
        self.tokens = self.signed_in()
        self.code = self.allowed()["code"]
        assert self.answers()

    def allowed(self) -> dict[str, str]:
        """What the app gets when the person has done all that they are asked for."""
        page = self.laptop.authorize("app", scope=SCOPE, resource=VAULT)
        if page.path == "/login":
            page = self.laptop.log_in(page, self.name, "password")
        return self.laptop.allow(page).answer

    def signed_in(self) -> dict[str, str]:
        tokens: dict[str, str] = self.detent.redeem("app", self.allowed()["code"]).json()
        return tokens

    def answers(self) -> bool:
        """Whether the access token is good."""
        token = self.tokens["access_token"]
        active: bool = self.detent.introspect(token, "demo-api")["active"]
        return active

    def assert_dead(self) -> None:
        assert not self.answers()
        assert_refused(self.detent.refresh("app", self.tokens["refresh_token"]))
        assert_refused(self.detent.redeem("app", self.code))
        assert self.detent.introspect(self.tokens["access_token"], "demo-api") == {"active": False}

    def press(self, button: str) -> None:
        self.laptop.press(self.laptop.open("/account"), button)


class Office:
    """What an operator can do."""

    def __init__(self, detent: Detent) -> None:
        house, outside = detent.house, detent.house.outside
        self.families = Families(house.issuing, house.access, house.ending, outside.directory, outside.clock)
        self.registrations = house.registrations


@pytest.fixture
def held(standing: Detent) -> Iterator[Held]:
    with ExitStack() as stack:
        yield Held(standing, stack)


def set_password(held: Held) -> None:
    held.detent.thread.call(held.detent.house.people.set_password(held.subject, "password"))


def disable(held: Held) -> None:
    held.detent.thread.call(held.detent.house.people.disable(held.subject))


def disable_and_enable(held: Held) -> None:
    disable(held)
    held.detent.thread.call(held.detent.house.people.enable(held.subject))


def remove(held: Held) -> None:
    held.detent.thread.call(held.detent.house.people.remove(held.subject))


def withdraw(held: Held) -> None:
    detent = held.detent
    detent.thread.call(detent.house.consents.withdraw(held.subject, ClientId("app"), detent.clock.now()))


def sign_out(held: Held) -> None:
    detent = held.detent
    detent.thread.call(detent.house.sessions.sign_out(held.subject, detent.clock.now(), by="operator"))


def disable_and_enable_the_client(held: Held) -> None:
    registrations = Office(held.detent).registrations
    held.detent.thread.call(registrations.update_client("app", ClientFields(enabled=False)))
    assert_refused(held.detent.refresh("app", held.tokens["refresh_token"]), "invalid_client", 401)
    assert not held.answers()
    held.detent.thread.call(registrations.update_client("app", ClientFields(enabled=True)))


def cut_off_the_client(held: Held) -> None:
    held.detent.thread.call(Office(held.detent).registrations.cut_off_client("app"))


def cut_off_everything(held: Held) -> None:
    held.detent.thread.call(Office(held.detent).families.end_all())


FOR_GOOD = [disable, remove]
DOORS = [
    set_password, disable_and_enable, sign_out, disable_and_enable_the_client, cut_off_the_client, cut_off_everything,
]  # fmt: skip


@pytest.mark.parametrize("door", [*FOR_GOOD, *DOORS])
def test_attack_t15_rfc6749_10_4_after_a_cut_off_nothing_issued_before_is_good(
    held: Held, door: Callable[[Held], None]
) -> None:
    before = held.detent.statements()
    door(held)
    commits = held.detent.statements().commits - before.commits
    assert commits == (2 if "enable" in door.__name__.split("_") else 1), "a cut-off is one write"
    held.assert_dead()


def test_attack_t15_a_cut_off_reaches_what_a_code_begins_that_was_looked_at_before(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = held.detent.house.issuing.store
    look = store.session

    async def looked(key: SessionKey) -> FoundSession | None:
        found = await look(key)
        await Office(held.detent).families.end_all()
        return found

    monkeypatch.setattr(store, "session", looked)
    begun = held.detent.redeem("app", held.code)
    monkeypatch.undo()
    assert begun.status_code == 200
    assert not held.detent.introspect(begun.json()["access_token"], "demo-api")["active"]
    assert_refused(held.detent.refresh("app", begun.json()["refresh_token"]))


@pytest.mark.parametrize("door", DOORS)
def test_attack_t15_a_cut_off_ends_nothing_that_comes_after_it(held: Held, door: Callable[[Held], None]) -> None:
    door(held)
    held.tokens = held.signed_in()
    assert held.answers()
    assert held.detent.refresh("app", held.tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("door", [set_password, disable, remove, withdraw, sign_out])
def test_attack_t15_a_cut_off_of_one_person_reaches_nobody_else(held: Held, door: Callable[[Held], None]) -> None:
    with ExitStack() as stack:
        other = Held(held.detent, stack)
        door(held)
        assert other.answers()
        assert other.detent.refresh("app", other.tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("door", [disable_and_enable_the_client, cut_off_the_client])
def test_attack_t15_a_cut_off_of_one_client_reaches_no_other(held: Held, door: Callable[[Held], None]) -> None:
    tokens = held.detent.sign_in("testclient")
    door(held)
    assert held.detent.introspect(tokens["access_token"])["active"]
    assert held.detent.refresh("testclient", tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("whose", ["the client", "everybody"])
def test_attack_t15_a_cut_off_reaches_a_clients_own_tokens(standing: Detent, whose: str) -> None:
    office = Office(standing)
    token = standing.token("machine", grant_type="client_credentials", audience=VAULT).json()["access_token"]
    assert standing.introspect(token, "machine")["active"]
    cut_off = office.families.end_all() if whose == "everybody" else office.registrations.cut_off_client("machine")
    standing.thread.call(cut_off)
    assert standing.introspect(token, "machine") == {"active": False}
    again = standing.token("machine", grant_type="client_credentials", audience=VAULT).json()["access_token"]
    assert standing.introspect(again, "machine")["active"]


def test_attack_t15_signing_out_everywhere_on_the_account_page_leaves_nothing(held: Held) -> None:
    held.press("sign-out-all")
    held.assert_dead()


def test_attack_t23_what_a_changed_password_protects_is_out_of_reach_of_older_tokens(held: Held) -> None:
    older, held.tokens = held.tokens, held.signed_in()
    set_password(held)
    held.assert_dead()
    held.tokens = older
    held.assert_dead()
    assert held.laptop.open("/account").path == "/login", "and of the sessions that were signed in with the old one"


@pytest.mark.parametrize("door", [disable, remove])
def test_attack_x6_rfc7662_2_2_a_live_access_token_of_a_disabled_person_is_inactive(
    held: Held, door: Callable[[Held], None]
) -> None:
    tokens = held.laptop.tokens("app", held.name, scope="openid")
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    assert held.detent.http.get("/userinfo", headers=bearer).status_code == 200
    door(held)
    refused = held.detent.http.get("/userinfo", headers=bearer)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")
    assert not held.answers()


@pytest.mark.parametrize("door", ["the account page", "the operator"])
def test_attack_x12_a_consent_withdrawn_through_any_door_kills_what_came_of_it(held: Held, door: str) -> None:
    for _ in range(2):  # a second time changes nothing
        withdraw(held) if door == "the operator" or not held.answers() else held.press("withdraw")
        held.assert_dead()
    assert held.laptop.authorize("app", scope=SCOPE, resource=VAULT).path == "/consent", "it has to ask again"


@pytest.mark.parametrize("door", ["the account page", "the operator", "the client"])
def test_attack_x12_a_grant_ended_through_any_door_is_dead(held: Held, door: str) -> None:
    key = held.detent.family(held.tokens["refresh_token"], "app").key.text
    for _ in range(2):
        if door == "the client":
            assert held.detent.revoke(held.tokens["refresh_token"], "app").status_code == 200
        elif door == "the operator" or not held.answers():
            held.detent.thread.call(Office(held.detent).families.end(key))
        else:
            held.press("end-app")
        assert not held.answers()
        assert_refused(held.detent.refresh("app", held.tokens["refresh_token"]))


def gone_after(held: Held, since: float) -> float:
    """How long after the cut-off, in seconds, the last good answer was asked for."""
    last, asked = since, time.monotonic()
    while held.answers():
        last, asked = asked, time.monotonic()
        assert last - since < 10
    return last - since


@pytest.mark.parametrize("door", [set_password, disable, remove, sign_out, withdraw])
def test_attack_t15_a_persons_cut_off_holds_on_every_node_at_the_very_next_refresh(
    tmp_path: Path, keys_folder: Path, door: Callable[[Held], None]
) -> None:
    clock = ManualClock(START)
    with ExitStack() as stack:
        one, other = (stack.enter_context(running(tmp_path, keys_folder, clock=clock)) for _ in range(2))
        held = Held(one, stack)
        door(held)
        held.detent = other
        held.assert_dead()


@pytest.mark.parametrize("door", [cut_off_the_client, disable_and_enable_the_client, cut_off_everything])
def test_attack_t15_a_cut_off_of_a_client_or_of_everybody_holds_on_every_node_within_a_second(
    tmp_path: Path, keys_folder: Path, door: Callable[[Held], None]
) -> None:
    clock = ManualClock(START)
    with ExitStack() as stack:
        one, other = (stack.enter_context(running(tmp_path, keys_folder, clock=clock)) for _ in range(2))
        held = Held(one, stack)
        held.detent = other
        assert held.answers(), "and now the other node remembers the client"
        held.detent = one
        door(held)
        done = time.monotonic()
        held.detent = other
        assert gone_after(held, done) < WITHIN_SECONDS
        held.assert_dead()
