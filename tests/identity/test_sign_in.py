"""Signing in: throttled before a hash is spent, the same for known and unknown, and no word that was typed is told."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import pytest

from detent.core.errors import SlowDown, StoreUnavailable, TemporarilyUnavailable
from detent.core.ids import Seconds
from detent.core.people import User
from detent.identity.passwords import CHEAP, Passwords, Profile
from detent.identity.people import People
from detent.identity.sign_in import SignIn
from detent.identity.throttle import Allowance, Allowances, Throttle
from detent.sinks.metrics import Metrics
from detent.stores.memory import MemoryStore
from detent.system import SystemEntropy
from detent.testing.clock import ManualClock
from tests.identity.conftest import audited
from tests.serving import ListSink

PEER: Final = "192.0.2.1"
TYPED: Final = "hunter2-typed-into-the-wrong-field"


class Counted(Passwords):
    """Counts what it checks."""

    checked = 0

    async def verify(self, stored: str, password: str) -> bool:
        self.checked += 1
        return await super().verify(stored, password)


class Reads(MemoryStore):
    """Remembers whom it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    async def user_by_name(self, username: str) -> User | None:
        self.names.append(username)
        return await super().user_by_name(username)


class Desk:
    """Where people sign in, and what is behind it."""

    def __init__(self, clock: ManualClock, sink: ListSink, allowances: Allowances = Allowances()) -> None:
        self.store = Reads()
        self.passwords = Counted(CHEAP)
        self.clock, self.sink = clock, sink
        self.people = People(self.store, self.store, self.passwords, clock, SystemEntropy())
        self.sign_in = SignIn(self.people, Throttle(SystemEntropy(), allowances), sink, self.store, Metrics())

    async def enter(
        self,
        username: str = "alice",
        password: str = "right",
        *,
        peer: str = PEER,
        known: frozenset[str] = frozenset(),
    ) -> User | None:
        now = self.clock.now()
        return await self.sign_in.verify(username, password, peer=peer, known=known, now=now, support_id="abc")

    async def wrong(self, times: int, username: str = "alice", peer: str = PEER) -> None:
        for _ in range(times):
            assert await self.enter(username, "wrong", peer=peer) is None

    async def is_refused(self, username: str = "alice", peer: str = PEER, known: frozenset[str] = frozenset()) -> bool:
        """Whether the right password is refused unheard."""
        try:
            await self.enter(username, peer=peer, known=known)
        except SlowDown:
            return True
        return False

    def told(self) -> list[tuple[str, str, str]]:
        return [(event.name, event.about, event.reason) for event in self.sink.events]


@pytest.fixture
async def desk(clock: ManualClock, sink: ListSink) -> Desk:
    desk = Desk(clock, sink)
    await desk.people.add("alice", "right", subject="alice-1")
    await desk.people.add("bob", "right", subject="bob-1")
    return desk


async def test_the_right_password_lets_in_and_tells_nothing(desk: Desk) -> None:
    user = await desk.enter()
    assert user
    assert user.subject == "alice-1"
    assert desk.told() == []


async def test_a_failure_goes_to_the_sink_alone(desk: Desk) -> None:
    before = await audited(desk.store)
    await desk.wrong(1)
    (event,) = desk.sink.events
    assert (event.name, event.about, event.network, event.support_id) == ("sign_in_failed", "", "192.0.2.0/24", "abc")
    assert await audited(desk.store) == before
    assert desk.store.names == ["alice"]


@pytest.mark.parametrize("username", ["alice", "nobody", "", "a b", "\ud800", "x" * 60_000, TYPED])
async def test_attack_u1_known_and_unknown_names_are_counted_and_refused_alike(desk: Desk, username: str) -> None:
    for heard in range(1, 11):
        assert await desk.enter(username, "wrong") is None
        assert desk.passwords.checked == heard
    with pytest.raises(SlowDown) as refusal:
        await desk.enter(username, "wrong")
    assert refusal.value.retry_after == 90
    assert refusal.value.description == (
        "Too many sign-ins have failed. Try again in 90 seconds, or sign in with a browser in which you have signed "
        "in before."
    )
    assert [name for name, *_ in desk.told()] == ["sign_in_failed"] * 10 + ["sign_in_throttled"]


async def test_a_refused_guess_costs_no_hash_no_read_no_write_and_no_line(desk: Desk) -> None:
    await desk.wrong(10)
    names, checked, told, written = (
        list(desk.store.names),
        desk.passwords.checked,
        desk.told(),
        await audited(desk.store),
    )
    for _ in range(20):
        assert await desk.is_refused()
    assert (desk.store.names, desk.passwords.checked, desk.told()) == (names, checked, told)
    assert await audited(desk.store) == written


async def test_every_spelling_of_a_name_is_one_account(desk: Desk) -> None:
    for name in ("alice", "ALICE", "Ａlice", " alice ", "aLiCe"):
        await desk.wrong(2, name)
    assert await desk.is_refused("Alice")


