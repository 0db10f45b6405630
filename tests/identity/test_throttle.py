"""The throttle: only failures count, all of them do, each where it falls; they flow off evenly and are forgotten."""

import asyncio
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detent.core.errors import SlowDown, TemporarilyUnavailable
from detent.core.ids import Seconds
from detent.identity.throttle import WAITING, Allowance, Allowances, Bound, Throttle
from detent.system import SystemEntropy
from detent.testing.clock import ManualClock

PEER: Final = "192.0.2.1"
PLENTY = Allowance(10**6, Seconds(60))
NARROW = Allowances(
    account_here=Allowance(3, Seconds(90)),
    address=Allowance(5, Seconds(100)),
    network=Allowance(8, Seconds(80)),
    account=Allowance(6, Seconds(120)),
    everywhere=Allowance(12, Seconds(120)),
)


class Guesser:
    """Guesses, one after another or at once."""

    def __init__(self, clock: ManualClock, allowances: Allowances = NARROW, places: int = 1000) -> None:
        self.throttle = Throttle(SystemEntropy(), allowances, places=places)
        self.clock = clock
        self.heard = 0

    async def guess(
        self, account: str = "alice", peer: str = PEER, *, known: bool = False, right: bool = False
    ) -> list[Bound]:
        """One guess that is heard; which bounds ran dry by it."""
        async with self.throttle.guess(account, peer, self.clock.now(), known=known) as guess:
            self.heard += 1
            await asyncio.sleep(0)
            return [] if right else guess.failed()

    async def wait_of(self, account: str = "alice", peer: str = PEER, *, known: bool = False) -> int:
        """How long the next guess has to wait; 0 if it would be heard."""
        try:
            await self.guess(account, peer, known=known, right=True)
        except SlowDown as refusal:
            return refusal.retry_after or 0
        return 0

    async def fail(self, times: int, account: str = "alice", peer: str = PEER, *, known: bool = False) -> None:
        for _ in range(times):
            await self.guess(account, peer, known=known)


@pytest.fixture
def guesser(clock: ManualClock) -> Guesser:
    return Guesser(clock)


# How failures count


async def test_so_many_failures_and_no_more_are_heard(guesser: Guesser) -> None:
    await guesser.fail(3)
    for _ in range(5):
        assert await guesser.wait_of() == 30
    assert guesser.heard == 3


async def test_successes_never_count(guesser: Guesser) -> None:
    for _ in range(100):
        await guesser.guess(right=True)
    await guesser.fail(2)
    for _ in range(100):
        await guesser.guess(right=True)
    await guesser.fail(1)
    assert await guesser.wait_of()


@pytest.mark.parametrize("ways", [3, 50, 128])
async def test_good_sign_ins_at_once_are_all_heard(guesser: Guesser, ways: int) -> None:
    await guesser.fail(2)
    await asyncio.gather(*(guesser.guess(right=True) for _ in range(ways)))
    assert guesser.heard == 2 + ways
    assert await guesser.wait_of() == 0


@pytest.mark.parametrize("ways", [4, 50, 100])
async def test_attack_u3_guesses_at_once_are_counted_exactly(guesser: Guesser, ways: int) -> None:
    answers = await asyncio.gather(*(guesser.guess() for _ in range(ways)), return_exceptions=True)
    assert guesser.heard == 3
    assert sum(isinstance(answer, SlowDown) for answer in answers) == ways - 3


async def test_attack_u3_guesses_at_once_at_many_accounts_are_counted_exactly(guesser: Guesser) -> None:
    answers = await asyncio.gather(*(guesser.guess(f"a{n}") for n in range(60)), return_exceptions=True)
    assert guesser.heard == 5
    assert sum(isinstance(answer, SlowDown) for answer in answers) == 55


async def test_of_right_and_wrong_ones_at_once_the_wrong_ones_are_counted_exactly(guesser: Guesser) -> None:
    ways = [guesser.guess(right=number % 4 != 0) for number in range(40)]
    answers = await asyncio.gather(*ways, return_exceptions=True)
    assert sum(not isinstance(answer, SlowDown) for answer in answers[::4]) == 3
    assert await guesser.wait_of() == 30


