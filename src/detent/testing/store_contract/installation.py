"""What a whole installation shares: keys, turned by one node at a time, and who it is."""
# ruff: noqa: S101  (an assertion is what a test is made of)

import asyncio

from detent.core.changes import Identify, Identity, TurnKeys
from detent.core.ids import Instant
from detent.core.wrapped_key import WrappedKey, WrappedKeys
from detent.testing.factories import NOW
from detent.testing.store_contract.base import CompleteStore, Contract, conflicts, write


def a_key(name: str = "1", use_from: int | None = NOW, wrapped: bytes = b"\0wrapped") -> WrappedKey:
    return WrappedKey("handle", name, NOW, None if use_from is None else Instant(use_from), "kek", wrapped)


class InstallationContract(Contract):
    async def test_keys_are_put_dropped_and_put_again_and_each_turn_counts_one_on(self, store: CompleteStore) -> None:
        assert await store.wrapped_keys() == WrappedKeys(0, ())
        await write(store, TurnKeys(0, (a_key("2", None), a_key("1"))))
        assert await store.wrapped_keys() == WrappedKeys(1, (a_key("1"), a_key("2", None)))
        moved = a_key("2", NOW + 10, b"another")
        await write(store, TurnKeys(1, (moved, a_key("3")), (("handle", "1"),)))
        assert await store.wrapped_keys() == WrappedKeys(2, (moved, a_key("3")))
        assert (await store.installation()).keys_version == 2

    async def test_of_nodes_that_turn_the_keys_at_once_one_does(self, store: CompleteStore) -> None:
        tried = [TurnKeys(0, (a_key(str(node)),)) for node in range(1, 9)]
        lost = await asyncio.gather(*(conflicts(store, each) for each in tried))
        assert lost.count(False) == 1
        assert await store.wrapped_keys() == WrappedKeys(1, tried[lost.index(False)].put)

    async def test_who_it_is_is_changed_by_whoever_knows_who_it_was(self, store: CompleteStore) -> None:
        assert (await store.installation()).identity == Identity()
        ours, theirs = Identity("https://id.example/", "a b"), Identity("https://other.example/", "store")
        lost = await asyncio.gather(*(conflicts(store, Identify(each, Identity())) for each in (ours, theirs)))
        assert sorted(lost) == [False, True]
        won = ours if lost == [False, True] else theirs
        assert (await store.installation()).identity == won
        assert await conflicts(store, Identify(ours, Identity()))
        await write(store, Identify(Identity(), won))
        assert (await store.installation()).identity == Identity()

    async def test_a_database_on_another_machine_has_a_clock_of_its_own(self, store: CompleteStore) -> None:
        told = await store.time()
        assert told is None or told > NOW / 2
