"""Refresh-token families: what presenting a handle means.

Source: OAuth 2.1 §4.3, RFC 9700 §4.14.2; the table of docs/family.md, row by row and in its order.
Pure: storage is stores/, wire format is tokens/handle.py, who may present at all is grants/refresh_token.py.
Rule: everything that changes a family's state is `decide` and `revoke` below; nothing else may. Several rows can
match one case: the first one wins.
"""

from typing import Literal

import msgspec

from detent.core.authorization import Authorization, Epochs
from detent.core.events import Event, EventName
from detent.core.ids import FamilyKey, Instant
from detent.core.policy import RefreshPolicy

Status = Literal["live", "compromised", "revoked"]
Ahead = Literal["refuse", "advance"]
Reason = Literal[
    "revoked", "compromised", "idle", "absolute", "cut_off", "session_over", "store_behind", "reuse",
    "reuse_not_rotating",
]  # fmt: skip

TOLERATED_GENERATIONS = 3  # from the next one on, a repeat by overlap gets an access token only
EQUAL_SUCCESSORS = 4  # how many of what row 6 gave to a parent after that wait alike until one of them is used
BARE = 2  # where `repeated` begins to count
NOTABLE_EVENTS = 16  # how many the family remembers
NARROWED_EVENTS = 4  # how many of them tell of less that was asked for: they push out nothing that matters more


class Origin(msgspec.Struct, frozen=True):
    """Whence a request came, coarsely: 8 bytes of the user agent's digest, and the /24 or /48 network."""

    agent: bytes = b""
    network: str = ""

    def alike(self, other: "Origin") -> bool:
        """The same agent or the same network; phones change networks, shared stores change agents."""
        return self.agent == other.agent or self.network == other.network


class Family(msgspec.Struct, frozen=True):
    """One authorization and the chain of refresh tokens that came of it; generation 0 means none was issued.

    `refreshes` counts the answers that moved it on: Rotate, Supersede, and each Keep that is written. `repeated` is
    whether the parent of this generation came again: 0 no, 1 yes, BARE yes and once got an access token only; one more
    for each successor that it has got since.
    """

    key: FamilyKey
    authorization: Authorization
    absolute_until: Instant
    version: int = 1
    status: Status = "live"
    ended_by: str = ""
    suspected: bool = False
    generation: int = 0
    epoch: int = 0
    parent: int | None = None
    parent_epoch: int = 0
    handle_key: int = 0
    rotated_at: Instant | None = None
    idle_until: Instant = Instant(0)
    retry_key: bytes | None = None
    tolerated: int = 0
    repeated: int = 0
    refreshes: int = 0
    origin: Origin = Origin()
    last_used_at: Instant = Instant(0)
    history: tuple[Event, ...] = ()
    seed: bytes = b""

    def __repr__(self) -> str:
        return f"Family({self.key.text}, generation={self.generation}, status={self.status!r}, seed=***)"


class Presented(msgspec.Struct, frozen=True):
    """A handle whose tags, client and key binding have been proved, and what came with it.

    `narrowed` names what was asked for where that is less than what was granted (RFC 6749 §6).
    """

    generation: int
    epoch: int
    retry_key: bytes | None = None
    origin: Origin = Origin()
    narrowed: str = ""


class Surroundings(msgspec.Struct, frozen=True):
    """What `decide` needs to know of the world: cut-offs in force, the store's epoch, the current handle key, and
    whether the session is over with which the family ends.
    """

    epochs: Epochs = Epochs()
    store_epoch: int = 0
    handle_key: int = 0
    ahead: Ahead = "refuse"
    session_over: bool = False


class Refuse(msgspec.Struct, frozen=True):
    """Refuse and change nothing."""

    reason: Reason


class Keep(msgspec.Struct, frozen=True):
    """Answer with a new access token and the same refresh token."""

    after: Family | None
    head: Family


class Rotate(msgspec.Struct, frozen=True):
    after: Family


class Repeat(msgspec.Struct, frozen=True):
    """Answer once more with the successor that the parent made, or (`bare`) with an access token only."""

    after: Family | None
    head: Family
    bare: bool


class Supersede(msgspec.Struct, frozen=True):
    after: Family


class Reuse(msgspec.Struct, frozen=True):
    """Refuse; `after` is the family with the consequence, None where there is nothing (more) to write."""

    reason: Reason
    after: Family | None


Decision = Refuse | Keep | Rotate | Repeat | Supersede | Reuse


def decide(family: Family, presented: Presented, policy: RefreshPolicy, around: Surroundings, now: Instant) -> Decision:
    """Say what presenting this handle means; change nothing. Never raises: refusals are values."""
    over = why_over(family, around.epochs, now, session_over=around.session_over)
    if over:  # row 1
        return Refuse(over)
    match _place(family, presented, around):
        case "ahead":
            return _present_ahead(family, presented, policy, around, now)
        case "head":
            return _present_head(family, presented, policy, around, now)
        case "parent":
            return _present_parent(family, presented, policy, around, now)
        case "older":
            return _reuse(family, presented, policy, now)


