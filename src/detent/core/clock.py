"""What to make of a clock that does not go on as it did, between two looks at it or between two starts (attack F7).

Rule: the time that is decided by never falls, so what expired stays expired; and it leaps for nobody's mistake, so
nobody is signed out by one. A clock that is set while a server runs counts for nothing, except that a machine which
stood still may catch up. What happened between two starts nobody knows: the store says when it was served last.
"""

from typing import Final, Literal

import msgspec

from detent.core.ids import Instant, Seconds
from detent.core.policy import DAY, MINUTE

FOLLOWED: Final = 60.0  # seconds by which a clock may be corrected at once
PATIENCE: Final = 5 * MINUTE  # that it must have stayed ahead, before a machine is believed to have stood still
STOOD_STILL: Final = 7 * DAY  # no machine does for longer
BEHIND: Final = 5 * MINUTE  # clocks of two nodes, or of one before and after a start, may differ by
OUT_OF_USE: Final = 400 * DAY  # no installation is for longer
SETTLING: Final = Seconds(DAY)  # that nothing is swept after a long pause: so long an operator has to notice

Found = Literal["fine", "behind", "ahead"]


class Steady(msgspec.Struct, frozen=True):
    """`now` is what is said; `wall` and `elapsed` the last look that was believed; `leapt_at` when it ceased to be."""

    now: float
    wall: float
    elapsed: float
    leapt_at: float | None = None


def looked(before: Steady, wall: float, elapsed: float) -> Steady:
    """`wall` is the machine's clock, `elapsed` the seconds that passed, whatever anybody sets."""
    expected = before.wall + elapsed - before.elapsed
    leap = wall - expected
    stayed = before.leapt_at is not None and elapsed - before.leapt_at >= PATIENCE
    if abs(leap) <= FOLLOWED or (stayed and 0 < leap <= STOOD_STILL):
        return Steady(max(before.now, wall), wall, elapsed)
    leapt_at = elapsed if before.leapt_at is None else before.leapt_at
    return Steady(max(before.now, expected), before.wall, before.elapsed, leapt_at)


def at_start(now: Instant, latest: Instant) -> Found:
    """The clock, to the latest time that the store was served at; 0 for one that never was."""
    if now < latest - BEHIND:
        return "behind"
    return "ahead" if latest and now > latest + OUT_OF_USE else "fine"


def settling(now: Instant, latest: Instant) -> Seconds:
    """How long after a start nothing may be swept."""
    return SETTLING if latest and now > latest + STOOD_STILL else Seconds(0)
