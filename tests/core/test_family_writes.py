"""What each decision writes, field by field: the whole row after it is compared, so that nothing is left or forgotten.

Why it is so is told in test_family_rows.py.
"""

from typing import Any, Final

import msgspec
import pytest

from detent.core.confirmation import Confirmation
from detent.core.events import Event
from detent.core.family import (
    NOTABLE_EVENTS,
    TOLERATED_GENERATIONS,
    Ahead,
    Decision,
    Family,
    Keep,
    Origin,
    Presented,
    Repeat,
    Reuse,
    Rotate,
    Supersede,
    Surroundings,
    born,
    decide,
    is_young,
    revoke,
    with_first_handle,
)
from detent.core.ids import Instant, Seconds
from detent.core.policy import Overrides, effective_policy
from detent.testing.factories import NOW, a_family

pytestmark = pytest.mark.quick

NATIVE, CLI, WEB = (effective_policy(kind, Overrides()) for kind in ("native", "cli", "web"))
THEN: Final = Instant(NOW - 3600)
HERE, THERE = Origin(b"\x01agent", "192.0.2.0/24"), Origin(b"\x02agent", "203.0.113.0/24")
AROUND = Surroundings(store_epoch=5, handle_key=9)
NATIVE_END: Final = Instant(NOW + NATIVE.absolute)


def a_life(**fields: Any) -> Family:
    """Generation 4 of a native app, an hour old, everything in it unlike its default."""
    some = {
        "version": 11, "generation": 4, "epoch": 5, "parent": 3, "parent_epoch": 5, "handle_key": 8, "refreshes": 7,
        "rotated_at": THEN, "last_used_at": THEN, "idle_until": Instant(NOW + 60), "absolute_until": NATIVE_END,
        "retry_key": b"its retry key", "tolerated": 2, "repeated": 1, "origin": HERE,
    }  # fmt: skip
    return a_family(**{**some, **fields})


def presented(generation: int, retry_key: bytes | None = None, epoch: int = 5) -> Presented:
    return Presented(generation, epoch, retry_key, THERE)


def changed(family: Family, *events: Event, **fields: Any) -> Family:
    history = (*family.history, *events)
    return msgspec.structs.replace(family, version=family.version + 1, history=history, **fields)


def told(name: Any, family: Family, shown: int = 0, **fields: Any) -> Event:
    authorization = family.authorization
    facts: dict[str, Any] = {
        "about": family.key.text, "client_id": authorization.client_id, "subject": authorization.subject,
        "generation": family.generation, "presented": shown, "network": THERE.network, "agent": THERE.agent.hex(),
        "refreshes": family.refreshes,
    }  # fmt: skip
    return Event(name, NOW, **(facts | fields))


def decided(family: Family, shown: Presented, policy: Any = NATIVE, ahead: Ahead = "refuse") -> Decision:
    return decide(family, shown, policy, msgspec.structs.replace(AROUND, ahead=ahead), NOW)


USED: Final[dict[str, Any]] = {"refreshes": 8, "origin": THERE, "last_used_at": NOW}


def test_a_family_is_born_without_a_refresh_token_and_used_by_its_birth() -> None:
    authorization = a_family().authorization
    key = a_family().key
    assert born(key, authorization, NATIVE_END, HERE) == Family(
        key, authorization, NATIVE_END, origin=HERE, last_used_at=authorization.created_at
    )


def test_its_first_refresh_token_is_generation_1_of_the_stores_epoch_under_the_current_key() -> None:
    family = born(a_family().key, a_family().authorization, NATIVE_END, THERE)
    at = family.authorization.created_at
    created = msgspec.structs.replace(told("family_created", family, generation=1), at=at)
    assert with_first_handle(family, NATIVE, AROUND, b"seed") == msgspec.structs.replace(
        family,
        generation=1,
        epoch=5,
        handle_key=9,
        idle_until=Instant(at + NATIVE.idle),
        seed=b"seed",
        history=(created,),
    )


