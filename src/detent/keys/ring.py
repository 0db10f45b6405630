"""Which key is used now, which are published, which may go: pure functions of a few timestamps.

A key carries `created_at` (it is published from then on) and `use_from`; it retires when a later key of its purpose
begins. All else follows from these, so processes that see the same files agree without a word between them.
Source: OpenID Connect Core §10.1.1 (rotation), RFC 8725 §3.10 (compromise). Material and files are not known here.
"""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from detent.core.api import SIGNING_ALGS
from detent.core.encryption import OWN_ALGS
from detent.core.ids import Instant, Seconds
from detent.core.policy import ACCESS_LIFE_RANGE, HOUR, KINDS, MINUTE

Purpose = Literal["RS256", "PS256", "ES256", "EdDSA", "RSA-OAEP-256", "ECDH-ES", "handle", "pepper", "audit"]
State = Literal["next", "current", "retired", "expired"]
SECRET_PURPOSES: Final[tuple[Purpose, ...]] = ("handle", "pepper", "audit")
PURPOSES: Final[tuple[Purpose, ...]] = (*SIGNING_ALGS, *OWN_ALGS, *SECRET_PURPOSES)
SKEW: Final = 5 * MINUTE


class KeysError(Exception):
    """What is wrong with the keys and what to do about it: for the operator, never for a client."""


class RingKey(msgspec.Struct, frozen=True):
    """`id` is the `kid` of a published key, a number of 1..65535 else; `use_from` None waits for a rotation."""

    id: str
    purpose: Purpose
    created_at: Instant
    use_from: Instant | None


class Schedule(msgspec.Struct, frozen=True):
    """Lengths of time in seconds: how long others know a key before it is used, and how long it verifies afterwards.

    `publish_ahead` covers the JWKS's max-age, caches on the way and clocks that differ; `spread` the time until every
    process has seen a new file. `handle_life` is the longest life of a refresh token: one that does not rotate
    keeps its key to its absolute end. A pepper and a key of the audit log verify for ever.
    """

    publish_ahead: Seconds = Seconds(HOUR)
    spread: Seconds = Seconds(10)
    signed_life: Seconds = Seconds(ACCESS_LIFE_RANGE[1] + SKEW)
    handle_life: Seconds = Seconds(max(kind.policy.absolute for kind in KINDS.values()) + SKEW)

    def ahead(self, purpose: Purpose) -> Seconds:
        return self.spread if purpose in SECRET_PURPOSES else self.publish_ahead

    def verifies_for(self, purpose: Purpose) -> Seconds | None:
        return {"handle": self.handle_life, "pepper": None, "audit": None}.get(purpose, self.signed_life)


class KeyState(msgspec.Struct, frozen=True):
    """`drop_at` is None as long as no later key is to take over, and for a pepper or a key of the audit log."""

    key: RingKey
    state: State
    drop_at: Instant | None


class Rotation(msgspec.Struct, frozen=True):
    """What a rotation does, in this order: make a key for each `use_from` in `create`, call `use`, delete `drop`.

    Breaking off after any step leaves a ring that works.
    """

    create: tuple[Instant | None, ...]
    use: RingKey | None = None
    drop: tuple[RingKey, ...] = ()


def current(keys: Iterable[RingKey], purpose: Purpose, now: Instant) -> RingKey | None:
    """The one that signs or tags now. A clock set back leaves the earliest; None only where there is no key."""
    ours = sorted((key for key in keys if key.purpose == purpose), key=_order)
    begun = [key for key in ours if _begun(key, now)]
    return begun[-1] if begun else next(iter(ours), None)


def states(keys: Iterable[RingKey], schedule: Schedule, now: Instant) -> tuple[KeyState, ...]:
    """Every key's state. All but the expired verify or decrypt, and the public half of a pair is published."""
    ring = sorted(keys, key=lambda key: (PURPOSES.index(key.purpose), _order(key)))
    return tuple(_state(key, ring, schedule, now) for key in ring)


