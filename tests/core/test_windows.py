"""Counting in windows of time: what waits, for how long, and what is forgotten."""

import pytest

from detent.core.ids import Instant
from detent.core.windows import Windows

pytestmark = pytest.mark.quick


def at(seconds: int) -> Instant:
    return Instant(1_000 + seconds)


def test_what_was_counted_to_its_limit_waits_until_the_window_that_its_first_began_is_over() -> None:
    windows = Windows(60, 8)
    for seconds in (0, 30):
        assert windows.seconds_to_wait("a", 2, at(seconds)) == 0
        windows.count("a", at(seconds))
    waits = [windows.seconds_to_wait("a", 2, at(seconds)) for seconds in (30, 59, 60)]
    assert waits == [30, 1, 0]
    windows.count("a", at(60))
    assert windows.seconds_to_wait("a", 1, at(60)) == 60
    assert windows.seconds_to_wait("b", 1, at(60)) == 0, "each key by itself"


def test_a_clock_that_was_set_back_makes_nobody_wait_longer_than_a_window() -> None:
    windows = Windows(60, 8)
    windows.count("a", at(3_600))
    assert windows.seconds_to_wait("a", 1, at(0)) == 0


def test_beyond_the_bound_whoever_was_counted_longest_ago_is_forgotten() -> None:
    windows = Windows(60, 2)
    for key in "abac":
        windows.count(key, at(0))
    assert [windows.seconds_to_wait(key, 1, at(0)) for key in "abc"] == [60, 0, 60]