def test_row_2_advance_of_a_rotating_family_takes_the_presented_token_for_the_head_and_rotates() -> None:
    family = a_life(epoch=4)
    assert decided(family, presented(6), ahead="advance") == Rotate(
        changed(
            family, told("store_behind", family, 6), **USED, generation=7, epoch=5, parent=6, parent_epoch=5,
            handle_key=9, rotated_at=NOW, idle_until=Instant(NOW + NATIVE.idle), retry_key=None, repeated=0,
        )
    )  # fmt: skip


def test_row_2_advance_of_a_family_that_does_not_rotate_keeps_the_presented_token_as_the_parent() -> None:
    family = a_life(epoch=3)
    kept = changed(
        family, told("store_behind", family, 6), **USED, generation=6, epoch=5, parent=6, parent_epoch=4,
        handle_key=9, idle_until=Instant(NOW + WEB.idle),
    )  # fmt: skip
    assert decided(family, presented(6, epoch=4), WEB, ahead="advance") == Keep(kept, kept)


def test_row_3_a_young_head_writes_nothing_and_one_that_does_not_rotate_slides() -> None:
    young = a_life(rotated_at=NOW)
    assert decided(young, presented(4)) == Keep(None, young)
    family = a_life()
    kept = changed(family, **USED, parent=None, idle_until=Instant(NOW + WEB.idle))
    assert decided(family, presented(4), WEB) == Keep(kept, kept)


@pytest.mark.parametrize(
    ("shown", "kept", "repeated", "tolerated"),
    [(b"a new key", b"a new key", 1, 2), (b"its retry key", None, 1, 2), (None, None, 2, 2), (None, None, 0, 0)],
)
def test_row_4_a_rotation(shown: bytes | None, kept: bytes | None, repeated: Any, tolerated: int) -> None:
    family = a_life(repeated=repeated, epoch=5)
    assert decided(family, presented(4, shown)) == Rotate(
        changed(
            family, **USED, generation=5, epoch=5, parent=4, parent_epoch=5, handle_key=9, rotated_at=NOW,
            idle_until=Instant(NOW + NATIVE.idle), retry_key=kept, tolerated=tolerated, repeated=0,
        )
    )  # fmt: skip


def test_row_4_names_the_epoch_of_the_parent_and_that_of_the_store() -> None:
    """A family whose epoch is ahead of a store that does not know of it yet."""
    family = a_life(epoch=6, parent_epoch=4)
    decision = decided(family, presented(4, epoch=6))
    assert isinstance(decision, Rotate)
    assert (decision.after.parent_epoch, decision.after.epoch) == (6, 5)


def test_row_5_the_first_repeat_of_a_generation_is_noted() -> None:
    family = a_life(repeated=0)
    after = changed(family, told("replay_tolerated", family, 3), tolerated=3, repeated=1)
    assert decided(family, presented(3, b"its retry key")) == Repeat(after, after, bare=False)
    assert decided(after, presented(3, b"its retry key")) == Repeat(None, after, bare=False)


def test_row_5_the_first_bare_repeat_is_written_and_the_next_one_is_not() -> None:
    family = a_life(repeated=0, tolerated=TOLERATED_GENERATIONS, origin=THERE, rotated_at=NOW)
    bare = changed(family, told("replay_tolerated", family, 3), tolerated=TOLERATED_GENERATIONS + 1, repeated=2)
    assert decided(family, presented(3)) == Repeat(bare, bare, bare=True)
    assert decided(bare, presented(3)) == Repeat(None, bare, bare=True)
    by_key = a_life(repeated=1, tolerated=TOLERATED_GENERATIONS + 1, origin=THERE, rotated_at=NOW)
    after = changed(by_key, repeated=2)
    assert decided(by_key, presented(3)) == Repeat(after, after, bare=True), "that it was repeated is noted already"


@pytest.mark.parametrize(
    ("repeated", "mark", "at", "tolerated"),
    [(0, 0, NOW, 3), (1, 0, NOW, 2), (2, 3, THEN, 2), (3, 4, THEN, 2), (6, 6, THEN, 2)],
)
def test_row_6_a_supersession(repeated: Any, mark: int, at: Instant, tolerated: int) -> None:
    family = a_life(repeated=repeated, generation=8)
    assert decided(family, presented(3)) == Supersede(
        changed(
            family, told("superseded", family, 3, generation=9), **USED, generation=9, epoch=5, handle_key=9,
            retry_key=None, rotated_at=at, tolerated=tolerated, repeated=mark,
        )
    )  # fmt: skip


