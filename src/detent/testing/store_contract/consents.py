"""Consents: one per person and app, widened by whoever read it last, gone when withdrawn."""
# ruff: noqa: S101  (an assertion is what a test is made of)

import asyncio

from msgspec.structs import replace

from detent.core.changes import RemoveConsent, SaveConsent
from detent.core.ids import ClientId, Subject
from detent.testing.factories import a_consent
from detent.testing.store_contract.base import CompleteStore, Contract, conflicts, write

PAIR = (Subject("alice"), ClientId("app"))


class ConsentContract(Contract):
    async def test_a_consent_that_was_never_given_is_none(self, store: CompleteStore) -> None:
        assert await store.consent(*PAIR) is None

    async def test_a_consent_comes_back_as_it_was_given(self, store: CompleteStore) -> None:
        await write(store, SaveConsent(a_consent()))
        assert await store.consent(*PAIR) == a_consent()
        assert await store.consent(Subject("bob"), ClientId("app")) is None
        assert await store.consent(Subject("alice"), ClientId("other")) is None

    async def test_a_first_consent_conflicts_with_one_that_is_there(self, store: CompleteStore) -> None:
        await write(store, SaveConsent(a_consent()))
        assert await conflicts(store, SaveConsent(a_consent(leave={})))
        assert await store.consent(*PAIR) == a_consent()

    async def test_a_consent_is_widened_if_it_has_the_version_before(self, store: CompleteStore) -> None:
        wider = a_consent(leave={"": ("openid", "email")}, version=2)
        assert await conflicts(store, SaveConsent(wider)), "there is none to widen"
        await write(store, SaveConsent(a_consent()))
        await write(store, SaveConsent(wider))
        for version in (1, 2, 4):
            assert await conflicts(store, SaveConsent(replace(wider, version=version)))
        assert await store.consent(*PAIR) == wider

    async def test_a_withdrawn_consent_is_gone_and_can_be_given_anew(self, store: CompleteStore) -> None:
        await write(store, RemoveConsent(*PAIR))
        await write(store, SaveConsent(a_consent()), SaveConsent(a_consent(client_id="other")))
        await write(store, RemoveConsent(*PAIR))
        assert await store.consent(*PAIR) is None
        assert await store.consent(Subject("alice"), ClientId("other")) is not None
        assert await conflicts(store, SaveConsent(a_consent(version=2)))
        await write(store, SaveConsent(a_consent()))

    async def test_consents_of_a_person_are_listed_by_client_id(self, store: CompleteStore) -> None:
        given = [a_consent(client_id=name) for name in ("b", "a", "c")]
        await write(store, *map(SaveConsent, given), SaveConsent(a_consent("bob")))
        assert [each.client_id for each in await store.consents(Subject("alice"))] == ["a", "b", "c"]
        assert list(await store.consents(Subject("nobody"))) == []

    async def test_of_two_that_widen_at_once_one_conflicts(self, store: CompleteStore) -> None:
        await write(store, SaveConsent(a_consent()))
        wider = [a_consent(leave={"": (name,)}, version=2) for name in ("email", "phone")]
        answers = await asyncio.gather(*(conflicts(store, SaveConsent(each)) for each in wider))
        assert sorted(answers) == [False, True]
        assert await store.consent(*PAIR) == wider[answers.index(False)]