async def test_a_guess_that_nobody_answered_does_not_count(guesser: Guesser) -> None:
    for _ in range(10):
        with pytest.raises(TemporarilyUnavailable):
            async with guesser.throttle.guess("alice", PEER, guesser.clock.now(), known=False):
                raise TemporarilyUnavailable("Too many people are signing in at once.")
    assert await guesser.wait_of() == 0


async def test_whoever_hangs_up_while_waiting_or_under_way_holds_up_nobody(guesser: Guesser) -> None:
    forever = asyncio.Event()

    async def hanging() -> None:
        async with guesser.throttle.guess("alice", PEER, guesser.clock.now(), known=False):
            await forever.wait()

    under_way = [asyncio.create_task(hanging()) for _ in range(3)]
    waiting = [asyncio.create_task(guesser.guess(right=True)) for _ in range(4)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    waiting.pop(0).cancel()
    under_way.pop(0).cancel()
    await asyncio.wait_for(asyncio.gather(*waiting), 60)
    for task in under_way:
        task.cancel()
    await guesser.fail(3)
    assert await guesser.wait_of()


async def test_those_who_find_no_place_to_wait_are_told_when_to_come_back(guesser: Guesser) -> None:
    for turn in (1, 2):
        ways = [guesser.guess(right=True) for _ in range(3 + WAITING + 10)]
        answers = await asyncio.gather(*ways, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, TemporarilyUnavailable)]
        assert [refusal.retry_after for refusal in refused] == [1] * 10
        assert guesser.heard == turn * (3 + WAITING)
    assert await guesser.wait_of() == 0


# Time


async def test_a_bucket_refills_evenly_and_the_wait_that_is_told_is_exact(guesser: Guesser) -> None:
    await guesser.fail(3)
    assert await guesser.wait_of() == 30
    guesser.clock.advance(10)
    assert await guesser.wait_of() == 20
    guesser.clock.advance(19)
    assert await guesser.wait_of() == 1
    guesser.clock.advance(1)
    await guesser.fail(1)
    assert await guesser.wait_of() == 30
    guesser.clock.advance(89)
    await guesser.fail(2)
    assert await guesser.wait_of() == 1


@settings(max_examples=40, deadline=None)
@given(failures=st.integers(1, 50), refill=st.integers(1, 5000), steps=st.lists(st.integers(0, 400), max_size=6))
async def test_what_is_heard_is_the_allowance_and_what_flowed_off(failures: int, refill: int, steps: list[int]) -> None:
    clock, failed = ManualClock(), 0
    guesser = Guesser(clock, Allowances(Allowance(failures, Seconds(refill)), PLENTY, PLENTY, PLENTY, PLENTY))
    began = clock.now()
    for step in steps:
        clock.advance(step)
        while not (wait := await guesser.wait_of()):
            await guesser.fail(1)
            failed += 1
        assert failed <= failures + (clock.now() - began) * failures // refill
        clock.advance(wait - 1)
        assert await guesser.wait_of() == 1
        clock.advance(1)
        assert await guesser.wait_of() == 0


async def test_a_clock_that_is_turned_back_frees_nobody(guesser: Guesser) -> None:
    await guesser.fail(3)
    guesser.clock.advance(-3600)
    assert await guesser.wait_of() == 30
    guesser.clock.advance(30)
    assert await guesser.wait_of() == 0


async def test_a_guess_that_waited_long_gives_nobody_its_time_twice(guesser: Guesser) -> None:
    await guesser.fail(2)
    over = asyncio.Event()

    async def slow() -> None:
        async with guesser.throttle.guess("alice", PEER, guesser.clock.now(), known=False):
            await over.wait()

    under_way = asyncio.create_task(slow())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(guesser.guess(right=True))
    await asyncio.sleep(0)
    guesser.clock.advance(30)
    assert await guesser.wait_of() == 0
    assert not waiting.done()
    over.set()
    await asyncio.gather(under_way, waiting)
    await guesser.fail(2)
    assert await guesser.wait_of() == 30


