"""Families: one row each, compared and swapped by version; cut-offs that outlive the person."""
# ruff: noqa: S101  (an assertion is what a test is made of)

import asyncio

import msgspec

from detent.core.authorization import Epochs
from detent.core.changes import (
    EndFamilies,
    InsertFamily,
    InsertRecord,
    InsertUser,
    RecordName,
    RemoveUser,
    ReplaceFamily,
    ReplaceUser,
)
from detent.core.confirmation import Confirmation
from detent.core.family import NOTABLE_EVENTS, Family, Origin
from detent.core.ids import ClientId, FamilyKey, Instant, Subject
from detent.testing.factories import NOW, a_family, a_record, a_user, an_authorization, an_event
from detent.testing.store_contract.base import CompleteStore, Contract, conflicts, write

replace = msgspec.structs.replace

EVERYTHING = a_family(
    7,
    authorization=an_authorization(
        scope=("openid", "read"),
        audience=("https://a.example/", "https://b.example/"),
        amr=("pwd", "otp"),
        acr="2",
        session_id="session",
        cnf=Confirmation(jkt="thumbprint", x5t_s256="certificate"),
        epochs=Epochs(3, 4, 5),
        number=2**53,
        extra={"rar": [{"type": "payment", "limit": 5, "named": None}], "über": True},
    ),
    absolute_until=NOW + 1000,
    status="compromised",
    ended_by="reuse",
    suspected=True,
    generation=9,
    epoch=2,
    parent=8,
    parent_epoch=1,
    handle_key=3,
    rotated_at=NOW + 1,
    idle_until=NOW + 2,
    retry_key=bytes(range(16)),
    tolerated=4,
    repeated=2,
    refreshes=12,
    origin=Origin(b"\x00\xff agent", "192.0.2.0/24"),
    last_used_at=NOW + 3,
    history=(an_event("suspected", about="x", generation=9, presented=8), an_event("revoked", reason="user")),
    seed=bytes(range(32)),
)


async def stored(store: CompleteStore, key: FamilyKey) -> Family:
    found = await store.family(key)
    assert found is not None
    return found.family


async def cut_off(store: CompleteStore, key: FamilyKey) -> int:
    found = await store.family(key)
    assert found is not None
    return found.user_epoch


