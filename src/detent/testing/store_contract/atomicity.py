"""One `Changes`: all of it or nothing, its events included, in order."""
# ruff: noqa: S101  (an assertion is what a test is made of)

import asyncio

import msgspec
import pytest

from detent.core.audit import AuditLink
from detent.core.changes import (
    AppendLink,
    Changes,
    ConsumeRecord,
    EndFamilies,
    InsertApi,
    InsertClient,
    InsertFamily,
    InsertRecord,
    InsertUser,
    InsertWebhook,
    Part,
    PruneLink,
    RaiseServerEpoch,
    RemoveApi,
    RemoveClient,
    RemoveUser,
    RemoveWebhook,
    ReplaceApi,
    ReplaceClient,
    ReplaceFamily,
    ReplaceRecord,
    ReplaceUser,
    ReplaceWebhook,
    changed,
)
from detent.core.errors import Conflict
from detent.core.ids import ClientId, Subject
from detent.testing.factories import NOW, a_client, a_family, a_record, a_user, an_api, an_event
from detent.testing.store_contract.base import CompleteStore, Contract, conflicts, write
from detent.testing.store_contract.webhooks import a_webhook

PRESENT: tuple[Part, ...] = (
    InsertFamily(a_family(suspected=True)),
    InsertRecord(a_record()),
    InsertRecord(a_record("two")),
    InsertClient(a_client()),
    InsertClient(a_client("second")),
    InsertApi(an_api()),
    InsertApi(an_api("https://second.example/")),
    InsertUser(a_user()),
    InsertUser(a_user("bob")),
    InsertWebhook(a_webhook()),
    InsertWebhook(a_webhook("two")),
)
GOOD: tuple[Part, ...] = (
    ReplaceFamily(a_family(version=2, generation=2, suspected=True)),
    EndFamilies(a_family().key.placement, Subject("alice"), "suspected", "suspected", ClientId("app")),
    InsertFamily(a_family(2)),
    ReplaceRecord(a_record(version=2, value=b"second")),
    ConsumeRecord("test", "two", 1, NOW),
    InsertRecord(a_record("three")),
    ReplaceClient(a_client(version=2, client_name="second")),
    RemoveClient(ClientId("second"), 1),
    InsertClient(a_client("third")),
    ReplaceApi(an_api(version=2)),
    RemoveApi("https://second.example/", 1),
    InsertApi(an_api("https://third.example/")),
    ReplaceUser(a_user(username="renamed", version=2, epoch=1)),
    RemoveUser(Subject("bob"), 1),
    InsertUser(a_user("carol", username="alice")),
    RaiseServerEpoch(),
    AppendLink(AuditLink(1, "{}", b"")),
    AppendLink(AuditLink(2, "{}", b"")),
    PruneLink(1, (1,), AuditLink(0, "{}", b"")),
    ReplaceWebhook(a_webhook(version=2)),
    RemoveWebhook("two", 1),
    InsertWebhook(a_webhook("three")),
)


async def everything(store: CompleteStore) -> list[object]:
    """All that can be read of the rows of this file."""
    people = [await store.user_by_name(name) for name in ("alice", "bob", "renamed")]
    epochs = [found and found.user_epoch for found in [await store.family(a_family(n).key) for n in (1, 2)]]
    records = [await store.record("test", key) for key in ("one", "two", "three")]
    lists = [await store.clients(), await store.apis(), await store.users(), await store.families()]
    return [
        people,
        epochs,
        records,
        await store.last_link(),
        list(await store.webhooks()),
        *map(list, lists),
        await store.installation(),
        list(await store.events()),
    ]


class AtomicityContract(Contract):
    async def test_one_changes_may_hold_every_kind_of_part(self, store: CompleteStore) -> None:
        await write(store, *PRESENT)
        before = await everything(store)
        await store.apply(Changes(GOOD, (an_event(),)))
        after = await everything(store)
        assert all(new != old for new, old in zip(after, before, strict=True))

    @pytest.mark.parametrize("place", range(len(GOOD) + 1))
    async def test_a_part_that_conflicts_undoes_every_other_part_and_the_events(
        self, store: CompleteStore, place: int
    ) -> None:
        await write(store, *PRESENT)
        before = await everything(store)
        bad = ConsumeRecord("test", "never", 1, NOW)
        with pytest.raises(Conflict):
            await store.apply(Changes((*GOOD[:place], bad, *GOOD[place:]), (an_event(),)))
        assert await everything(store) == before

    async def test_parts_are_carried_out_in_order_and_see_each_other(self, store: CompleteStore) -> None:
        await write(
            store, InsertRecord(a_record()), ReplaceRecord(a_record(version=2)), ConsumeRecord("test", "one", 2, NOW)
        )
        assert await store.record("test", "one") is None
        assert await conflicts(store, ReplaceRecord(a_record(version=2)), InsertRecord(a_record()))
        assert await store.record("test", "one") is None

    async def test_two_parts_that_insert_the_same_key_conflict(self, store: CompleteStore) -> None:
        assert await conflicts(store, InsertFamily(a_family()), InsertFamily(a_family(generation=2)))
        assert await store.family(a_family().key) is None

    async def test_a_conflict_undoes_nothing_of_what_others_ask_for_in_the_same_moment(
        self, store: CompleteStore
    ) -> None:
        await write(store, InsertRecord(a_record("taken")))
        asked = [
            changed(InsertRecord(a_record(f"{n}")), InsertRecord(a_record("taken" if n % 2 else f"free {n}")))
            for n in range(8)
        ]
        outcomes = await asyncio.gather(*map(store.apply, asked), return_exceptions=True)
        assert [isinstance(outcome, Conflict) for outcome in outcomes] == [n % 2 == 1 for n in range(8)]
        found = [await store.record("test", f"{n}") is not None for n in range(8)]
        assert found == [n % 2 == 0 for n in range(8)]

    async def test_events_are_committed_with_their_change_in_order(self, store: CompleteStore) -> None:
        told = [an_event("user_added", about=f"{n}", reason="ü") for n in range(3)]
        await store.apply(changed(InsertRecord(a_record()), events=tuple(told[:2])))
        await store.apply(changed(events=tuple(told[2:])))
        events = await store.events()
        assert [event for _, event in events] == told
        numbers = [number for number, _ in events]
        assert numbers == sorted(set(numbers))

    async def test_changes_without_parts_change_nothing(self, store: CompleteStore) -> None:
        await store.apply(changed())
        assert list(await store.events()) == []

    async def test_what_was_read_never_changes_under_the_reader(self, store: CompleteStore) -> None:
        await write(store, InsertFamily(a_family()), InsertClient(a_client()))
        family, client = await store.family(a_family().key), await store.client("app")
        await write(
            store, ReplaceFamily(a_family(version=2, generation=2)), ReplaceClient(a_client(version=2, epoch=1))
        )
        assert family is not None
        assert (family.family, client) == (a_family(), a_client())
        assert msgspec.structs.asdict(family.family) == msgspec.structs.asdict(a_family())