def why_over(family: Family, epochs: Epochs, now: Instant, *, session_over: bool = False) -> Reason | None:
    """Why nothing of this family is good any more, or None while it lives (row 1)."""
    if family.status != "live":
        return family.status
    if family.authorization.epochs.behind(epochs):
        return "cut_off"
    if now >= family.absolute_until:
        return "absolute"
    if session_over:
        return "session_over"
    return "idle" if family.generation and now >= family.idle_until else None


def is_young(family: Family, policy: RefreshPolicy, now: Instant) -> bool:
    """Whether the overlap still runs; a new family is never young, and overlap 0 never is."""
    return policy.overlap > 0 and family.rotated_at is not None and now - family.rotated_at <= policy.overlap


def born(key: FamilyKey, authorization: Authorization, absolute_until: Instant, origin: Origin) -> Family:
    """A family without a refresh token: its row holds the authorization, so that it can be revoked."""
    now = authorization.created_at
    return Family(key, authorization, absolute_until, origin=origin, last_used_at=now)


def with_first_handle(family: Family, policy: RefreshPolicy, around: Surroundings, seed: bytes) -> Family:
    """The same family with generation 1; `seed` is 256 random bits (RFC 6749 §10.10)."""
    now = family.authorization.created_at
    return msgspec.structs.replace(
        family,
        generation=1,
        epoch=around.store_epoch,
        handle_key=around.handle_key,
        idle_until=_idle_until(family, policy, now),
        seed=seed,
        history=(_event("family_created", family, now, generation=1),),
    )


def revoke(
    family: Family, reason: str, now: Instant, *, told_as: EventName = "revoked", origin: Origin | None = None
) -> Family | None:
    """The family ended for `reason` (client, operator, code_replay …); None if it has ended already."""
    if family.status != "live":
        return None
    event = _event(told_as, family, now, reason=reason, origin=origin)
    return _changed(family, event, status="revoked", ended_by=reason)


def _place(family: Family, presented: Presented, around: Surroundings) -> Literal["ahead", "head", "parent", "older"]:
    """Where the handle stands to the row. Ahead: only we can have made it, and the row does not know of it, so the
    store lost state. What a row that has not moved since a restore still answers may have been consumed in the lost
    span, so its head counts as ahead, and where ahead is refused, its parent too.
    """
    unmoved = family.epoch < around.store_epoch
    if presented.epoch > family.epoch or (presented.epoch == family.epoch and presented.generation > family.generation):
        return "ahead"
    if waits(family, presented):
        return "ahead" if unmoved else "head"
    if (presented.generation, presented.epoch) == (family.parent, family.parent_epoch):
        return "ahead" if unmoved and around.ahead == "refuse" else "parent"
    return "older"


def waits(family: Family, presented: Presented) -> bool:
    """Whether this, which is not ahead, is the head or its equal: after an access-token-only answer parallel requests
    of one parent get a successor each, and which one their store keeps is chance. Once one is used the others are old.
    """
    equal = max(family.repeated - BARE, 1)
    return presented.epoch == family.epoch and family.generation - presented.generation < equal


def _present_ahead(
    family: Family, presented: Presented, policy: RefreshPolicy, around: Surroundings, now: Instant
) -> Decision:
    """Row 2. `advance`: the presented handle becomes the head, then row 4, or for a family that does not rotate
    row 3, under the present epoch; the presented handle stays answerable as the parent.
    """
    if around.ahead == "refuse" or presented.generation < family.generation:
        return Refuse("store_behind")
    head = msgspec.structs.replace(
        family,
        generation=presented.generation,
        epoch=presented.epoch,
        history=_noted(family, _event("store_behind", family, now, presented)),
    )
    if policy.rotating(family.authorization.cnf):
        return _rotated(head, presented, policy, around, now)
    kept = _used(
        head,
        presented,
        now,
        epoch=around.store_epoch,
        handle_key=around.handle_key,
        parent=presented.generation,
        parent_epoch=presented.epoch,
        idle_until=_idle_until(family, policy, now),
    )
    return Keep(kept, kept)


def _present_head(
    family: Family, presented: Presented, policy: RefreshPolicy, around: Surroundings, now: Instant
) -> Decision:
    rotating = policy.rotating(family.authorization.cnf)
    if rotating and is_young(family, policy, now):  # row 3: a second request overtook the first one's answer
        return Keep(None, msgspec.structs.replace(family, generation=presented.generation))
    if rotating:  # row 4
        return _rotated(family, presented, policy, around, now)
    if family.parent is None and family.last_used_at >= now:  # else parallel requests would conflict without end
        return Keep(None, family)
    kept = _used(family, presented, now, parent=None, idle_until=_idle_until(family, policy, now))
    return Keep(kept, kept)