# Where failures count


async def test_an_account_has_its_own_count_at_each_address(guesser: Guesser) -> None:
    await guesser.fail(3)
    assert await guesser.wait_of(peer="198.51.100.1") == 0
    assert await guesser.wait_of(account="bob") == 0
    assert await guesser.wait_of()


async def test_attack_u2_many_accounts_from_one_address(guesser: Guesser) -> None:
    for number in range(5):
        await guesser.fail(1, f"account{number}")
    assert await guesser.wait_of("another") == 20
    assert await guesser.wait_of("another", "192.0.2.2") == 0


async def test_attack_u2_many_accounts_from_one_network(guesser: Guesser) -> None:
    for number in range(8):
        await guesser.fail(1, f"account{number}", f"192.0.2.{number}")
    assert await guesser.wait_of("another", "192.0.2.200") == 10
    assert await guesser.wait_of("another", "192.0.3.1") == 0


async def test_attack_u2_one_account_from_many_networks(guesser: Guesser) -> None:
    for number in range(6):
        await guesser.fail(1, "alice", f"198.51.{number}.1")
    assert await guesser.wait_of("alice", "203.0.113.1") == 20
    assert await guesser.wait_of("bob", "203.0.113.1") == 0


async def test_attack_u2_many_accounts_from_many_networks_give_the_alarm_and_refuse_nobody(guesser: Guesser) -> None:
    dry = [await guesser.guess(f"account{number}", f"198.51.{number}.1") for number in range(30)]
    assert dry == [[]] * 11 + [["everywhere"]] + [[]] * 18
    guesser.clock.advance(30 * 10)
    dry = [await guesser.guess(f"account{number}", f"198.51.{number}.1") for number in range(12)]
    assert dry == [[]] * 11 + [["everywhere"]]
    assert await guesser.wait_of("another", "203.0.113.1") == 0


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("", "unknown", True),
        ("127.0.0.1", "127.0.0.1", True),
    ],
)
async def test_attack_u5_an_address_is_a_32_or_a_64(guesser: Guesser, one: str, other: str, together: bool) -> None:
    await guesser.fail(3, peer=one)
    assert bool(await guesser.wait_of(peer=other)) == together


async def test_attack_u5_hopping_inside_of_a_48_does_not_help(guesser: Guesser) -> None:
    for number in range(8):
        await guesser.fail(1, f"account{number}", f"2001:db8:1:{number:x}::1")
    assert await guesser.wait_of("another", "2001:db8:1:ffff::1")
    assert await guesser.wait_of("another", "2001:db8:2::1") == 0


# Known browsers


async def test_attack_u4_a_flood_from_the_owners_own_address_keeps_no_known_browser_out(guesser: Guesser) -> None:
    with pytest.raises(SlowDown):
        await guesser.fail(100)
    assert await guesser.wait_of()
    assert await guesser.wait_of(known=True) == 0


async def test_attack_u4_a_botnet_keeps_no_known_browser_out(guesser: Guesser) -> None:
    await guesser.fail(1, peer=PEER)
    for number in range(5):
        await guesser.fail(1, peer=f"198.51.{number}.1")
    assert await guesser.wait_of(peer="203.0.113.1")
    assert await guesser.wait_of(known=True) == 0


async def test_attack_u4_spraying_from_an_office_keeps_none_of_its_known_browsers_out(guesser: Guesser) -> None:
    for number in range(5):
        await guesser.fail(1, f"account{number}")
    assert await guesser.wait_of("bob")
    assert await guesser.wait_of("bob", known=True) == 0


