"""Many at once: whoever compares and swaps first wins, everybody else is told, and nobody sees half a change."""
# ruff: noqa: S101  (an assertion is what a test is made of)

import asyncio
import contextlib

import msgspec

from detent.core.changes import (
    Changes,
    ConsumeRecord,
    InsertFamily,
    InsertRecord,
    InsertUser,
    ReplaceFamily,
    changed,
)
from detent.core.errors import Conflict
from detent.core.family import Family, Presented, Refuse, Rotate, Surroundings, decide, revoke
from detent.core.ids import FamilyKey
from detent.core.policy import KINDS
from detent.ports import Store
from detent.testing.factories import NOW, a_family, a_record, a_user, an_event
from detent.testing.store_contract.base import CompleteStore, Contract, conflicts, write

WAYS = 64
STRICT = KINDS["browser"].policy


async def winners(store: Store, asked: list[Changes]) -> list[int]:
    """Which of these, all asked for at once, did not conflict."""
    outcomes = await asyncio.gather(*map(store.apply, asked), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {Conflict, type(None)}
    return [number for number, outcome in enumerate(outcomes) if outcome is None]


async def present_head(store: Store, key: FamilyKey) -> Family | None:
    """Read, decide, compare and swap until the head is redeemed or refused, as the refresh grant does."""
    while True:
        found = await store.family(key)
        assert found is not None
        head = Presented(found.family.generation, found.family.epoch)
        decision = decide(found.family, head, STRICT, Surroundings(), NOW)
        if isinstance(decision, Refuse):
            return None
        assert isinstance(decision, Rotate)
        with contextlib.suppress(Conflict):
            await write(store, ReplaceFamily(decision.after))
            return decision.after


async def logout(store: Store, key: FamilyKey) -> None:
    while True:
        found = await store.family(key)
        assert found is not None
        ended = revoke(found.family, "logout", NOW)
        assert ended is not None
        with contextlib.suppress(Conflict):
            return await write(store, ReplaceFamily(ended))


class ConcurrencyContract(Contract):
    async def test_of_many_who_swap_one_family_exactly_one_wins(self, store: CompleteStore) -> None:
        await write(store, InsertFamily(a_family()))
        swaps = [
            changed(ReplaceFamily(a_family(version=2, generation=2, handle_key=n)), events=(an_event(generation=n),))
            for n in range(WAYS)
        ]
        [winner] = await winners(store, swaps)
        found = await store.family(a_family().key)
        assert found is not None
        assert (found.family.version, found.family.handle_key) == (2, winner)
        assert [event.generation for _, event in await store.events()] == [winner]

    async def test_of_many_who_begin_one_family_exactly_one_wins(self, store: CompleteStore) -> None:
        [winner] = await winners(store, [changed(InsertFamily(a_family(handle_key=n))) for n in range(WAYS)])
        found = await store.family(a_family().key)
        assert found is not None
        assert found.family.handle_key == winner

    async def test_of_many_who_consume_one_record_exactly_one_wins(self, store: CompleteStore) -> None:
        await write(store, InsertRecord(a_record()))
        consume = changed(ConsumeRecord("test", "one", 1, NOW))
        assert len(await winners(store, [consume] * WAYS)) == 1

    async def test_of_many_who_take_one_name_exactly_one_wins(self, store: CompleteStore) -> None:
        asked = [changed(InsertUser(a_user(f"{n}", username="Same" if n % 2 else "same"))) for n in range(WAYS)]
        [winner] = await winners(store, asked)
        assert [user.subject for user in await store.users()] == [f"{winner}"]

    async def test_those_who_change_unrelated_families_all_win(self, store: CompleteStore) -> None:
        families = [a_family(n, subject=f"{n}") for n in range(WAYS)]
        await asyncio.gather(*(write(store, InsertFamily(family)) for family in families))
        swaps = [msgspec.structs.replace(family, version=2, generation=2) for family in families]
        assert await winners(store, [changed(ReplaceFamily(family)) for family in swaps]) == list(range(WAYS))
        found = await asyncio.gather(*(store.family(family.key) for family in swaps))
        assert [each and each.family for each in found] == swaps

    async def test_no_rotation_is_lost_when_many_rotate_one_family(self, store: CompleteStore) -> None:
        await write(store, InsertFamily(a_family()))
        rotated = await asyncio.gather(*(present_head(store, a_family().key) for _ in range(16)))
        assert sorted(after.generation for after in rotated if after) == list(range(2, 18))

    async def test_after_a_revocation_is_answered_nothing_rotates(self, store: CompleteStore) -> None:
        for number in range(8):
            family = a_family(number)
            await write(store, InsertFamily(family))
            *rotated, _ = await asyncio.gather(
                *(present_head(store, family.key) for _ in range(number)), logout(store, family.key)
            )
            assert await present_head(store, family.key) is None
            found = await store.family(family.key)
            assert found is not None
            assert found.family.generation == 1 + sum(after is not None for after in rotated)
            assert (found.family.status, found.family.ended_by) == ("revoked", "logout")

    async def test_a_reader_never_sees_what_a_conflict_undid(self, store: CompleteStore) -> None:
        await write(store, InsertFamily(a_family()))
        doomed = [
            changed(ReplaceFamily(a_family(version=2, generation=2)), ConsumeRecord("test", "never", 1, NOW))
            for _ in range(WAYS)
        ]
        seen: set[int] = set()

        async def look() -> None:
            for _ in range(WAYS):
                found = await store.family(a_family().key)
                assert found is not None
                seen.add(found.family.generation)

        losers, *_ = await asyncio.gather(winners(store, doomed), look(), look())
        assert losers == []
        assert seen == {1}

    async def test_a_reader_sees_a_change_whole_or_not_at_all(self, store: CompleteStore) -> None:
        """Each commit moves the family and its epoch together: they are read together."""
        await write(store, InsertFamily(a_family()))
        torn: list[Family] = []

        async def look() -> None:
            for _ in range(200):
                found = await store.family(a_family().key)
                if found and found.family.generation != found.family.version:
                    torn.append(found.family)

        async def move() -> None:
            for version in range(2, 40):
                await write(store, ReplaceFamily(a_family(version=version, generation=version)))

        await asyncio.gather(look(), move(), look())
        assert torn == []

    async def test_what_was_answered_is_seen_by_whoever_reads_next(self, store: CompleteStore) -> None:
        await write(store, InsertFamily(a_family()))
        for version in range(2, 20):
            await write(store, ReplaceFamily(a_family(version=version, generation=version)))
            found = await store.family(a_family().key)
            assert found is not None
            assert found.family.version == version

    async def test_who_gives_up_waiting_harms_nobody_else(self, store: CompleteStore) -> None:
        families = [a_family(n) for n in range(WAYS)]
        writes = [asyncio.create_task(write(store, InsertFamily(family))) for family in families]
        reads = [asyncio.create_task(store.family(family.key)) for family in families]
        await asyncio.sleep(0)
        for task in (*writes[::2], *reads[::2]):
            task.cancel()
        outcomes = await asyncio.gather(*writes, *reads, return_exceptions=True)
        assert not any(isinstance(each, Exception) for each in outcomes)
        for family in families[1::2]:
            assert await conflicts(store, InsertFamily(family))
        for family in families[::2]:  # written or not: but whole, and the store goes on
            await conflicts(store, InsertFamily(family))
            found = await store.family(family.key)
            assert found is not None
            assert found.family == family
