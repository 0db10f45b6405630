"""The clock and the randomness of this machine: the two ports that need nothing else.

Everything that decides gets both as arguments; only the composition root chooses these.
"""

import logging
import os
import time
from collections.abc import Callable
from functools import partial

import msgspec

from detent.core.clock import Steady, looked
from detent.core.ids import Instant

log = logging.getLogger("detent.clock")


# Seconds that passed, those included for which the machine slept, where it tells.
_elapsed: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


class SystemClock:
    """Seconds since 1970 that never fall, and that nobody who sets the machine's clock makes leap (core/clock.py)."""

    def __init__(self, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] = _elapsed) -> None:
        self._wall = wall
        self._elapsed = elapsed
        began = wall()
        self._last = Steady(began, began, elapsed())
        self._second = Instant(int(began))  # what is said until then:
        self._until = 0.0  # the elapsed second in which the second ends that the last look was in

    def now(self) -> Instant:
        elapsed = self._elapsed()
        if elapsed < self._until:  # a request asks seven times
            return self._second
        before, wall = self._last, self._wall()
        self._last = looked(before, wall, elapsed)
        if (before.leapt_at is None) != (self._last.leapt_at is None):
            self._tell(wall)
        self._until = elapsed + 1 - self._last.now % 1
        self._second = Instant(int(self._last.now))
        return self._second

    def not_before(self, latest: Instant) -> None:
        """The store has seen this time already."""
        self._last = msgspec.structs.replace(self._last, now=max(self._last.now, float(latest)))
        self._until = 0.0

    def _tell(self, wall: float) -> None:
        if self._last.leapt_at is None:
            log.warning("the machine's clock is believed again")
            return
        leap = int(wall - self._last.now)
        log.critical(
            "The machine's clock was set by %+d seconds. detent goes on by the time that passed; set the clock right, "
            "or, if it is right now, start detent again.",
            leap,
        )


class SystemEntropy:
    def token_bytes(self, size: int) -> bytes:
        return os.urandom(size)
