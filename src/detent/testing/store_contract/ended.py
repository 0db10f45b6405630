"""Which authorizations have ended, by number: the same ones whose access tokens introspection calls inactive."""
# ruff: noqa: S101  (an assertion is what a test is made of)

from typing import Any

import pytest
from msgspec.structs import replace

from detent.core.authorization import Epochs
from detent.core.changes import (
    EndFamilies,
    EndSessions,
    InsertClient,
    InsertFamily,
    InsertSession,
    InsertUser,
    Part,
    RaiseServerEpoch,
    RemoveClient,
    RemoveUser,
    ReplaceClient,
    ReplaceFamily,
    ReplaceUser,
)
from detent.core.family import revoke
from detent.core.ids import ClientId, Instant, Subject, placement_of
from detent.testing.factories import NOW, a_client, a_family, a_session, a_user, an_authorization
from detent.testing.store_contract.base import CompleteStore, Contract, write

ALICE = (placement_of("alice"), Subject("alice"))
SESSION = a_session()
EPOCHS = Epochs(2, 3, 0)
CLIENT, USER = a_client(epoch=EPOCHS.client), a_user(epoch=EPOCHS.user)


def numbered(number: int, **fields: Any) -> InsertFamily:
    granted = an_authorization(**{"number": number, "epochs": EPOCHS, **fields})
    return InsertFamily(a_family(number, authorization=granted))


async def ended(store: CompleteStore, *parts: Part, later: int = 0) -> list[int]:
    """Of 5, of the session, and 6, which outlives it, once these parts were carried out."""
    await write(store, InsertClient(CLIENT), InsertUser(replace(USER, epoch=0)))
    await write(store, ReplaceUser(replace(USER, version=2)), InsertSession(SESSION))
    bound = numbered(5, session_id=SESSION.sid)
    await write(store, bound, numbered(6, session_id=SESSION.sid, scope=("read", "offline_access")))
    assert list(await store.ended(range(10), NOW)) == []
    await write(store, *parts)
    return list(await store.ended(range(10), Instant(NOW + later)))


def revoked(number: int) -> ReplaceFamily:
    dead = revoke(numbered(number).family, "client", NOW)
    assert dead is not None
    return ReplaceFamily(dead)


EVERYTHING: dict[str, tuple[Part, ...]] = {
    "families of the person": (EndFamilies(*ALICE, "user"),),
    "cut-off of the person": (ReplaceUser(replace(USER, version=3, epoch=3)),),
    "person gone": (RemoveUser(USER.subject, 2),),
    "cut-off of the client": (ReplaceClient(replace(CLIENT, version=2, epoch=4)),),
    "client disabled": (ReplaceClient(replace(CLIENT, version=2, enabled=False)),),
    "client gone": (RemoveClient(ClientId("app"), 1),),
    "cut-off of everything": (RaiseServerEpoch(),),
}


class EndedContract(Contract):
    async def test_one_that_was_revoked_has_ended(self, store: CompleteStore) -> None:
        assert await ended(store, revoked(6)) == [6]

    @pytest.mark.parametrize("parts", EVERYTHING.values(), ids=EVERYTHING)
    async def test_all_that_something_cuts_off_have_ended(self, store: CompleteStore, parts: tuple[Part, ...]) -> None:
        assert await ended(store, *parts) == [5, 6]

    async def test_what_is_bound_ends_with_its_session(self, store: CompleteStore) -> None:
        assert await ended(store, EndSessions(*ALICE, "user")) == [5]

    async def test_what_is_bound_ends_in_the_second_in_which_its_session_is_idle(self, store: CompleteStore) -> None:
        idle = SESSION.life.idle_until - NOW
        assert await ended(store, later=idle) == [5]
        assert list(await store.ended(range(10), Instant(NOW + idle - 1))) == []

    async def test_a_refresh_ends_nothing(self, store: CompleteStore) -> None:
        bound = numbered(5, session_id=SESSION.sid).family
        assert await ended(store, ReplaceFamily(replace(bound, version=2, generation=2))) == []

    async def test_only_those_asked_for_are_told_in_order(self, store: CompleteStore) -> None:
        """All of them have ended: their client was never there."""
        numbers = [3, 2**40 + 1, 1023, 0, 1024, 4096, 2**40]
        await write(store, InsertFamily(a_family(9)), *map(numbered, numbers))
        assert list(await store.ended(range(5000), NOW)) == [0, 3, 1023, 1024, 4096]
        assert list(await store.ended(range(1, 4096), NOW)) == [3, 1023, 1024]
        assert list(await store.ended(range(2**40, 2**40 + 8192), NOW)) == [2**40, 2**40 + 1]
        assert not await store.ended(range(4, 4), NOW)
