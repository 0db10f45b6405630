"""How fast it is told that what was shown is worth nothing: a flood of such requests slows itself and nobody else.

Refusing costs little, and ten thousand refusals a second are still most of a core, behind which everybody waits. So
these answers leave one after the other, so many in a second, and the connection of one that waits for its turn asks
for nothing more meanwhile. None waits for long, since a proxy may have few connections to us, on which honest requests
come too: what would have to wait longer leaves besides.
"""

from random import random
from typing import Final

IN_VAIN: Final = frozenset({"invalid_grant", "invalid_client", "invalid_token"})
PER_SECOND: Final = 500
AT_ONCE: Final = 50
LONGEST: Final = 0.1  # seconds


class Pace:
    def __init__(self) -> None:
        self._next = 0.0

    def seconds_to_wait(self, error: str, now: float) -> float:
        """For an answer with this OAuth code, or with none; `now` is in seconds of a clock that is never set back."""
        if error not in IN_VAIN:
            return 0.0
        turn = max(self._next, now - AT_ONCE / PER_SECOND)
        if turn - now > LONGEST:
            return LONGEST * (1 + random()) / 2  # noqa: S311  # not all in the same moment
        self._next = turn + 1 / PER_SECOND
        return max(0.0, turn - now)
