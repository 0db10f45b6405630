"""Attack row F7: the time that is decided by never falls, and leaps for nobody's mistake."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detent.core.clock import FOLLOWED, PATIENCE, STOOD_STILL, Steady, at_start, looked, settling
from detent.core.ids import Instant
from detent.core.policy import DAY
from detent.system import SystemClock

HOUR, YEAR = 3600, 365 * DAY
START = 1_790_000_000


class Dials:
    """What the machine tells: a clock that can be set, and the seconds that passed, which cannot."""

    def __init__(self, start: float = START) -> None:
        self.wall = start
        self.elapsed = 0.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.elapsed += seconds

    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.wall, lambda: self.elapsed)


@pytest.mark.parametrize("leap", [HOUR, -HOUR, 10 * YEAR, -10 * YEAR, 61, -61])
def test_fault_f7_a_clock_that_is_set_counts_for_nothing_and_is_believed_when_it_is_set_back(leap: int) -> None:
    dials = Dials()
    clock = dials.clock()
    dials.wall += leap
    assert clock.now() == START
    dials.pass_by(100)
    assert clock.now() == START + 100
    dials.wall -= leap
    dials.pass_by(100)
    assert clock.now() == START + 200


@pytest.mark.parametrize("passes", [FOLLOWED + 1, 100, DAY])
def test_fault_f7_a_clock_that_stood_still_while_time_passed_holds_nothing_up(passes: int) -> None:
    dials = Dials(START + 0.25)
    clock = dials.clock()
    assert clock.now() == START
    dials.elapsed += passes
    assert clock.now() == START + passes


@pytest.mark.quick
def test_a_second_begins_when_the_clock_says_so_however_often_it_is_asked() -> None:
    dials = Dials(START + 0.25)
    clock = dials.clock()
    for quarter in range(1, 400):
        assert clock.now() == clock.now() == int(dials.wall)
        dials.pass_by(0.25 if quarter % 7 else 1.75)


@pytest.mark.quick
@pytest.mark.parametrize("step", [FOLLOWED, -FOLLOWED, 0.5, -0.5])
def test_a_small_correction_is_followed_and_never_backwards(step: float) -> None:
    dials = Dials()
    clock = dials.clock()
    dials.wall += step
    assert clock.now() == max(START, int(START + step))
    dials.pass_by(FOLLOWED)
    assert clock.now() == int(START + FOLLOWED + step)


def test_fault_f7_a_clock_that_steps_back_every_day_is_right_every_day() -> None:
    dials = Dials()
    clock = dials.clock()
    said = START
    for _ in range(100):
        dials.pass_by(DAY)
        dials.wall -= 30
        now = clock.now()
        assert said <= now
        assert abs(now - dials.wall) < 1
        said = now


@pytest.mark.quick
def test_a_machine_that_stood_still_catches_up_once_its_clock_stayed_ahead() -> None:
    dials = Dials()
    clock = dials.clock()
    dials.wall += 8 * HOUR
    assert clock.now() == START
    dials.pass_by(PATIENCE - 1)
    assert clock.now() == START + PATIENCE - 1
    dials.pass_by(1)
    assert clock.now() == START + 8 * HOUR + PATIENCE


@pytest.mark.parametrize("leap", [STOOD_STILL + 1, -HOUR])
def test_fault_f7_a_clock_that_no_pause_explains_is_never_followed(leap: int) -> None:
    dials = Dials()
    clock = dials.clock()
    dials.wall += leap
    for hours in range(48):
        assert clock.now() == START + hours * HOUR
        dials.pass_by(HOUR)


@given(st.lists(st.tuples(st.floats(0, 10 * DAY), st.floats(-10 * YEAR, 10 * YEAR)), max_size=30))
def test_fault_f7_time_never_falls_whatever_is_done_to_the_clock(done: list[tuple[float, float]]) -> None:
    steady, wall, elapsed = Steady(START, START, 0), float(START), 0.0
    said = [steady.now]
    for passed, leap in done:
        wall, elapsed = wall + passed + leap, elapsed + passed
        steady = looked(steady, wall, elapsed)
        said.append(steady.now)
    assert all(before <= after for before, after in itertools.pairwise(said))


@pytest.mark.quick
def test_a_start_goes_on_from_the_latest_time_of_the_store() -> None:
    dials = Dials()
    clock = dials.clock()
    clock.not_before(Instant(START + 200))
    dials.pass_by(199)
    assert clock.now() == START + 200
    dials.pass_by(2)
    assert clock.now() == START + 201


@pytest.mark.parametrize(
    ("off", "found", "rest"),
    [
        (0, "fine", 0),
        (-299, "fine", 0),
        (-HOUR, "behind", 0),
        (-10 * YEAR, "behind", 0),
        (HOUR, "fine", 0),
        (30 * DAY, "fine", DAY),
        (10 * YEAR, "ahead", DAY),
    ],
)
def test_fault_f7_what_a_start_makes_of_the_clock(off: int, found: str, rest: int) -> None:
    assert (at_start(Instant(START + off), Instant(START)), settling(Instant(START + off), Instant(START))) == (
        found,
        rest,
    )
    assert (at_start(Instant(START + off), Instant(0)), settling(Instant(START + off), Instant(0))) == ("fine", 0)
