"""How often a client's proof may be wrong: a hundred times a minute from one address, then that address waits.

Source: RFC 6749 §10.10, RFC 9700 §2.5. Our secrets have 256 bits and need no such bound; those that somebody chose do.
Rule: nobody is refused at another address than the one that guessed, so the honest client goes on. Per process,
for a bounded number of pairs; a restart forgets them.
"""

from hashlib import blake2b
from typing import Final

from detent.core.errors import SlowDown
from detent.core.exchange import network_of
from detent.core.ids import Instant
from detent.core.policy import MINUTE
from detent.core.windows import Windows

WINDOW: Final = MINUTE
FAILURES: Final = 100
_PLACES: Final = 1 << 16

Pair = tuple[bytes, str]


class Guesses:
    def __init__(self) -> None:
        self._failed = Windows(WINDOW, _PLACES)
        self._quiet_from = Instant(0)

    def refuse_too_many(self, client_id: str, peer: str, now: Instant) -> None:
        """Raises SlowDown: not even the right proof would be heard."""
        if now >= self._quiet_from:  # as it mostly is: then a request costs nothing here
            self._failed.clear()
            return
        if wait := self._failed.seconds_to_wait(_pair(client_id, peer), FAILURES, now):
            raise SlowDown(
                f"Too many proofs of this client were wrong at this address. Try again in {wait} seconds.",
                retry_after=wait,
            )

    def failed(self, client_id: str, peer: str, now: Instant) -> None:
        pair = _pair(client_id, peer)
        if pair[1]:  # an address that nobody knows is everybody's
            self._failed.count(pair, now)
            self._quiet_from = Instant(now + WINDOW)


def _pair(client_id: str, peer: str) -> Pair:
    """Of fixed size: people send what they like as a client_id. An address is a /32 or a /64."""
    return blake2b(client_id.encode("utf-8", "surrogatepass"), digest_size=16).digest(), network_of(peer, 32, 64)