def test_row_6_names_the_epoch_of_the_store() -> None:
    decision = decided(a_life(epoch=6, parent_epoch=5), presented(3))
    assert isinstance(decision, Supersede)
    assert (decision.after.epoch, decision.after.parent_epoch) == (5, 5)


def test_row_7_reuse_ends_or_marks() -> None:
    family = a_life()
    dead = changed(family, told("reuse_detected", family, 2), status="compromised", ended_by="reuse")
    assert decided(family, presented(2)) == Reuse("reuse", dead)
    marked = changed(family, told("suspected", family, 2), suspected=True)
    assert decided(family, presented(2), CLI) == Reuse("reuse", marked)
    assert decided(marked, presented(2), CLI) == Reuse("reuse", None)
    assert decided(family, presented(2), WEB) == Reuse("reuse_not_rotating", None)


def test_a_suspected_family_slides_no_more() -> None:
    decision = decided(a_life(suspected=True), presented(4), CLI)
    assert isinstance(decision, Rotate)
    assert decision.after.idle_until == NOW + 60


def test_the_idle_life_never_goes_back_and_never_beyond_the_absolute_end() -> None:
    for idle_until, absolute_until, wanted in ((NATIVE_END, NATIVE_END, NATIVE_END), (NOW + 1, NOW + 9, NOW + 9)):
        decision = decided(a_life(idle_until=idle_until, absolute_until=absolute_until), presented(4))
        assert isinstance(decision, Rotate)
        assert decision.after.idle_until == wanted


def test_a_revocation_tells_who_and_whence() -> None:
    family = a_life()
    gone: dict[str, Any] = {"status": "revoked", "ended_by": "operator"}
    ours: dict[str, Any] = {"network": HERE.network, "agent": HERE.agent.hex()}
    assert revoke(family, "operator", NOW) == changed(
        family, told("revoked", family, reason="operator", **ours), **gone
    )
    assert revoke(family, "operator", NOW, told_as="reuse_detected", origin=THERE) == changed(
        family, told("reuse_detected", family, reason="operator"), **gone
    )


def test_less_that_was_asked_for_is_noted_with_the_rotation() -> None:
    family = a_life()
    decision = decided(family, msgspec.structs.replace(presented(4), narrowed="read"))
    assert isinstance(decision, Rotate)
    assert decision.after.history == (*family.history, told("narrowed", family, 4, reason="read"))


def test_the_history_keeps_its_last_events_in_their_order() -> None:
    family = a_life()
    family = msgspec.structs.replace(
        family, history=tuple(told("narrowed", family, number) for number in range(NOTABLE_EVENTS))
    )
    after = revoke(family, "operator", NOW)
    assert after is not None
    assert [event.presented for event in after.history] == [*range(1, NOTABLE_EVENTS), 0]


def test_an_overlap_of_no_seconds_or_of_no_redemption_is_not_young_and_its_last_second_is() -> None:
    policy = effective_policy("native", Overrides(overlap=Seconds(1)))
    strict = effective_policy("browser", Overrides())
    assert not is_young(a_life(rotated_at=NOW), strict, NOW)
    assert not is_young(a_life(rotated_at=None), policy, NOW)
    assert is_young(a_life(rotated_at=NOW), policy, Instant(NOW + 1))
    assert not is_young(a_life(rotated_at=NOW), policy, Instant(NOW + 2))


def test_a_family_prints_without_its_seed() -> None:
    family = a_life(seed=b"a secret seed")
    assert repr(family) == f"Family({family.key.text}, generation=4, status='live', seed=***)"


def test_a_bound_public_client_does_not_rotate() -> None:
    bound = msgspec.structs.replace(a_life().authorization, cnf=Confirmation("jkt", "thumbprint"))
    assert isinstance(decided(a_life(authorization=bound), presented(4)), Keep)