class FamilyContract(Contract):
    async def test_a_family_that_was_never_inserted_is_none(self, store: CompleteStore) -> None:
        assert await store.family(a_family().key) is None

    async def test_a_family_is_not_found_where_the_record_exists_that_must_not(self, store: CompleteStore) -> None:
        """Expired or not, and whatever others ask for in the same moment."""
        one, two = a_family(1), a_family(2)
        await write(store, InsertFamily(one), InsertFamily(two), InsertRecord(a_record(expires_at=NOW - 1)))
        asked: list[tuple[Family, RecordName | None]] = [
            (one, None), (one, ("test", "one")), (one, ("test", "two")), (one, ("other", "one")),
            (two, ("test", "one")), (two, ("test", "on\0e")), (two, None), (a_family(3), ("test", "two")),
        ]  # fmt: skip
        found = await asyncio.gather(*(store.family(family.key, unless=unless) for family, unless in asked))
        assert [each and each.family for each in found] == [one, None, one, one, None, two, two, None]

    async def test_every_field_of_a_family_comes_back_as_it_was_inserted(self, store: CompleteStore) -> None:
        plain = a_family()
        await write(store, InsertFamily(EVERYTHING), InsertFamily(plain))
        assert await stored(store, EVERYTHING.key) == EVERYTHING
        assert await stored(store, plain.key) == plain

    async def test_every_field_that_may_change_comes_back_as_it_was_replaced(self, store: CompleteStore) -> None:
        plain = a_family(7, version=2)
        same = {"authorization": EVERYTHING.authorization, "absolute_until": EVERYTHING.absolute_until}
        await write(store, InsertFamily(replace(EVERYTHING, status="live")), ReplaceFamily(plain))
        assert await stored(store, plain.key) == replace(plain, **same, seed=EVERYTHING.seed)
        await write(store, ReplaceFamily(replace(EVERYTHING, version=3)))
        assert await stored(store, plain.key) == replace(EVERYTHING, version=3)

    async def test_rfc6749_6_replacing_never_widens_what_was_authorized(self, store: CompleteStore) -> None:
        first = a_family()
        wider = an_authorization(scope=("read", "write"))
        await write(store, InsertFamily(first))
        await write(
            store,
            ReplaceFamily(
                replace(
                    first, version=2, generation=2, authorization=wider, seed=b"other", absolute_until=Instant(NOW * 2)
                )
            ),
        )
        assert await stored(store, first.key) == replace(first, version=2, generation=2)

    async def test_inserting_a_key_that_exists_conflicts_and_keeps_the_first(self, store: CompleteStore) -> None:
        first = a_family()
        await write(store, InsertFamily(first))
        assert await conflicts(store, InsertFamily(replace(first, generation=5)))
        assert await stored(store, first.key) == first

    async def test_the_same_id_in_another_placement_is_another_family(self, store: CompleteStore) -> None:
        first = a_family()
        elsewhere = replace(first, key=FamilyKey((first.key.placement + 1) % 65536, first.key.id), generation=6)
        await write(store, InsertFamily(first), InsertFamily(elsewhere))
        assert await stored(store, first.key) == first
        assert await stored(store, elsewhere.key) == elsewhere

    async def test_replacing_expects_exactly_the_version_before(self, store: CompleteStore) -> None:
        first = a_family()
        await write(store, InsertFamily(first))
        await write(store, ReplaceFamily(replace(first, version=2, generation=2)))
        for version in (1, 2, 4):
            assert await conflicts(store, ReplaceFamily(replace(first, version=version, generation=9)))
        assert (await stored(store, first.key)).generation == 2

    async def test_what_has_ended_is_never_replaced_even_if_the_version_fits(self, store: CompleteStore) -> None:
        """As a swap would be that was decided on a row that went with its primary."""
        for number, status in enumerate(("compromised", "revoked"), 1):
            ended = a_family(number, status=status, ended_by="reuse")
            await write(store, InsertFamily(ended))
            assert await conflicts(store, ReplaceFamily(replace(ended, version=2, status="live", ended_by="")))
            assert await stored(store, ended.key) == ended

    async def test_replacing_a_family_that_does_not_exist_conflicts(self, store: CompleteStore) -> None:
        assert await conflicts(store, ReplaceFamily(a_family(version=2)))
        assert await store.family(a_family().key) is None

    async def test_a_full_history_comes_back(self, store: CompleteStore) -> None:
        events = tuple(an_event("superseded", about="é" * 24, generation=number) for number in range(NOTABLE_EVENTS))
        await write(store, InsertFamily(a_family(history=events)))
        assert (await stored(store, a_family().key)).history == events

    async def test_without_a_cut_off_the_user_epoch_is_0(self, store: CompleteStore) -> None:
        await write(store, InsertFamily(a_family()), InsertUser(a_user()))
        assert await cut_off(store, a_family().key) == 0

    async def test_raising_a_users_epoch_cuts_off_every_family_of_the_user_at_once(self, store: CompleteStore) -> None:
        families = [a_family(number) for number in range(1, 4)]
        await write(store, InsertUser(a_user()), *map(InsertFamily, families))
        await write(store, ReplaceUser(a_user(version=2, epoch=1)))
        await write(store, ReplaceUser(a_user(version=3, epoch=4)))
        await write(store, ReplaceUser(a_user(version=4, epoch=4, enabled=False)))
        assert [await cut_off(store, family.key) for family in families] == [4, 4, 4]

    async def test_a_cut_off_reaches_nobody_else(self, store: CompleteStore) -> None:
        await write(store, InsertUser(a_user()), InsertFamily(a_family()), InsertFamily(a_family(2, subject="bob")))
        await write(store, ReplaceUser(a_user(version=2, epoch=1)))
        assert await cut_off(store, a_family(2, subject="bob").key) == 0

    async def test_removing_a_user_cuts_off_the_families_for_ever(self, store: CompleteStore) -> None:
        await write(store, InsertUser(a_user(epoch=3)), InsertFamily(a_family()))
        await write(store, RemoveUser(Subject("alice"), 1))
        assert await store.user("alice") is None
        assert await cut_off(store, a_family().key) == 4

    async def test_removing_a_user_cuts_off_beyond_every_epoch_there_was(self, store: CompleteStore) -> None:
        await write(store, InsertUser(a_user()), InsertFamily(a_family()))
        await write(store, ReplaceUser(a_user(version=2, epoch=7)))
        await write(store, RemoveUser(Subject("alice"), 2))
        assert await cut_off(store, a_family().key) == 8

    async def test_a_conflicting_change_of_a_user_cuts_nobody_off(self, store: CompleteStore) -> None:
        await write(store, InsertUser(a_user()), InsertFamily(a_family()))
        assert await conflicts(store, ReplaceUser(a_user(version=3, epoch=1)))
        assert await conflicts(store, RemoveUser(Subject("alice"), 2))
        assert await cut_off(store, a_family().key) == 0

    async def test_ending_suspects_ends_the_live_marked_families_of_the_pair_alone(self, store: CompleteStore) -> None:
        marked = a_family(1, suspected=True)
        spared = [
            a_family(2),
            a_family(3, suspected=True, client_id="other"),
            a_family(4, suspected=True, subject="bob"),
            a_family(5, suspected=True, status="compromised", ended_by="reuse"),
        ]
        await write(store, InsertFamily(marked), *map(InsertFamily, spared))
        await write(
            store, EndFamilies(marked.key.placement, Subject("alice"), "suspected", "suspected", ClientId("app"))
        )
        ended = replace(marked, status="revoked", ended_by="suspected", version=2)
        assert await stored(store, marked.key) == ended
        assert [await stored(store, family.key) for family in spared] == spared

    async def test_ending_suspects_beats_a_rotation_that_read_before(self, store: CompleteStore) -> None:
        marked = a_family(suspected=True)
        await write(store, InsertFamily(marked))
        await write(store, EndFamilies(marked.key.placement, Subject("alice"), "login", "suspected", ClientId("app")))
        assert await conflicts(store, ReplaceFamily(replace(marked, version=2, generation=2)))
        assert (await stored(store, marked.key)).ended_by == "login"

    async def test_ending_suspects_where_there_are_none_is_no_conflict(self, store: CompleteStore) -> None:
        await write(store, EndFamilies(0, Subject("nobody"), "suspected", "suspected", ClientId("app")))

    async def test_families_are_swept_once_their_end_and_the_retention_have_passed(self, store: CompleteStore) -> None:
        soon, later = a_family(1, absolute_until=NOW), a_family(2, absolute_until=NOW + 1)
        await write(store, InsertFamily(soon), InsertFamily(later))
        assert await store.sweep(Instant(NOW + 99), retention=100) == 0
        assert await store.sweep(Instant(NOW + 100), retention=100) == 1
        assert await store.family(soon.key) is None
        assert await stored(store, later.key) == later