def _rotated(family: Family, presented: Presented, policy: RefreshPolicy, around: Surroundings, now: Instant) -> Rotate:
    return Rotate(
        _used(
            family,
            presented,
            now,
            parent=presented.generation,
            parent_epoch=family.epoch,
            generation=family.generation + 1,
            epoch=around.store_epoch,
            handle_key=around.handle_key,
            rotated_at=now,
            idle_until=_idle_until(family, policy, now),
            # A constant key must not become a second password: one that repeats its predecessor counts as none.
            retry_key=None if presented.retry_key == family.retry_key else presented.retry_key,
            tolerated=family.tolerated if family.repeated else 0,
            repeated=0,
        )
    )


def _present_parent(
    family: Family, presented: Presented, policy: RefreshPolicy, around: Surroundings, now: Instant
) -> Decision:
    rotating = policy.rotating(family.authorization.cnf)
    by_key = presented.retry_key is not None and presented.retry_key == family.retry_key
    by_overlap = is_young(family, policy, now) and presented.origin.alike(family.origin)
    if by_key or by_overlap or not rotating:  # row 5
        return _repeated(family, presented, now, always=by_key or not rotating)
    if policy.overlap > 0:  # row 6
        return _superseded(family, presented, around, now)
    return _reuse(family, presented, policy, now)  # row 7


def _repeated(family: Family, presented: Presented, now: Instant, *, always: bool) -> Repeat:
    """Row 5. The first repeat of a generation is one write, and so is its first answer without a refresh token."""
    tolerated = family.tolerated + (0 if family.repeated else 1)
    bare = not always and tolerated > TOLERATED_GENERATIONS
    mark = BARE if bare else 1
    if mark <= family.repeated:
        return Repeat(None, family, bare)
    note = None if family.repeated else _event("replay_tolerated", family, now, presented)
    after = _changed(family, note, tolerated=tolerated, repeated=mark)
    return Repeat(after, after, bare)


def _superseded(family: Family, presented: Presented, around: Surroundings, now: Instant) -> Supersede:
    """Row 6. Two holders of one parent could take turns in it for ever, were it not for two things: it counts as
    tolerated, and once the parent got an access token only, no overlap restarts before the next rotation.
    """
    was_bare = family.repeated >= BARE
    noted = _noted(family, _event("superseded", family, now, presented, generation=family.generation + 1))
    return Supersede(
        _used(
            msgspec.structs.replace(family, history=noted),
            presented,
            now,
            generation=family.generation + 1,
            epoch=around.store_epoch,
            handle_key=around.handle_key,
            retry_key=None,
            rotated_at=family.rotated_at if was_bare else now,
            tolerated=family.tolerated + (0 if family.repeated else 1),
            repeated=min(family.repeated + 1, BARE + EQUAL_SUCCESSORS) if was_bare else 0,
        )
    )


def _reuse(family: Family, presented: Presented, policy: RefreshPolicy, now: Instant) -> Decision:
    """Row 7."""
    if not policy.rotating(family.authorization.cnf):
        return Reuse("reuse_not_rotating", None)
    if policy.on_reuse == "revoke":
        event = _event("reuse_detected", family, now, presented)
        return Reuse("reuse", _changed(family, event, status="compromised", ended_by="reuse"))
    if family.suspected:
        return Reuse("reuse", None)
    return Reuse("reuse", _changed(family, _event("suspected", family, now, presented), suspected=True))


def _idle_until(family: Family, policy: RefreshPolicy, now: Instant) -> Instant:
    """Sliding, never beyond the absolute end, never backwards; a suspected family slides no more."""
    if family.suspected:
        return family.idle_until
    return Instant(max(family.idle_until, min(now + policy.idle, family.absolute_until)))


def _used(family: Family, presented: Presented, now: Instant, **fields: object) -> Family:
    """The family after an answer that moved it on."""
    used = {"refreshes": family.refreshes + 1, "origin": presented.origin, "last_used_at": now}
    return _changed(family, _narrowed(family, presented, now), **used, **fields)


def _narrowed(family: Family, presented: Presented, now: Instant) -> Event | None:
    """Told once for each thing that is asked for, as long as the family remembers it."""
    if not presented.narrowed:
        return None
    told = [event.reason for event in family.history if event.name == "narrowed"]
    if presented.narrowed in told or len(told) >= NARROWED_EVENTS:
        return None
    return _event("narrowed", family, now, presented, reason=presented.narrowed)


def _changed(family: Family, event: Event | None = None, **fields: object) -> Family:
    if event:
        fields["history"] = _noted(family, event)
    return msgspec.structs.replace(family, version=family.version + 1, **fields)


def _noted(family: Family, event: Event) -> tuple[Event, ...]:
    return (*family.history, event)[-NOTABLE_EVENTS:]


def _event(
    name: EventName,
    family: Family,
    now: Instant,
    presented: Presented | None = None,
    *,
    generation: int | None = None,
    reason: str = "",
    origin: Origin | None = None,
) -> Event:
    origin = presented.origin if presented else origin or family.origin
    return Event(
        name,
        now,
        about=family.key.text,
        client_id=family.authorization.client_id,
        subject=family.authorization.subject,
        generation=family.generation if generation is None else generation,
        presented=presented.generation if presented else 0,
        reason=reason,
        network=origin.network,
        agent=origin.agent.hex(),
        refreshes=family.refreshes,
    )
