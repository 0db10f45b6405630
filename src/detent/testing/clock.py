"""A clock that only moves when the test says so."""

from detent.core.ids import Instant


class ManualClock:
    def __init__(self, start: int = 1_800_000_000) -> None:
        self._now = start

    def now(self) -> Instant:
        return Instant(self._now)

    def advance(self, seconds: int) -> Instant:
        """Negative seconds turn it back, as an operator's mistake would."""
        self._now += seconds
        return self.now()
