"""How often something was counted in a window of time, which begins with the first of it: for bounds on what costs us.

In memory, for a bounded number of keys: of more, those are forgotten that were counted longest ago. Who is counted,
how often they may come and what they are told is up to whoever counts.
"""

from collections.abc import Hashable

from detent.core.ids import Instant
from detent.core.latest import Latest


class Windows:
    def __init__(self, seconds: int, most: int) -> None:
        self._seconds = seconds
        self._begun: Latest[Hashable, tuple[Instant, int]] = Latest(most)

    def count(self, key: Hashable, now: Instant) -> None:
        begun, counted = self._window(key, now)
        self._begun[key] = begun, counted + 1

    def seconds_to_wait(self, key: Hashable, limit: int, now: Instant) -> int:
        """Until its window is over, if it was counted `limit` times in it; else 0."""
        begun, counted = self._window(key, now)
        return begun + self._seconds - now if counted >= limit else 0

    def clear(self) -> None:
        self._begun.clear()

    def _window(self, key: Hashable, now: Instant) -> tuple[Instant, int]:
        """When it began and what it counts; a new one where the clock was set back, too, so that no wait is longer."""
        begun, counted = self._begun.get(key, (now, 0))
        return (begun, counted) if 0 <= now - begun < self._seconds else (now, 0)