async def test_attack_u3_a_hundred_guesses_at_once_are_ten(desk: Desk) -> None:
    answers = await asyncio.gather(*(desk.enter("alice", "wrong") for _ in range(100)), return_exceptions=True)
    assert answers.count(None) == desk.passwords.checked == 10
    assert sum(isinstance(answer, SlowDown) for answer in answers) == 90


@pytest.mark.parametrize("ways", [3, 50])
async def test_good_sign_ins_of_one_account_at_once_never_trip(desk: Desk, ways: int) -> None:
    await desk.wrong(9)
    for _ in range(3):
        answers = await asyncio.gather(*(desk.enter() for _ in range(ways)))
        assert {user.subject for user in answers if user} == {"alice-1"}
        assert len(answers) == ways


async def test_whoever_found_no_place_to_be_checked_has_not_failed(desk: Desk) -> None:
    narrow = Passwords(Profile(memory_kib=1024, passes=1), workers=1, waiting=1)
    desk.sign_in = SignIn(
        People(desk.store, desk.store, narrow, desk.clock, SystemEntropy()),
        Throttle(SystemEntropy()),
        desk.sink,
        desk.store,
        Metrics(),
    )
    for _ in range(5):
        answers = await asyncio.gather(*(desk.enter() for _ in range(10)), return_exceptions=True)
        assert any(isinstance(answer, TemporarilyUnavailable) for answer in answers)
    assert not await desk.is_refused()


# Known browsers


async def test_attack_u4_a_browser_that_the_owner_used_before_still_enters(desk: Desk) -> None:
    await desk.wrong(10)
    assert await desk.is_refused()
    assert not await desk.is_refused(known=frozenset({"alice-1"}))
    assert not await desk.is_refused(known=frozenset({"bob-1", "gone-1", "alice-1"}))
    assert not await desk.is_refused(peer="198.51.100.1")


async def test_attack_u4_a_browser_that_somebody_else_used_before_is_no_better(desk: Desk) -> None:
    bobs = frozenset({"bob-1"})
    for _ in range(10):
        assert await desk.enter("alice", "wrong", known=bobs) is None
    assert await desk.is_refused(known=bobs)
    assert not await desk.is_refused("bob", known=bobs)


async def test_attack_u1_what_a_browser_knows_is_found_without_asking_for_the_name(desk: Desk) -> None:
    await desk.wrong(10)
    await desk.wrong(10, "nobody")
    desk.store.names.clear()
    for name in ("alice", "nobody"):
        assert await desk.is_refused(name, known=frozenset({"bob-1"}))
    assert desk.store.names == []


# Alarms


async def test_attack_u2_an_account_that_runs_dry_is_one_event_about_its_person(desk: Desk) -> None:
    await desk.wrong(10)
    assert await desk.is_refused()
    (event,) = [event for event in await audited(desk.store) if event.name == "sign_in_throttled"]
    assert event in desk.sink.events
    assert (event.about, event.subject, event.reason) == ("alice-1", "alice-1", "one account from one address")
    assert (event.network, event.support_id) == ("192.0.2.0/24", "abc")


async def test_attack_l2_what_was_typed_is_told_nowhere(desk: Desk) -> None:
    for number in range(5):
        await desk.wrong(10, f"{TYPED}{number}")
    assert await desk.is_refused(f"{TYPED}0")
    everything = msgspec.json.encode([desk.sink.events, await audited(desk.store)])
    assert everything.count(b"sign_in_throttled") == 2 * (5 + 1)
    assert TYPED.encode() not in everything


SPRAYED: dict[str, tuple[int, Callable[[int], tuple[str, str]]]] = {
    "many accounts from one address": (50, lambda n: (f"name{n}", PEER)),
    "many accounts from one network": (500, lambda n: (f"name{n}", f"192.0.2.{n % 250}")),
    "one account from many networks": (300, lambda n: ("alice", f"198.51.{n % 250}.1")),
    "many accounts from many networks": (1000, lambda n: (f"name{n}", f"198.{n // 250}.{n % 250}.1")),
}


@pytest.mark.parametrize("reason", SPRAYED)
async def test_attack_u2_spraying_gives_one_alarm(desk: Desk, reason: str) -> None:
    allowed, guess = SPRAYED[reason]
    for number in range(allowed):
        assert reason not in [why for *_, why in desk.told()]
        username, peer = guess(number)
        await desk.wrong(1, username, peer)
    (event,) = [event for event in await audited(desk.store) if event.reason == reason]
    assert event.about == ("alice-1" if reason.startswith("one account") else "")
    refuses = reason != "many accounts from many networks"
    username, peer = guess(allowed)
    assert await desk.is_refused(username, peer) == refuses


async def test_an_alarm_that_cannot_be_committed_lets_nobody_in_and_still_reaches_the_sink(
    clock: ManualClock, sink: ListSink
) -> None:
    one = Allowance(1, Seconds(60))
    desk = Desk(clock, sink, Allowances(one, one, one, one, one))

    async def full(changes: object) -> None:
        raise StoreUnavailable("the disk is full")

    desk.store.apply = full  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await desk.enter()
    assert [name for name, *_ in desk.told()] == ["sign_in_failed", *["sign_in_throttled"] * 5]
    assert await desk.is_refused()
