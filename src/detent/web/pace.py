"""How fast it is told that what was shown is worth nothing: a flood of such requests slows itself and nobody else.

Refusing costs little, and ten thousand refusals a second are still a core, behind which everybody waits. So only so
many of them leave in a second. Each of the others waits for its turn, and its connection asks for nothing more
meanwhile; but never for long, since a proxy may have few connections to us, on which honest requests come too.
"""

from random import random
from typing import Final

IN_VAIN: Final = frozenset({"invalid_grant", "invalid_client", "invalid_token"})
PER_SECOND: Final = 500
AT_ONCE: Final = 50
LONGEST: Final = 0.1  # seconds


class Pace:
    def __init__(self, per_second: float = PER_SECOND, longest: float = LONGEST) -> None:
        self._apart = 1 / per_second
        self._longest = longest
        self._next = 0.0

    def seconds_to_wait(self, error: str, now: float) -> float:
        """For an answer with this OAuth code, or with none; `now` is in seconds of a clock that is never set back."""
        if error not in IN_VAIN:
            return 0.0
        turn = max(self._next, now - AT_ONCE * self._apart)
        if turn - now > self._longest:
            return self._longest * (1 + random()) / 2  # noqa: S311  # not all in the same moment
        self._next = turn + self._apart
        return max(0.0, turn - now)
