"""How often anybody may do what costs us something, in a window of time: from one network, and from all of them.

In memory, per process, for a bounded number of networks; a restart forgets it.
"""

from collections import OrderedDict
from typing import Final

from detent.core.errors import SlowDown
from detent.core.exchange import network_of
from detent.core.ids import Instant
from detent.core.policy import HOUR

WINDOW: Final = HOUR
_PLACES: Final = 4096


class Flood:
    def __init__(self, at_one_network: int, everywhere: int) -> None:
        self._limits = at_one_network, everywhere
        self._begun: OrderedDict[str, tuple[Instant, int]] = OrderedDict()

    def count(self, peer: str, now: Instant, what: str) -> None:
        """Raises SlowDown."""
        for name, limit in zip((network_of(peer), "everywhere"), self._limits, strict=True):
            begun, counted = self._begun.get(name, (now, 0))
            if now - begun >= WINDOW:
                begun, counted = now, 0
            if counted >= limit:
                wait = begun + WINDOW - now
                raise SlowDown(f"Too many {what}. Try again in {wait} seconds.", retry_after=wait)
            self._begun[name] = (begun, counted + 1)
            self._begun.move_to_end(name)
        while len(self._begun) > _PLACES:
            self._begun.popitem(last=False)
