"""Attacks on sign-in (rows U1-U5), through the password grant: the one door that needs no page.

What a browser that its person used before may do is proved in tests/identity and at the login page.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from detent.core.ids import Seconds
from detent.core.policy import HOUR, MINUTE
from detent.identity.throttle import Allowance, Allowances
from tests.attacks.outcomes import assert_refused
from tests.serving import Detent, running

pytestmark = pytest.mark.slow

# The first bound as it is by default, the others narrower: so many hashes would take their time.
ALLOWANCES = Allowances(
    address=Allowance(25, Seconds(15 * MINUTE)),
    network=Allowance(40, Seconds(15 * MINUTE)),
    account=Allowance(60, Seconds(HOUR)),
)


@pytest.fixture(scope="module")
def behind_a_proxy(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    """One proxy stands before it and says whom it was asked by; so a test has as many addresses as it wants."""
    with running(tmp_path_factory.mktemp("proxied"), keys_folder, allowances=ALLOWANCES, proxies=1) as served:
        yield served


@pytest.fixture
def detent(behind_a_proxy: Detent) -> Detent:
    """Everything that failed before has flowed off."""
    behind_a_proxy.clock.advance(HOUR)
    behind_a_proxy.sink.events.clear()
    return behind_a_proxy


def guess(
    detent: Detent, username: str = "test", password: str = "wrong", peer: str = "192.0.2.1", **headers: str
) -> httpx.Response:
    form: dict[str, Any] = {"grant_type": "password", "username": username, "password": password}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return detent.post("/oauth/token", "testclient", headers={"x-forwarded-for": peer, **named}, **form)


def assert_wrong(answer: httpx.Response) -> None:
    assert_refused(answer)
    assert answer.json()["error_description"].startswith("Wrong username or password.")


def assert_throttled(answer: httpx.Response) -> None:
    assert_refused(answer, "slow_down", 429)
    wait = answer.headers["retry-after"]
    assert f"Try again in {wait} seconds" in answer.json()["error_description"]


def alarms(detent: Detent) -> list[tuple[str, str]]:
    return [(event.subject, event.reason) for event in detent.sink.events if event.name == "sign_in_throttled"]


def the_same(*answers: httpx.Response) -> bool:
    """Byte for byte, but for the support id and the date."""

    def face(answer: httpx.Response) -> tuple[int, str, list[tuple[str, str]]]:
        body = answer.text.replace(answer.json()["support_id"], "*")
        return answer.status_code, body, [pair for pair in answer.headers.multi_items() if pair[0] != "date"]

    return len({str(face(answer)) for answer in answers}) == 1


def test_attack_u1_a_known_and_an_unknown_name_get_the_same_bytes_throttled_or_not(detent: Detent) -> None:
    for turn in range(12):
        known, unknown = (guess(detent, name, peer=f"192.0.{name == 'test':d}.1") for name in ("test", "nobody"))
        assert the_same(known, unknown)
        (assert_wrong if turn < 10 else assert_throttled)(known)


def test_attack_u2_many_guesses_at_one_account(detent: Detent) -> None:
    answers = [guess(detent, password=f"guess{number}") for number in range(30)]
    for answer in answers[:10]:
        assert_wrong(answer)
    for answer in answers[10:]:
        assert_throttled(answer)
    assert_throttled(guess(detent, password="test"))
    assert alarms(detent) == [(detent.user("test").subject, "one account from one address")]
    audited = detent.thread.call(detent.store.events(about=detent.user("test").subject, limit=1000))
    assert [event for _, event in audited if event.at == detent.clock.now()] == [detent.sink.events[9 + 1]]
    detent.clock.advance(90)
    assert guess(detent, password="test").status_code == 200


def test_attack_u2_one_guess_at_each_of_many_accounts(detent: Detent) -> None:
    answers = [guess(detent, f"name{number}") for number in range(60)]
    for answer in answers[:25]:
        assert_wrong(answer)
    for answer in answers[25:]:
        assert_throttled(answer)
    assert alarms(detent) == [("", "many accounts from one address")]


@pytest.mark.slow
def test_attack_u2_one_account_from_a_thousand_addresses(detent: Detent) -> None:
    answers = [guess(detent, peer=f"198.{number // 250}.{number % 250}.1") for number in range(1000)]
    heard = [answer for answer in answers if answer.status_code == 400]
    assert len(heard) == 60
    for answer in answers[60:]:
        assert_throttled(answer)
    assert alarms(detent) == [(detent.user("test").subject, "one account from many networks")]


def test_attack_u3_guesses_at_once_are_counted_exactly(detent: Detent) -> None:
    answers = detent.at_once(50, lambda _: guess(detent))
    assert sorted(answer.status_code for answer in answers) == [400] * 10 + [429] * 40
    assert [event.name for event in detent.sink.events].count("sign_in_failed") == 10


@pytest.mark.parametrize("ways", [3, 50])
def test_good_sign_ins_of_one_account_at_once_are_all_let_in(detent: Detent, ways: int) -> None:
    for _ in range(9):
        guess(detent)
    answers = detent.at_once(ways, lambda _: guess(detent, password="test"))
    assert [answer.status_code for answer in answers] == [200] * ways


def test_attack_u4_whoever_floods_an_account_keeps_its_owner_out_nowhere_else(detent: Detent) -> None:
    for _ in range(30):
        guess(detent)
    assert_throttled(guess(detent, password="test"))
    for peer in ("192.0.2.2", "203.0.113.1", "2001:db8::1"):
        assert guess(detent, password="test", peer=peer).status_code == 200


def test_attack_u4_whoever_floods_a_server_keeps_nobody_out_in_another_network(detent: Detent) -> None:
    for number in range(60):
        guess(detent, f"name{number}", peer=f"192.0.2.{number}")
    assert_throttled(guess(detent, password="test", peer="192.0.2.200"))
    assert guess(detent, password="test", peer="192.0.3.1").status_code == 200


FORGED = ("x-forwarded-for", "x-real-ip", "x-client-ip", "forwarded", "cf-connecting-ip", "true-client-ip")


@pytest.mark.parametrize("value", ["198.51.100.{}", "127.0.0.1, 198.51.100.{}", "::1"])
def test_attack_u5_no_header_of_the_client_opens_a_new_count(tmp_path: Path, keys_folder: Path, value: str) -> None:
    with running(tmp_path, keys_folder) as exposed:
        for number in range(10):
            forged = {name: value.format(number) for name in FORGED}
            answer = exposed.post(
                "/oauth/token", "testclient", forged, grant_type="password", username="test", password="wrong"
            )
            assert_wrong(answer)
        answer = exposed.token(grant_type="password", username="test", password="test")
        assert_throttled(answer)


def test_attack_u5_what_the_client_says_before_the_proxy_opens_no_new_count(detent: Detent) -> None:
    for number in range(10):
        assert_wrong(guess(detent, peer=f"198.51.100.{number}, 127.0.0.1, 192.0.2.1", x_real_ip=f"10.0.0.{number}"))
    assert_throttled(guess(detent, password="test"))


def test_attack_u5_hopping_inside_of_a_64_or_a_48_opens_no_new_count(detent: Detent) -> None:
    for number in range(10):
        assert_wrong(guess(detent, peer=f"2001:db8:1:2::{number:x}"))
    assert_throttled(guess(detent, peer="2001:db8:1:2:ffff::1", password="test"))
    for number in range(30):
        assert_wrong(guess(detent, f"name{number}", peer=f"2001:db8:1:{number + 3:x}::1"))
    assert_throttled(guess(detent, "ada", peer="2001:db8:1:ffff::1", password="lovelace"))


def test_attack_u5_an_address_in_the_clothes_of_ipv6_is_the_same(detent: Detent) -> None:
    for number in range(10):
        assert_wrong(guess(detent, peer=("192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201")[number % 3]))
    assert_throttled(guess(detent, password="test"))
