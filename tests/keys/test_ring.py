"""The ring: any order of rotations, crashes and clocks leaves one key in use, and no verifier is taken by surprise."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detent.core.ids import Instant, Seconds
from detent.keys.ring import (
    PURPOSES,
    SECRET_PURPOSES,
    KeysError,
    Purpose,
    RingKey,
    Rotation,
    Schedule,
    current,
    plan_missing,
    plan_revocation,
    plan_rotation,
    states,
)

SCHEDULE = Schedule(Seconds(3600), Seconds(10), Seconds(86_700), Seconds(30 * 86_400))
START = Instant(1_800_000_000)


class Ring:
    """Carries plans out, as the files do; `steps` counts how many of the writes happen before a crash."""

    def __init__(self, purpose: Purpose) -> None:
        self.purpose = purpose
        self.now = START
        self.keys: dict[str, RingKey] = {}
        self.made = 0
        self.carry_out(plan_missing((), purpose, self.now))

    def carry_out(self, plan: Rotation, steps: int = 100) -> None:
        writes: list[RingKey | str] = []
        for use_from in plan.create:
            self.made += 1
            writes.append(RingKey(str(self.made), self.purpose, self.now, use_from))
        writes += [plan.use] if plan.use else []
        writes += [key.id for key in plan.drop]
        for write in writes[:steps]:
            if isinstance(write, str):
                del self.keys[write]
            else:
                self.keys[write.id] = write

    def rotate(self, steps: int = 100, *, at_once: bool = False) -> None:
        plan = plan_rotation(self.keys.values(), self.purpose, SCHEDULE, self.now, at_once=at_once)
        self.carry_out(plan, steps)

    def current(self) -> RingKey:
        found = current(self.keys.values(), self.purpose, self.now)
        assert found
        return found

    def ids(self, *wanted: str) -> list[str]:
        return [each.key.id for each in states(self.keys.values(), SCHEDULE, self.now) if each.state in wanted]


@pytest.fixture(params=PURPOSES)
def ring(request: pytest.FixtureRequest) -> Ring:
    return Ring(request.param)


def test_the_first_key_is_used_at_once_and_a_signing_key_already_has_a_successor(ring: Ring) -> None:
    assert ring.ids("current") == ["1"]
    assert ring.ids("next") == ([] if ring.purpose in SECRET_PURPOSES else ["2"])


def test_a_successor_published_long_ago_takes_over_in_the_same_second() -> None:
    ring = Ring("RS256")
    ring.now = Instant(ring.now + SCHEDULE.publish_ahead)
    ring.rotate()
    assert (ring.ids("current"), ring.ids("retired"), ring.ids("next")) == (["2"], ["1"], ["3"])


def test_a_successor_published_just_now_takes_over_when_everybody_can_know_it(ring: Ring) -> None:
    ahead = SCHEDULE.ahead(ring.purpose)
    ring.rotate()
    ring.now = Instant(START + ahead - 1)
    assert ring.ids("current") == ["1"]
    ring.now = Instant(START + ahead)
    assert ring.ids("current") == ["2"]


def test_a_rotation_under_way_is_finished_before_the_next_and_the_refusal_says_when(ring: Ring) -> None:
    ring.rotate()
    with pytest.raises(KeysError, match=rf"key 2 takes over at {START + SCHEDULE.ahead(ring.purpose)}"):
        ring.rotate()


@pytest.mark.parametrize("purpose", ["RS256", "handle"])
def test_a_retired_key_verifies_for_the_longest_life_and_is_then_dropped(purpose: Purpose) -> None:
    ring = Ring(purpose)
    ring.rotate()
    life = {"RS256": SCHEDULE.signed_life, "handle": SCHEDULE.handle_life}[purpose]
    ring.now = Instant(START + SCHEDULE.ahead(purpose) + life - 1)
    assert ring.ids("retired") == ["1"]
    ring.now = Instant(ring.now + 1)
    assert ring.ids("expired") == ["1"]
    ring.rotate()
    assert "1" not in ring.keys


def test_a_pepper_verifies_for_ever() -> None:
    ring = Ring("pepper")
    for _ in range(3):
        ring.rotate()
        ring.now = Instant(ring.now + 100 * 365 * 86_400)
    assert ring.ids("retired") == ["1", "2", "3"]


def test_rfc8725_3_10_after_a_compromise_no_key_of_the_purpose_is_left_not_even_the_next(ring: Ring) -> None:
    before = set(ring.keys)
    ring.rotate(at_once=True)
    assert ring.current().use_from == ring.now
    assert before.isdisjoint(ring.keys)


def test_a_compromise_does_not_wait_for_a_rotation_under_way(ring: Ring) -> None:
    ring.rotate()
    ring.rotate(at_once=True)
    assert ring.current().use_from == ring.now


def revoked(ring: Ring, kid: str) -> None:
    purpose, plan = plan_revocation(ring.keys.values(), kid, ring.now)
    assert purpose == ring.purpose
    ring.carry_out(plan)


def test_rfc8725_3_10_the_key_that_signs_is_revoked_and_the_one_that_everybody_knows_takes_over_at_once() -> None:
    ring = Ring("RS256")
    revoked(ring, "1")
    assert (ring.ids("current"), ring.ids("next"), ring.ids("retired")) == (["2"], ["3"], [])


def test_a_key_that_waits_or_is_retired_is_revoked_and_the_one_that_signs_goes_on() -> None:
    ring = Ring("RS256")
    revoked(ring, "2")
    assert (ring.ids("current"), ring.ids("next")) == (["1"], ["3"])
    ring.now = Instant(ring.now + SCHEDULE.publish_ahead)
    ring.rotate()
    revoked(ring, "1")
    assert (ring.ids("current"), ring.ids("retired")) == (["3"], [])


def test_a_revocation_does_not_wait_for_a_rotation_under_way() -> None:
    ring = Ring("ES256")
    ring.rotate()
    revoked(ring, "1")
    assert ring.current() == RingKey("2", "ES256", START, START)
    assert ring.ids("next") == ["3"]


@pytest.mark.parametrize("purpose", SECRET_PURPOSES)
def test_only_signing_keys_are_revoked_by_themselves(purpose: Purpose) -> None:
    with pytest.raises(KeysError, match="There is no signing key 1 here"):
        plan_revocation(Ring(purpose).keys.values(), "1", START)


def test_rotating_an_algorithm_that_has_no_key_makes_its_first() -> None:
    assert plan_rotation((), "ES256", SCHEDULE, START) == plan_missing((), "ES256", START) == Rotation((START, None))


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("steps", range(5))
def test_a_crash_after_any_write_of_a_rotation_leaves_a_ring_that_signs_verifies_and_rotates(
    ring: Ring, steps: int, at_once: bool
) -> None:
    ring.now = Instant(ring.now + 7200)
    in_use = ring.current()
    ring.rotate(steps, at_once=at_once)
    if not at_once:
        assert in_use.id in ring.ids("current", "retired")
    ring.carry_out(plan_missing(ring.keys.values(), ring.purpose, ring.now))
    assert len(ring.ids("current")) == 1
    ring.now = Instant(ring.now + 7200)
    ring.rotate()
    ring.now = Instant(ring.now + 7200)
    assert ring.current() != in_use


def test_a_clock_set_back_leaves_a_key_in_use(ring: Ring) -> None:
    ring.now = Instant(START - 10**6)
    assert ring.ids("current") == ["1"]


moves = st.lists(st.tuples(st.integers(0, 90_000), st.booleans()), max_size=40)


@given(moves=moves)
def test_a_key_is_used_only_after_everybody_could_know_it_and_known_while_what_it_signed_lives(
    moves: Sequence[tuple[int, bool]],
) -> None:
    ring = Ring("RS256")
    used: dict[str, Instant] = {}  # id → when it last signed
    published_since = {"1": Instant(START - SCHEDULE.publish_ahead)}  # nobody held an older key set at the first start
    for seconds, rotates in moves:
        ring.now = Instant(ring.now + seconds)
        if rotates:
            try:
                ring.rotate()
            except KeysError:
                assert any((key.use_from or 0) > ring.now for key in ring.keys.values())
        signer = ring.current()
        used[signer.id] = ring.now
        published_since |= {key.id: key.created_at for key in ring.keys.values() if key.id not in published_since}
        assert ring.now - published_since[signer.id] >= SCHEDULE.publish_ahead
        alive = {key for key, last in used.items() if ring.now - last < SCHEDULE.signed_life}
        assert alive <= set(ring.ids("current", "retired"))
        assert len(ring.ids("current")) == 1
