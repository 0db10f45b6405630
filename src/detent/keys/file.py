"""`FileKeys`: the keys of this server in a private directory, one file per key.

Made on the first start, held in memory, looked at again at most once per second, so that what another process
rotates is in force here within two. A directory that turns bad under a running server leaves it the keys it has.
When a key is used is ring.py's question; how a file is kept, directory.py's and stored.py's.
"""

import contextlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, Final, Self

from detent.core.api import SigningAlg
from detent.core.ids import Instant
from detent.keys.directory import PrivateDirectory, Stamp
from detent.keys.material import SigningKey, generate
from detent.keys.ring import KeysError, KeyState, Purpose, RingKey, Rotation, Schedule, plan_missing, plan_rotation
from detent.keys.stored import NUMBERS, StoredKey, name_of, read_key, write_key
from detent.keys.view import View, view_of
from detent.ports import Clock, SecretKeys

log = logging.getLogger("detent.keys")

SCHEDULE: Final = Schedule()
_NEEDED: Final[tuple[Purpose, ...]] = ("RS256", "handle", "pepper", "audit")


class FileKeys:
    """Implements ports.Keys, and rotates; for one thread."""

    def __init__(self, directory: PrivateDirectory, clock: Clock, schedule: Schedule) -> None:
        self._directory = directory
        self._clock = clock
        self._schedule = schedule
        self._stamps: dict[str, Stamp] = {}
        self._stored: dict[str, StoredKey] = {}
        self._view = self._with_keys_for(_NEEDED)

    @classmethod
    def open(cls, path: Path, clock: Clock, *, schedule: Schedule = SCHEDULE) -> Self:
        """Read the keys and make those that are missing (about half a second on the first start).

        Raises KeysError, which names the file and what to do, if one is corrupt or open to others.
        """
        return cls(PrivateDirectory(path), clock, schedule)

    def signing_kid(self, alg: SigningAlg) -> str:
        return self._signer(alg).kid

    def sign(self, alg: SigningAlg, typ: str, claims: dict[str, Any]) -> str:
        return self._signer(alg).sign(typ, claims)

    def public_jwks(self, algs: frozenset[str]) -> list[dict[str, Any]]:
        return [dict(key.public_jwk) for key in self._now().published if key.alg in algs]

    def handle_keys(self) -> SecretKeys:
        return self._now().handle

    def pepper(self) -> SecretKeys:
        return self._now().pepper

    def audit_keys(self) -> SecretKeys:
        return self._now().audit

    def states(self) -> Sequence[KeyState]:
        """Every key that there is and what becomes of it; without material."""
        return self._now().states

    def rotate(self, purpose: Purpose, *, at_once: bool = False) -> RingKey:
        """Let the next key take over; the answer's `use_from` says when. For `at_once` see `ring.plan_rotation`."""
        with self._directory.locked():
            self._load()
            now = self._clock.now()
            plan = plan_rotation(self._ring(), purpose, self._schedule, now, at_once=at_once)
            made = self._carry_out({purpose: plan}, now)
            self._load()
        self._view = view_of(self._stored, self._schedule, now)
        return plan.use or made[0]

    def _signer(self, alg: SigningAlg) -> SigningKey:
        """The first key of an algorithm is made when an API that chose it needs it."""
        view = self._now()
        if alg not in view.signers:
            view = self._view = self._with_keys_for((alg,))
        return view.signers[alg]

    def _now(self) -> View:
        now = self._clock.now()
        if now != self._view.at:
            self._look_again()
            self._view = view_of(self._stored, self._schedule, now)
        return self._view

    def _look_again(self) -> None:
        """Take in what changed on disk, all of it or nothing."""
        before = self._stored
        try:
            if self._directory.stamps() == self._stamps:
                return
            self._load()
            if missing := set(_NEEDED) - {key.purpose for key in self._ring()}:
                raise KeysError(f"{self._directory.path} holds no key for {', '.join(sorted(missing))}.")
        except (KeysError, OSError) as error:
            log.error("The keys cannot be read, so those in memory stay in force. %s", error)
            self._stored = before

    def _load(self) -> None:
        """Read every file that is new or changed. Raises KeysError."""
        self._stamps = self._directory.stamps()
        stored = {}
        for name, stamp in self._stamps.items():
            before = self._stored.get(name)
            with contextlib.suppress(FileNotFoundError):
                stored[name] = before if before and before.stamp == stamp else read_key(self._directory, name, stamp)
        self._stored = stored

    def _with_keys_for(self, purposes: tuple[Purpose, ...]) -> View:
        """Make what these purposes lack, and what a crash kept a known one from getting."""
        with self._directory.locked():
            self._load()
            now, ring = self._clock.now(), self._ring()
            known = dict.fromkeys((*purposes, *(key.purpose for key in ring)))
            self._carry_out({purpose: plan_missing(ring, purpose, now) for purpose in known}, now)
            self._load()
        return view_of(self._stored, self._schedule, now)

    def _carry_out(self, plans: dict[Purpose, Rotation], now: Instant) -> list[RingKey]:
        """Do what the plans say, in their order; the keys that were made. RSA keys are made in parallel."""
        wanted = [(purpose, use_from) for purpose, plan in plans.items() for use_from in plan.create]
        with ThreadPoolExecutor() as threads:
            materials = list(threads.map(generate, [purpose for purpose, _ in wanted]))
        made: list[RingKey] = []
        for (purpose, use_from), material in zip(wanted, materials, strict=True):
            key = RingKey(self._new_id(purpose, material), purpose, now, use_from)
            write_key(self._directory, key, material)
            made.append(key)
        for plan in plans.values():
            if plan.use:
                write_key(self._directory, plan.use, self._stored[name_of(plan.use)].material)
            for key in plan.drop:
                self._directory.delete(name_of(key))
        return made

    def _new_id(self, purpose: Purpose, material: bytes) -> str:
        if purpose != "handle" and purpose != "pepper" and purpose != "audit":
            return SigningKey(purpose, material).kid
        taken = {int(key.id) for key in self._ring() if key.purpose == purpose}
        upwards = chain(range(max(taken, default=0) + 1, NUMBERS.stop), NUMBERS)
        return str(next(number for number in upwards if number not in taken))

    def _ring(self) -> list[RingKey]:
        return [stored.key for stored in self._stored.values()]
