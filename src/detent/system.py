"""The clock and the randomness of this machine: the two ports that need nothing else.

Everything that decides gets both as arguments; only the composition root chooses these.
"""

import secrets
import time

from detent.core.ids import Instant


class SystemClock:
    def now(self) -> Instant:
        return Instant(int(time.time()))


class SystemEntropy:
    def token_bytes(self, size: int) -> bytes:
        return secrets.token_bytes(size)
