"""Records: inserted once, replaced if nobody else did, consumed once, gone when swept."""
# ruff: noqa: S101  (an assertion is what a test is made of)

import msgspec

from detent.core.changes import ConsumeRecord, InsertRecord, ReplaceRecord
from detent.core.ids import Instant
from detent.testing.factories import NOW, a_record
from detent.testing.store_contract.base import CompleteStore, Contract, conflicts, write


def consume(key: str = "one", version: int = 1, now: int = NOW) -> ConsumeRecord:
    return ConsumeRecord("test", key, version, Instant(now))


class RecordContract(Contract):
    async def test_a_record_that_was_never_inserted_is_none(self, store: CompleteStore) -> None:
        assert await store.record("test", "one") is None

    async def test_a_record_comes_back_as_it_was_inserted(self, store: CompleteStore) -> None:
        for value in (b"", bytes(range(256)), b"x" * 100_000):
            record = a_record(f"key of {len(value)} é", value=value)
            await write(store, InsertRecord(record))
            assert await store.record(record.kind, record.key) == record

    async def test_records_of_one_kind_are_listed_by_key(self, store: CompleteStore) -> None:
        for key in ("b", "a", "c"):
            await write(store, InsertRecord(a_record(key)))
        await write(store, InsertRecord(a_record("a", kind="other")))
        assert await store.records("test") == [a_record("a"), a_record("b"), a_record("c")]
        assert await store.records("test", after="a", limit=1) == [a_record("b")]
        assert await store.records("none") == []

    async def test_a_record_is_inserted_once_even_after_it_expired(self, store: CompleteStore) -> None:
        expired = a_record(expires_at=Instant(1))
        await write(store, InsertRecord(expired))
        assert await conflicts(store, InsertRecord(a_record()))
        assert await store.record("test", "one") == expired

    async def test_the_same_key_of_another_kind_is_another_record(self, store: CompleteStore) -> None:
        await write(store, InsertRecord(a_record()), InsertRecord(a_record(kind="other", value=b"other")))
        await write(store, consume())
        assert await store.record("other", "one") == a_record(kind="other", value=b"other")

    async def test_a_record_is_replaced_if_it_has_the_version_before(self, store: CompleteStore) -> None:
        second = a_record(value=b"second", expires_at=NOW + 120, version=2)
        await write(store, InsertRecord(a_record()))
        await write(store, ReplaceRecord(second))
        for version in (1, 2, 4):
            assert await conflicts(store, ReplaceRecord(msgspec.structs.replace(second, version=version, value=b"no")))
        assert await store.record("test", "one") == second

    async def test_replacing_a_record_that_does_not_exist_conflicts(self, store: CompleteStore) -> None:
        assert await conflicts(store, ReplaceRecord(a_record(version=2)))

    async def test_a_record_is_consumed_once(self, store: CompleteStore) -> None:
        await write(store, InsertRecord(a_record()))
        await write(store, consume())
        assert await store.record("test", "one") is None
        assert await conflicts(store, consume())

    async def test_consuming_another_version_conflicts(self, store: CompleteStore) -> None:
        await write(store, InsertRecord(a_record()))
        assert await conflicts(store, consume(version=2))
        assert await store.record("test", "one") == a_record()

    async def test_a_record_can_be_consumed_until_the_second_before_it_expires(self, store: CompleteStore) -> None:
        await write(store, InsertRecord(a_record()))
        assert await conflicts(store, consume(now=NOW + 61))
        assert await conflicts(store, consume(now=NOW + 60))
        await write(store, consume(now=NOW + 59))

    async def test_a_consumed_key_can_be_inserted_again(self, store: CompleteStore) -> None:
        await write(store, InsertRecord(a_record()))
        await write(store, consume())
        await write(store, InsertRecord(a_record(value=b"again")))
        assert await store.record("test", "one") == a_record(value=b"again")

    async def test_a_sweep_deletes_the_records_that_expired_and_no_other(self, store: CompleteStore) -> None:
        await write(store, InsertRecord(a_record("past")), InsertRecord(a_record("future", expires_at=NOW + 61)))
        assert await store.sweep(Instant(NOW + 59), retention=0) == 0
        assert await store.sweep(Instant(NOW + 60), retention=0) == 1
        assert await store.record("test", "past") is None
        assert await store.record("test", "future") is not None

    async def test_a_sweep_works_in_portions_until_nothing_is_left(self, store: CompleteStore) -> None:
        many = [InsertRecord(a_record(f"{number}")) for number in range(1500)]
        await write(store, *many, InsertRecord(a_record("kept", expires_at=NOW * 2)))
        portions: list[int] = []
        while portions[-1:] != [0]:
            portions.append(await store.sweep(Instant(NOW + 60), retention=0))
        assert sum(portions) == 1500
        assert len(portions) > 2
        assert await store.record("test", "kept") is not None
