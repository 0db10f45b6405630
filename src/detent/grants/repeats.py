"""How often a parent may be answered again: a holder of it must not mint access tokens without end.

In memory, per process, bounded: it slows down and never refuses for good, so nothing is lost when it forgets.
"""

from collections import OrderedDict
from typing import Final

from detent.core.ids import FamilyKey, Instant

PER_MINUTE: Final = 120
WINDOW_SECONDS: Final = 60
REMEMBERED: Final = 10_000


class RepeatLimit:
    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[FamilyKey, int], tuple[Instant, int]] = OrderedDict()

    def seconds_to_wait(self, key: FamilyKey, generation: int, now: Instant) -> int:
        """Count one repeat; 0 if it may be answered, else how long to wait."""
        started, count = self._seen.get((key, generation), (now, 0))
        if not 0 <= now - started < WINDOW_SECONDS:
            started, count = now, 0
        if count >= PER_MINUTE:
            return WINDOW_SECONDS - (now - started)
        self._seen[key, generation] = started, count + 1
        self._seen.move_to_end((key, generation))
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return 0
