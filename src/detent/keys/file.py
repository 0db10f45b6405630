"""`FileKeys`: the keys of this server in a private directory, one file per key.

Made on the first start, held in memory, looked at again at most once per second, so that what another process
rotates is in force here within two. A directory that turns bad under a running server leaves it the keys it has.
When a key is used is ring.py's question; how a file is kept, directory.py's and stored.py's.
"""

import contextlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from detent.core.api import SigningAlg
from detent.core.encryption import OwnAlg
from detent.core.errors import KeyUnknown
from detent.core.ids import Instant
from detent.keys.directory import PrivateDirectory, Stamp
from detent.keys.held import NEEDED, SCHEDULE, HeldKeys, Plans, Turn, refuse_incomplete, turn_of
from detent.keys.material import SigningKey
from detent.keys.ring import KeysError, Purpose, RingKey, Schedule, plan_revocation, plan_rotation
from detent.keys.stored import StoredKey, name_of, read_key, write_key
from detent.ports import Clock

log = logging.getLogger("detent.keys")


class FileKeys(HeldKeys):
    """Implements ports.Keys, and rotates; for one thread."""

    def __init__(self, directory: PrivateDirectory, clock: Clock, schedule: Schedule) -> None:
        super().__init__(clock, schedule)
        self._directory = directory
        self._stamps: dict[str, Stamp] = {}
        self._touched: int | None = None
        self._make_missing(NEEDED)

    @classmethod
    def open(cls, path: Path, clock: Clock, *, schedule: Schedule = SCHEDULE) -> Self:
        """Read the keys and make those that are missing (about half a second on the first start).

        Raises KeysError, which names the file and what to do, if one is corrupt or open to others.
        """
        return cls(PrivateDirectory(path), clock, schedule)

    async def provide(self, alg: SigningAlg | OwnAlg) -> None:
        if not self._provided(alg):
            self._make_missing((alg,))

    def missed(self) -> None:
        """Who invents keys has the directory looked at, and the files in it only where one was put in or taken out."""
        if self._touched is not None and self._touched == self._directory.touched():
            return
        if self._look():
            self._renew(self._clock.now())
            raise KeyUnknown

    def look_again(self) -> contextlib.nullcontext[None]:
        """`missed` did."""
        return contextlib.nullcontext()

    async def rotate(self, purpose: Purpose, *, at_once: bool = False) -> RingKey:
        """Let the next key take over; the answer's `use_from` says when. For `at_once` see `ring.plan_rotation`."""
        turn = self._turn(
            lambda now: {purpose: plan_rotation(self._ring(), purpose, self._schedule, now, at_once=at_once)}
        )
        return (turn.moved or turn.made)[0][0]

    async def revoke(self, kid: str) -> RingKey:
        """Drop this signing key at once; the answer is the one that signs in its place. See `ring.plan_revocation`."""
        turn = self._turn(lambda now: dict([plan_revocation(self._ring(), kid, now)]))
        return self._current(turn.drop[0].purpose)

    def _turn(self, plans: Plans) -> Turn:
        with self._directory.locked():
            self._load()
            now = self._clock.now()
            turn = turn_of(plans(now), self._stored, now)
            self._carry_out(turn)
            self._load()
        super()._renew(now)
        return turn

    def stored(self) -> Sequence[StoredKey]:
        """Every key with its material: for whoever puts them elsewhere."""
        return tuple(self._stored.values())

    def _signer(self, alg: SigningAlg) -> SigningKey:
        """The first key of an algorithm is made when an API that chose it needs it."""
        if signer := self._now().signers.get(alg):
            return signer
        self._make_missing((alg,))
        return super()._signer(alg)

    def _renew(self, now: Instant) -> None:
        self._look()
        super()._renew(now)

    def _look(self) -> bool:
        """Take in what changed on disk, all of it or nothing; whether anything did."""
        before = self._stored
        try:
            self._touched = self._directory.touched()
            if self._directory.stamps() == self._stamps:
                return False
            self._load()
            refuse_incomplete(self._stored, self._directory.path)
        except (KeysError, OSError) as error:
            log.error("The keys cannot be read, so those in memory stay in force. %s", error)
            self._stored = before
        return self._stored is not before

    def _load(self) -> None:
        """Read every file that is new or changed. Raises KeysError."""
        self._stamps = self._directory.stamps()
        stored = {}
        for name, stamp in self._stamps.items():
            before = self._stored.get(name)
            with contextlib.suppress(FileNotFoundError):
                stored[name] = before if before and before.stamp == stamp else read_key(self._directory, name, stamp)
        self._stored = stored

    def _make_missing(self, purposes: Iterable[Purpose]) -> None:
        self._turn(lambda now: self._lacking(purposes, now))

    def _carry_out(self, turn: Turn) -> None:
        for key, material in (*turn.made, *turn.moved):
            write_key(self._directory, key, material)
        for key in turn.drop:
            self._directory.delete(name_of(key))
