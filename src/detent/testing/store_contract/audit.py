"""The audit log as it is stored, and the chain over it."""
# ruff: noqa: S101  (an assertion is what a test is made of)

import asyncio

import pytest

from detent.core.audit import AuditLink
from detent.core.changes import AppendLink, PruneLink, changed
from detent.core.errors import Conflict
from detent.testing.factories import an_event
from detent.testing.store_contract.base import CompleteStore, Contract, conflicts, write


def a_link(number: int, body: str = "{}") -> AuditLink:
    return AuditLink(number, body, bytes(32))


class AuditContract(Contract):
    async def test_audit_rows_are_the_events_as_they_are_stored(self, store: CompleteStore) -> None:
        for number in range(3):
            await store.apply(changed(events=(an_event(about=f"{number}", generation=number),)))
        events, stored = await store.events(), await store.audit_rows()
        assert [(row.seq, row.name, row.at, row.about) for row in stored] == [
            (seq, event.name, event.at, event.about) for seq, event in events
        ]
        assert stored[1].body == '{"name":"user_updated","at":1800000000,"about":"1","generation":1}'
        assert list(await store.audit_rows(after=stored[0].seq, limit=1)) == [stored[1]]
        assert len({row.digest() for row in stored}) == 3

    async def test_audit_rows_between_two_numbers_are_in_order_of_number(self, store: CompleteStore) -> None:
        for number in range(5):
            await store.apply(changed(events=(an_event(generation=number),)))
        stored = list(await store.audit_rows())
        assert list(await store.audit_rows_between(-(2**63), stored[2].seq)) == stored[:3]
        assert list(await store.audit_rows_between(stored[0].seq, stored[-1].seq + 9, limit=2)) == stored[1:3]
        assert not await store.audit_rows_between(stored[2].seq, stored[2].seq)

    async def test_what_was_not_committed_leaves_no_gap_in_the_numbers(self, store: CompleteStore) -> None:
        await store.apply(changed(events=(an_event(),)))
        await write(store, AppendLink(a_link(1)))
        for _ in range(3):
            with pytest.raises(Conflict):
                await store.apply(changed(AppendLink(a_link(1)), events=(an_event(), an_event())))
        await store.apply(changed(events=(an_event(),)))
        assert [row.seq for row in await store.audit_rows()] == [1, 2]

    async def test_links_are_listed_by_number_and_the_last_one_is_found(self, store: CompleteStore) -> None:
        assert await store.last_link() is None
        links = [a_link(number, f"{number}") for number in range(1, 12)]
        await write(store, *map(AppendLink, links))
        assert list(await store.audit_links()) == links
        assert list(await store.audit_links(after=2, limit=3)) == links[2:5]
        assert await store.last_link() == links[-1]

    async def test_a_pruned_link_goes_with_its_events_and_leaves_an_anchor(self, store: CompleteStore) -> None:
        for number in range(4):
            await store.apply(changed(events=(an_event(generation=number),)))
        stored = list(await store.audit_rows())
        links = [a_link(number) for number in (1, 2, 3)]
        await write(store, *map(AppendLink, links))
        for number in (1, 2):
            events = tuple(row.seq for row in stored[2 * number - 2 : 2 * number - 1])
            await write(store, PruneLink(number, events, a_link(0, f"{number}")))
            assert await conflicts(store, PruneLink(number, (stored[3].seq,), a_link(0, "again")))
        assert list(await store.audit_rows()) == [stored[1], stored[3]]
        assert list(await store.audit_rows(after=stored[0].seq)) == [stored[1], stored[3]]
        assert list(await store.audit_links(after=-1)) == [a_link(0, "2"), links[2]]
        assert list(await store.audit_links()) == [links[2]]
        assert await store.last_link() == links[2]
        await store.apply(changed(events=(an_event(),)))
        assert (await store.audit_rows())[-1].seq > stored[3].seq

    async def test_of_links_with_one_number_the_store_takes_one(self, store: CompleteStore) -> None:
        tried = [AppendLink(a_link(1, f"node {node}")) for node in range(8)]
        lost = await asyncio.gather(*(conflicts(store, link) for link in tried))
        assert lost.count(False) == 1
        assert await store.last_link() == tried[lost.index(False)].link
