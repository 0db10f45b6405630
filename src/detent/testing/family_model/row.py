"""A family's row reduced to what `decide` compares, so that a family has finitely many states.

`decide` asks of a generation only whether it is the head or one of the few that equal it, the parent or neither, and
of time only whether the overlap still runs. So tokens are few, and every row is written with generation HEAD as its
head. The decision is the real one: `presented` makes a `Family`, asks `decide`, and reduces what comes back.
"""

from functools import cache
from typing import Literal, NamedTuple

import msgspec

from detent.core.authorization import Authorization
from detent.core.family import (
    EQUAL_SUCCESSORS,
    TOLERATED_GENERATIONS,
    Family,
    Keep,
    Origin,
    Presented,
    Refuse,
    Repeat,
    Reuse,
    Surroundings,
    decide,
    is_young,
    waits,
)
from detent.core.ids import ClientId, FamilyKey, Instant, Subject
from detent.core.policy import RefreshPolicy

PARENT, OLDER, NOTHING = 2, 1, 0  # tokens; but for the last they are the generations they are presented as
HEAD = PARENT + EQUAL_SUCCESSORS
EQUALS = range(PARENT + 1, HEAD)  # of the head, the latest one last
NO_KEY = 0

NOW = Instant(2_000_000_000)
LONG_AGO = Instant(NOW - 1_000_000)
_FAR_OFF = Instant(4_000_000_000)
ORIGINS = Origin(b"owner's", "192.0.2.0/24"), Origin(b"another", "198.51.100.0/24")
FAMILY = Family(
    FamilyKey(0, bytes(16)),
    Authorization(ClientId("app"), Subject("owner"), ("read",), (), Instant(0), Instant(0)),
    absolute_until=_FAR_OFF,
    idle_until=_FAR_OFF,
    generation=1,
    origin=ORIGINS[0],
)

Rotated = Literal["never", "young", "old"]
_ROTATED_AT = {"never": None, "young": Instant(NOW - 1), "old": LONG_AGO}


class Row(NamedTuple):
    """The moving columns. `retry_key` is a number instead of a digest, `origin` one of two unlike places."""

    rotated: Rotated = "never"
    has_parent: bool = False
    retry_key: int = NO_KEY
    tolerated: int = 0
    repeated: int = 0
    origin: int = 0
    is_over: bool = False
    is_suspected: bool = False


class Outcome(NamedTuple):
    """What presenting did. `answer` is the token that came back; `renamed[t]` is what token `t` has become."""

    decision: str
    row: Row
    is_answered: bool
    answer: int
    renamed: tuple[int, ...]
    restarts_overlap: bool


@cache
def presented(row: Row, policy: RefreshPolicy, token: int, retry_key: int, origin: int) -> Outcome:
    family = _family(row)
    what = Presented(token, 0, bytes([retry_key]) if retry_key else None, ORIGINS[origin])
    decision = decide(family, what, policy, Surroundings(), NOW)
    after = (None if isinstance(decision, Refuse) else decision.after) or family
    is_answered = not isinstance(decision, Refuse | Reuse)
    is_bare = isinstance(decision, Repeat) and decision.bare
    answer = place(decision.head.generation, after) if isinstance(decision, Keep) else HEAD
    return Outcome(
        type(decision).__name__ + (" with an access token only" if is_bare else ""),
        reduced(after, policy, NOW),
        is_answered,
        answer if is_answered and not is_bare else NOTHING,
        (NOTHING, OLDER, *(place(token, after) for token in range(PARENT, HEAD + 1))),
        after.rotated_at == NOW,
    )


def _family(row: Row) -> Family:
    return msgspec.structs.replace(
        FAMILY,
        status="compromised" if row.is_over else "live",
        suspected=row.is_suspected,
        generation=HEAD,
        parent=PARENT if row.has_parent else None,
        rotated_at=_ROTATED_AT[row.rotated],
        retry_key=bytes([row.retry_key]) if row.retry_key else None,
        tolerated=row.tolerated,
        repeated=row.repeated,
        origin=ORIGINS[row.origin],
    )


def reduced(family: Family, policy: RefreshPolicy, now: Instant) -> Row:
    """The row of any family whose retry key is one byte and whose origin is one of the two places."""
    rotated: Rotated = "young" if is_young(family, policy, now) else "old"
    return Row(
        rotated if family.rotated_at else "never",
        family.parent is not None,
        family.retry_key[0] if family.retry_key else NO_KEY,
        min(family.tolerated, TOLERATED_GENERATIONS + 1),  # beyond the limit all numbers are alike
        family.repeated,
        ORIGINS.index(family.origin),
        family.status != "live",
        family.suspected,
    )


def place(generation: int, family: Family) -> int:
    """What a token of this generation is to the family: head or its equal, parent or older."""
    if waits(family, Presented(generation, family.epoch)):
        return HEAD - family.generation + generation
    return PARENT if generation == family.parent else OLDER
