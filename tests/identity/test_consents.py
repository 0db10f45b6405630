"""Consents: remembered per app and API, widened and never narrowed by a new one, and taken back with every token."""

import asyncio
from typing import Any

import pytest

from detent.core.changes import InsertFamily, changed
from detent.core.consent import IDENTITY, Leave, covers
from detent.core.errors import Conflict
from detent.core.ids import ClientId, FamilyKey, Subject
from detent.identity.consents import Consents
from detent.testing.clock import ManualClock
from detent.testing.factories import a_family
from detent.testing.store_contract.base import CompleteStore
from tests.identity.conftest import audited
from tests.serving import ListSink

pytestmark = pytest.mark.quick

ALICE, APP = Subject("alice"), ClientId("app")
API = "https://api.example/"


@pytest.fixture
def consents(either_store: CompleteStore, sink: ListSink) -> Consents:
    return Consents(either_store, sink)


async def test_oidc_3_1_2_4_what_a_person_allowed_is_remembered(consents: Consents, clock: ManualClock) -> None:
    assert await consents.given(ALICE, APP) is None
    asked = {IDENTITY: ("openid", "email"), API: ("read",)}
    await consents.allow(ALICE, APP, asked, clock.now())
    given = await consents.given(ALICE, APP)
    assert given
    assert (given.leave, given.given_at, given.version) == (asked, clock.now(), 1)
    assert await consents.given(Subject("bob"), APP) is None
    assert await consents.given(ALICE, ClientId("other")) is None


async def test_a_further_consent_widens_and_takes_nothing_back(consents: Consents, clock: ManualClock) -> None:
    await consents.allow(ALICE, APP, {IDENTITY: ("openid",), API: ("read",)}, clock.now())
    clock.advance(60)
    await consents.allow(ALICE, APP, {API: ("write",), "https://other.example/": ("read",)}, clock.now())
    given = await consents.given(ALICE, APP)
    assert given
    assert given.leave == {IDENTITY: ("openid",), API: ("read", "write"), "https://other.example/": ("read",)}
    assert (given.given_at, given.version) == (clock.now(), 2)


async def test_consents_at_once_are_all_kept(
    consents: Consents, either_store: CompleteStore, clock: ManualClock
) -> None:
    asked: list[Leave] = [{API: (scope,)} for scope in ("read", "write", "delete", "share")]
    await asyncio.gather(*(consents.allow(ALICE, APP, one, clock.now()) for one in asked))
    given = await consents.given(ALICE, APP)
    assert all(covers(given, one) for one in asked)
    assert len(await audited(either_store)) == 4


async def test_a_consent_is_told_with_its_scopes_and_by_whom(
    consents: Consents, either_store: CompleteStore, sink: ListSink, clock: ManualClock
) -> None:
    await consents.allow(ALICE, APP, {IDENTITY: ("openid",), API: ("read",), "b": ("read",)}, clock.now(), "abc")
    await consents.withdraw(ALICE, APP, clock.now(), "def")
    given, withdrawn = await audited(either_store)
    assert (given.name, given.about, given.subject, given.client_id) == ("consent_given", "alice", "alice", "app")
    assert (given.reason, given.support_id) == ("openid read", "abc")
    assert (withdrawn.name, withdrawn.about, withdrawn.client_id) == ("consent_withdrawn", "alice", "app")
    assert withdrawn.support_id == "def"
    assert sink.events == [given, withdrawn]


async def test_withdrawing_ends_every_family_of_this_person_at_this_app_and_no_other(
    consents: Consents, either_store: CompleteStore, clock: ManualClock
) -> None:
    hers = [a_family(1), a_family(2)]
    elses = [a_family(3, client_id="other"), a_family(4, subject="bob")]
    await either_store.apply(changed(*(InsertFamily(family) for family in (*hers, *elses))))
    await consents.allow(ALICE, APP, {API: ("read",)}, clock.now())
    await consents.withdraw(ALICE, APP, clock.now())
    assert await consents.given(ALICE, APP) is None

    async def ended(key: FamilyKey) -> str:
        found = await either_store.family(key)
        assert found
        return found.family.ended_by

    assert [await ended(family.key) for family in hers] == ["consent_withdrawn"] * 2
    assert [await ended(family.key) for family in elses] == [""] * 2


async def test_a_consent_after_a_withdrawal_holds_nothing_of_the_one_before(
    consents: Consents, clock: ManualClock
) -> None:
    await consents.allow(ALICE, APP, {API: ("read", "write")}, clock.now())
    await consents.withdraw(ALICE, APP, clock.now())
    await consents.withdraw(ALICE, APP, clock.now())
    await consents.allow(ALICE, APP, {API: ("read",)}, clock.now())
    given = await consents.given(ALICE, APP)
    assert given
    assert given.leave == {API: ("read",)}


async def test_a_consent_that_others_keep_changing_is_given_up_and_not_half_written(
    either_store: CompleteStore, sink: ListSink, clock: ManualClock
) -> None:
    tries = 0

    class Contended:
        """Another consent comes before each of ours."""

        def __getattr__(self, name: str) -> Any:
            return getattr(either_store, name)

        async def apply(self, changes: Any) -> None:
            nonlocal tries
            tries += 1
            await Consents(either_store, ListSink()).allow(ALICE, APP, {API: (f"scope{tries}",)}, clock.now())
            await either_store.apply(changes)

    contended: Any = Contended()
    with pytest.raises(Conflict):
        await Consents(contended, sink).allow(ALICE, APP, {API: ("mine",)}, clock.now())
    assert tries == 5
    assert not sink.events
    assert not covers(await Consents(either_store, sink).given(ALICE, APP), {API: ("mine",)})