async def test_a_known_browser_is_bounded_too_and_its_failures_harm_no_neighbour(guesser: Guesser) -> None:
    await guesser.fail(3, known=True)
    assert await guesser.wait_of(known=True) == 30
    assert await guesser.wait_of() == 0
    await guesser.fail(3, peer="198.51.100.1", known=True)
    assert await guesser.wait_of(peer="203.0.113.1", known=True) == 20
    await guesser.fail(3, "bob")
    await guesser.fail(2, "carol")


# What is told


async def test_a_bucket_that_runs_dry_is_told_of_once_in_the_time_of_its_refill(guesser: Guesser) -> None:
    told = []
    for _ in range(30):
        try:
            told.append(await guesser.guess())
        except SlowDown:
            guesser.clock.advance(10)
    assert [bounds for bounds in told if "account_here" in bounds] == [["account_here"]] * 3
    assert told[2] == ["account_here"]


async def test_one_failure_can_run_several_buckets_dry(clock: ManualClock) -> None:
    one = Allowance(1, Seconds(60))
    guesser = Guesser(clock, Allowances(one, one, one, one, one))
    assert await guesser.guess() == ["account_here", "account", "address", "network", "everywhere"]


async def test_the_refusal_says_what_to_do_and_nothing_of_the_account(guesser: Guesser) -> None:
    told = set()
    for account in ("alice", "nobody", "p4ssw0rd"):
        await guesser.fail(3, account, f"203.0.{len(account)}.1")
        with pytest.raises(SlowDown) as refusal:
            await guesser.guess(account, f"203.0.{len(account)}.1")
        told.add((refusal.value.description, refusal.value.retry_after))
    assert told == {
        (
            "Too many sign-ins have failed. Try again in 30 seconds, or sign in with a browser in which you have "
            "signed in before.",
            30,
        )
    }


# Memory


async def test_the_longest_untouched_makes_room_and_nothing_else_is_forgotten(clock: ManualClock) -> None:
    guesser = Guesser(clock, places=4)
    await guesser.fail(3, "victim")
    for number in range(3):
        await guesser.fail(1, f"account{number}", f"198.51.{number}.1")
    assert await guesser.wait_of("victim")
    await guesser.fail(1, "one more", "203.0.113.1")
    assert await guesser.wait_of("victim") == 0


async def test_a_count_that_grows_is_not_the_longest_untouched(clock: ManualClock) -> None:
    guesser = Guesser(clock, places=4)
    for number in range(3):
        await guesser.fail(1, "victim")
        for other in range(3):
            await guesser.fail(1, f"account{number}-{other}", f"198.{number}.{other}.1")
    assert await guesser.wait_of("victim")


async def test_refused_guesses_push_nobodys_count_out(clock: ManualClock) -> None:
    guesser = Guesser(clock, places=8)
    await guesser.fail(3, "victim")
    for number in range(2):
        await guesser.fail(1, f"account{number}")
    for number in range(100):
        assert await guesser.wait_of(f"other{number}")
    assert await guesser.wait_of("victim") == 30


async def test_good_sign_ins_push_nobodys_count_out(clock: ManualClock) -> None:
    guesser = Guesser(clock, places=8)
    await guesser.fail(3, "victim")
    for number in range(100):
        await guesser.guess(f"other{number}", f"198.51.{number}.1", right=True)
    assert await guesser.wait_of("victim") == 30


async def test_a_restart_forgets(clock: ManualClock) -> None:
    guesser = Guesser(clock)
    await guesser.fail(3)
    guesser.throttle = Throttle(SystemEntropy(), NARROW)
    assert await guesser.wait_of() == 0


async def test_names_that_no_encoding_knows_are_counted_like_any(guesser: Guesser) -> None:
    await guesser.fail(3, "\ud800")
    assert await guesser.wait_of("\ud800")
    assert await guesser.wait_of("\ud801") == 0


async def test_by_default_ten_may_fail_and_one_more_each_90_seconds(clock: ManualClock) -> None:
    guesser = Guesser(clock, Allowances())
    await guesser.fail(10)
    assert await guesser.wait_of() == 90
    for number in range(4):
        await guesser.fail(10, f"account{number}")
    assert await guesser.wait_of("another") == 18
