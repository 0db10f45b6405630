"""`HeldKeys`: the keys as this process holds them in memory, and every answer that needs no more than that.

Where they lie and how others hear of them is file.py's and database.py's; which key is used when, ring.py's.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, Final

import msgspec

from detent.core.api import SigningAlg
from detent.core.base64url import base64url
from detent.core.encryption import Enc, OwnAlg
from detent.core.errors import KeyUnknown
from detent.core.ids import Instant
from detent.keys.material import DecryptionKey, SigningKey, generate, pair_of
from detent.keys.ring import SECRET_PURPOSES, KeysError, KeyState, Purpose, RingKey, Rotation, Schedule, plan_missing
from detent.keys.signing import Signing
from detent.keys.stored import NUMBERS, StoredKey, name_of
from detent.keys.view import View, view_of
from detent.ports import Clock, SecretKeys

SCHEDULE: Final = Schedule()
NEEDED: Final[tuple[Purpose, ...]] = ("RS256", *SECRET_PURPOSES)

_CORES: Final = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# A signature of these takes a quarter of a millisecond and more: with a second core the loop goes on meanwhile.
_LONG: Final = frozenset({"RS256", "PS256"})
PROCESSES: Final = min(_CORES, 4) if _CORES > 1 else 0  # more than the loop can feed

Plans = Callable[[Instant], Mapping[Purpose, Rotation]]


class Turn(msgspec.Struct, frozen=True):
    """What rotations come to: keys to put, new or with another `use_from`, in this order; then those to drop."""

    made: tuple[tuple[RingKey, bytes], ...]
    moved: tuple[tuple[RingKey, bytes], ...]
    drop: tuple[RingKey, ...]

    def __repr__(self) -> str:
        return f"Turn(made={[key for key, _ in self.made]}, moved={[key for key, _ in self.moved]}, drop={self.drop})"


class HeldKeys:
    """The half of ports.Keys that only looks up; for one thread."""

    _view: View

    def __init__(self, clock: Clock, schedule: Schedule) -> None:
        self._clock = clock
        self._schedule = schedule
        self._stored: dict[str, StoredKey] = {}
        self.signing = Signing(PROCESSES)

    def signing_kid(self, alg: SigningAlg) -> str:
        return self._signer(alg).kid

    async def sign(self, alg: SigningAlg, typ: str, claims: dict[str, Any]) -> str:
        signer = self._signer(alg)
        signing_input = signer.signing_input(typ, claims)
        given = signing_input.encode()
        signature = await self.signing.signature(signer, given) if alg in _LONG else signer.signature(given)
        return f"{signing_input}.{base64url(signature)}"

    def public_jwks(self, algs: frozenset[str]) -> Sequence[Mapping[str, Any]]:
        return self._now().public_jwks(algs)

    def decrypt(self, token: str, alg: OwnAlg, enc: Enc, kid: str | None) -> bytes | None:
        ours = [key for key in self._now().published if isinstance(key, DecryptionKey) and key.alg == alg]
        named = [key for key in ours if kid in (None, key.kid)]
        return next((found for key in named if (found := key.decrypt(token, enc)) is not None), None)

    def handle_keys(self) -> SecretKeys:
        return self._now().handle

    def pepper(self) -> SecretKeys:
        return self._now().pepper

    def audit_keys(self) -> SecretKeys:
        return self._now().audit

    def states(self) -> Sequence[KeyState]:
        """Every key that there is and what becomes of it; without material."""
        return self._now().states

    def _provided(self, alg: SigningAlg | OwnAlg) -> bool:
        return any(key.alg == alg for key in self._now().published)

    def _signer(self, alg: SigningAlg) -> SigningKey:
        signer = self._now().signers.get(alg)
        if signer is None:
            raise KeyUnknown(f"There is no key for {alg} here.")
        return signer

    def _now(self) -> View:
        """What is in force in this second."""
        now = self._clock.now()
        if now != self._view.at:
            self._renew(now)
        return self._view

    def _renew(self, now: Instant) -> None:
        self._view = view_of(self._stored, self._schedule, now)

    def _ring(self) -> list[RingKey]:
        return ring_of(self._stored)

    def _current(self, purpose: Purpose) -> RingKey:
        return next(each.key for each in self.states() if each.key.purpose == purpose and each.state == "current")

    def _lacking(self, purposes: Iterable[Purpose], now: Instant) -> dict[Purpose, Rotation]:
        """What these purposes lack, and what a crash kept a known one from getting."""
        ring = self._ring()
        known = dict.fromkeys((*purposes, *(key.purpose for key in ring)))
        return {purpose: plan_missing(ring, purpose, now) for purpose in known}


def ring_of(stored: Mapping[str, StoredKey]) -> list[RingKey]:
    return [each.key for each in stored.values()]


def refuse_incomplete(stored: Mapping[str, StoredKey], where: object) -> None:
    if missing := set(NEEDED) - {key.purpose for key in ring_of(stored)}:
        raise KeysError(f"{where} holds no key for {', '.join(sorted(missing))}.")


def turn_of(plans: Mapping[Purpose, Rotation], stored: Mapping[str, StoredKey], now: Instant) -> Turn:
    """Blocks while it makes the keys: RSA takes 0.05 to 0.3 s each, in parallel."""
    wanted = [(purpose, use_from) for purpose, plan in plans.items() for use_from in plan.create]
    with ThreadPoolExecutor() as threads:
        materials = list(threads.map(generate, [purpose for purpose, _ in wanted]))
    made: list[tuple[RingKey, bytes]] = []
    for (purpose, use_from), material in zip(wanted, materials, strict=True):
        ring = [*ring_of(stored), *(key for key, _ in made)]
        made.append((RingKey(_new_id(purpose, material, ring), purpose, now, use_from), material))
    used = [plan.use for plan in plans.values() if plan.use]
    return Turn(
        tuple(made),
        tuple((key, stored[name_of(key)].material) for key in used),
        tuple(key for plan in plans.values() for key in plan.drop),
    )


def _new_id(purpose: Purpose, material: bytes, ring: Iterable[RingKey]) -> str:
    if pair := pair_of(purpose, material):
        return pair.kid
    taken = {int(key.id) for key in ring if key.purpose == purpose}
    upwards = chain(range(max(taken, default=0) + 1, NUMBERS.stop), NUMBERS)
    return str(next(number for number in upwards if number not in taken))
