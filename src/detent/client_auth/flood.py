"""How often anybody may do what costs us something, in a window of time: from one network, and from all of them.

Per process, for a bounded number of networks; a restart forgets it.
"""

from typing import Final

from detent.core.errors import SlowDown
from detent.core.exchange import network_of
from detent.core.ids import Instant
from detent.core.policy import HOUR
from detent.core.windows import Windows

WINDOW: Final = HOUR
_PLACES: Final = 4096


class Flood:
    def __init__(self, at_one_network: int, everywhere: int) -> None:
        self._limits = at_one_network, everywhere
        self._windows = Windows(WINDOW, _PLACES)

    def count(self, peer: str, now: Instant, what: str) -> None:
        """Raises SlowDown."""
        names = network_of(peer), "everywhere"
        for name, limit in zip(names, self._limits, strict=True):
            if wait := self._windows.seconds_to_wait(name, limit, now):
                raise SlowDown(f"Too many {what}. Try again in {wait} seconds.", retry_after=wait)
        for name in names:
            self._windows.count(name, now)
