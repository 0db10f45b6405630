"""How often a parent may be answered again: a holder of it must not mint tokens without end.

Per process, bounded: it slows down and never refuses for good, so nothing is lost when it forgets.
"""

from typing import Final

from detent.core.ids import FamilyKey, Instant
from detent.core.windows import Windows

PER_MINUTE: Final = 120
WINDOW_SECONDS: Final = 60
REMEMBERED: Final = 10_000


class RepeatLimit:
    def __init__(self) -> None:
        self._repeats = Windows(WINDOW_SECONDS, REMEMBERED)

    def seconds_to_wait(self, key: FamilyKey, parent: int, now: Instant) -> int:
        """Count one repeat; 0 if it may be answered, else how long to wait."""
        name = key, parent
        wait = self._repeats.seconds_to_wait(name, PER_MINUTE, now)
        if not wait:
            self._repeats.count(name, now)
        return wait