def plan_missing(keys: Iterable[RingKey], purpose: Purpose, now: Instant) -> Rotation:
    """What a purpose lacks: a key used at once and, where others must know it beforehand, the one after it."""
    uses = [key.use_from for key in keys if key.purpose == purpose]
    following = () if purpose in SECRET_PURPOSES or None in uses else (None,)
    return Rotation(following if uses else (now, *following))


def plan_rotation(
    keys: Iterable[RingKey], purpose: Purpose, schedule: Schedule, now: Instant, *, at_once: bool = False
) -> Rotation:
    """Let the next key take over as soon as everybody can know it, and drop what has expired.

    `at_once` is for a compromise: every key of the purpose goes, the waiting one too, since it lay beside them; what
    was signed, tagged or hashed with them is dead. Raises KeysError while an earlier rotation is under way.
    """
    ours = [each for each in states(keys, schedule, now) if each.key.purpose == purpose]
    first = plan_missing((), purpose, now).create
    if at_once or not ours:
        return Rotation(first, drop=tuple(each.key for each in ours))
    for each in ours:
        if each.key.use_from is not None and each.key.use_from > now:
            raise KeysError(
                f"A rotation of {purpose} is under way: key {each.key.id} takes over at {each.key.use_from} (Unix "
                "seconds). Nothing was changed. Wait for it; after a compromise rotate at once."
            )
    expired = tuple(each.key for each in ours if each.state == "expired")
    waiting = [each.key for each in ours if each.key.use_from is None]
    if not waiting:
        return Rotation((Instant(now + schedule.ahead(purpose)), *first[1:]), drop=expired)
    known_from = Instant(waiting[0].created_at + schedule.ahead(purpose))
    return Rotation(first[1:], msgspec.structs.replace(waiting[0], use_from=max(now, known_from)), expired)


def plan_revocation(keys: Iterable[RingKey], kid: str, now: Instant) -> tuple[Purpose, Rotation]:
    """Drop one signing key, whatever its state; if it is the one that signs, the one that waits takes over at once.

    For a key that leaked by itself; `plan_rotation` is for whatever lay beside others. Raises KeysError.
    """
    ring = tuple(keys)
    revoked = next((key for key in ring if key.id == kid and key.purpose not in SECRET_PURPOSES), None)
    if revoked is None:
        raise KeysError(
            f"There is no signing key {kid} here: `detent key list` shows them. A key that seals, hashes or chains "
            "goes with all of its purpose: `detent key rotate --now`."
        )
    left = sorted((key for key in ring if key.purpose == revoked.purpose and key != revoked), key=_order)
    use = None
    if revoked == current(ring, revoked.purpose, now):
        left = [key for key in left if not _begun(key, now)]
        if left:
            use = left[0] = msgspec.structs.replace(left[0], use_from=now)
    return revoked.purpose, Rotation(plan_missing(left, revoked.purpose, now).create, use, (revoked,))


def _begun(key: RingKey, now: Instant) -> bool:
    return key.use_from is not None and key.use_from <= now


def _order(key: RingKey) -> tuple[bool, Instant, Instant, str]:
    return key.use_from is None, key.use_from or Instant(0), key.created_at, key.id


def _state(key: RingKey, ring: list[RingKey], schedule: Schedule, now: Instant) -> KeyState:
    after = [each.use_from for each in ring if each.purpose == key.purpose and _order(each) > _order(key)]
    retires_at = min((begin for begin in after if begin is not None), default=None)
    life = schedule.verifies_for(key.purpose)
    drop_at = Instant(retires_at + life) if retires_at is not None and life is not None else None
    if key == current(ring, key.purpose, now):
        return KeyState(key, "current", drop_at)
    if drop_at is not None and drop_at <= now:
        return KeyState(key, "expired", drop_at)
    return KeyState(key, "retired" if _begun(key, now) else "next", drop_at)
