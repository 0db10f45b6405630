"""Sessions: begun once, slid by whoever uses them, ended for good; and what families know of them."""
# ruff: noqa: S101  (an assertion is what a test is made of)

from typing import Any

from msgspec.structs import replace

from detent.core.authorization import Epochs
from detent.core.changes import (
    EndFamilies,
    EndSessions,
    InsertFamily,
    InsertSession,
    InsertUser,
    RemoveConsent,
    RemoveUser,
    ReplaceSession,
    ReplaceUser,
    SaveConsent,
    SlideSession,
)
from detent.core.family import Family
from detent.core.ids import ClientId, Instant, SessionKey, Subject, placement_of
from detent.core.session import Session
from detent.testing.factories import NOW, a_consent, a_family, a_session, a_user, an_authorization
from detent.testing.store_contract.base import CompleteStore, Contract, conflicts, write

ALICE = (placement_of("alice"), Subject("alice"))


def a_family_of(session: Session | None, number: int = 1, scope: tuple[str, ...] = ("read",), **fields: Any) -> Family:
    granted = an_authorization(scope=scope, session_id=session.sid if session else None)
    return a_family(number, authorization=granted, **fields)


async def stored(store: CompleteStore, session: Session) -> Session:
    found = await store.session(session.key)
    assert found is not None
    return found.session


def later(session: Session, seconds: int) -> SlideSession:
    life = session.life
    idle_until = Instant(life.idle_until + seconds)
    return SlideSession(session.key, replace(life, last_used_at=Instant(NOW + seconds), idle_until=idle_until))


class SessionContract(Contract):
    async def test_a_session_that_was_never_begun_is_none(self, store: CompleteStore) -> None:
        assert await store.session(SessionKey(1, bytes(16))) is None

    async def test_a_session_comes_back_as_it_was_inserted(self, store: CompleteStore) -> None:
        session = a_session(acr="phr", epochs=Epochs(1, 0, 2), device="é", amr=("pwd", "otp"))
        await write(store, InsertSession(session))
        found = await store.session(session.key)
        assert found is not None
        assert (found.session, found.user_epoch) == (session, 0)
        assert await conflicts(store, InsertSession(session))

    async def test_the_key_is_the_placement_and_the_id(self, store: CompleteStore) -> None:
        session = a_session()
        await write(store, InsertSession(session))
        assert await store.session(SessionKey(session.key.placement ^ 1, session.key.id)) is None

    async def test_a_session_is_replaced_if_it_has_the_version_before(self, store: CompleteStore) -> None:
        session = a_session()
        await write(store, InsertSession(session))
        again = replace(session, secret=bytes(32), auth_time=Instant(NOW + 5), version=2)
        await write(store, ReplaceSession(again))
        for version in (1, 2, 4):
            assert await conflicts(store, ReplaceSession(replace(again, version=version)))
        assert await stored(store, session) == again

    async def test_replacing_a_session_that_does_not_exist_conflicts(self, store: CompleteStore) -> None:
        assert await conflicts(store, ReplaceSession(a_session(version=2)))

    async def test_a_slide_moves_the_life_forward_and_nothing_else(self, store: CompleteStore) -> None:
        session = a_session()
        await write(store, InsertSession(session))
        slid = later(session, 100)
        await write(store, slid)
        await write(store, later(session, 50))  # one that was late
        assert await stored(store, session) == replace(session, life=slid.life)
        assert not await conflicts(store, ReplaceSession(replace(session, version=2))), "no version was raised"

    async def test_a_slide_never_moves_the_absolute_end(self, store: CompleteStore) -> None:
        session = a_session()
        await write(store, InsertSession(session))
        life = replace(session.life, idle_until=Instant(NOW * 2), absolute_until=Instant(NOW * 2))
        await write(store, SlideSession(session.key, life))
        assert (await stored(store, session)).life.absolute_until == session.life.absolute_until

    async def test_a_slide_revives_nothing_and_never_conflicts(self, store: CompleteStore) -> None:
        session = a_session()
        await write(store, later(session, 1))
        assert await store.session(session.key) is None
        await write(store, InsertSession(session))
        await write(store, EndSessions(*ALICE, "logout", only=session.sid))
        ended = await stored(store, session)
        await write(store, later(session, 100))
        assert await stored(store, session) == ended
        assert ended.life.ended_by == "logout"

    async def test_an_end_beats_a_sign_in_that_read_before(self, store: CompleteStore) -> None:
        session = a_session()
        await write(store, InsertSession(session))
        await write(store, EndSessions(*ALICE, "logout"))
        assert await conflicts(store, ReplaceSession(replace(session, version=2)))
        assert (await stored(store, session)).version == 2

    async def test_ending_sessions_ends_those_that_are_meant(self, store: CompleteStore) -> None:
        one, two, three = (a_session(number) for number in (1, 2, 3))
        foreign = a_session(4, subject="bob")
        await write(store, *map(InsertSession, (one, two, three, foreign)))
        await write(store, EndSessions(*ALICE, "only", only=two.sid))
        await write(store, EndSessions(*ALICE, "but", but=one.sid))
        await write(store, EndSessions(*ALICE, "foreign", only=foreign.sid))
        assert [(await stored(store, each)).life.ended_by for each in (one, two, three, foreign)] == [
            "", "only", "but", "",
        ]  # fmt: skip
        await write(store, EndSessions(*ALICE, "all"))
        assert (await stored(store, one)).life.ended_by == "all"
        assert (await stored(store, two)).life.ended_by == "only", "what has ended keeps its reason"

    async def test_ending_families_ends_those_that_are_meant(self, store: CompleteStore) -> None:
        one, two = a_session(1), a_session(2)
        families = {
            "bound": a_family_of(one, 1),
            "offline": a_family_of(one, 2, ("read", "offline_access")),
            "elsewhere": a_family_of(two, 3),
            "nowhere": a_family_of(None, 4),
            "dead": a_family_of(one, 5, status="compromised", ended_by="reuse"),
        }
        await write(store, InsertSession(one), InsertSession(two), *map(InsertFamily, families.values()))

        async def ended() -> dict[str, str]:
            found = {name: await store.family(family.key) for name, family in families.items()}
            return {name: each.family.ended_by for name, each in found.items() if each and each.family.ended_by}

        await write(store, EndFamilies(*ALICE, "bound", "bound", session_id=one.sid))
        assert await ended() == {"bound": "bound", "dead": "reuse"}
        await write(store, EndFamilies(*ALICE, "but", but_session_id=one.sid))
        assert await ended() == {"bound": "bound", "dead": "reuse", "elsewhere": "but", "nowhere": "but"}
        await write(store, EndFamilies(placement_of("bob"), Subject("bob"), "foreign"))
        await write(store, EndFamilies(*ALICE, "all", session_id=one.sid))
        assert (await ended())["offline"] == "all"

    async def test_ending_families_raises_their_version(self, store: CompleteStore) -> None:
        family = a_family_of(a_session())
        await write(store, InsertFamily(family))
        await write(store, EndFamilies(*ALICE, "logout"))
        found = await store.family(family.key)
        assert found is not None
        assert found.family == replace(family, status="revoked", ended_by="logout", version=2)

    async def test_a_family_comes_with_the_life_of_its_session(self, store: CompleteStore) -> None:
        session, gone = a_session(1), a_session(2)
        family, orphan, free = a_family_of(session, 1), a_family_of(gone, 2), a_family_of(None, 3)
        await write(store, InsertSession(session), *map(InsertFamily, (family, orphan, free)))
        lives = [found.session if (found := await store.family(each.key)) else "?" for each in (family, orphan, free)]
        assert lives == [session.life, None, None]
        slid = later(session, 100)
        await write(store, slid)
        await write(store, EndSessions(*ALICE, "logout"))
        found = await store.family(family.key)
        assert found is not None
        assert found.session == replace(slid.life, ended_by="logout")
        assert found.session_over(NOW)

    async def test_a_family_can_ask_for_its_session_and_its_consent(self, store: CompleteStore) -> None:
        """What a code's redemption found a moment before may be gone when it is written."""
        session = a_session()
        family = a_family_of(session)
        for asked in ((True, False), (False, True), (True, True)):
            assert await conflicts(store, InsertFamily(family, *asked))
        await write(store, InsertSession(session))
        assert await conflicts(store, InsertFamily(family, True, True))
        await write(store, SaveConsent(a_consent()))
        await write(store, InsertFamily(family, True, True))
        assert await conflicts(store, InsertFamily(family, True, True)), "the key is taken"
        second = a_family_of(session, 2)
        await write(store, EndSessions(*ALICE, "logout"))
        assert await conflicts(store, InsertFamily(second, in_session=True))
        await write(store, RemoveConsent(*ALICE[1:], ClientId("app")))
        assert await conflicts(store, InsertFamily(second, consented=True))
        await write(store, InsertFamily(second))

    async def test_a_session_comes_with_the_cut_off_of_its_person(self, store: CompleteStore) -> None:
        session = a_session()
        await write(store, InsertUser(a_user()), InsertSession(session))
        await write(store, ReplaceUser(a_user(version=2, epoch=3)))
        found = await store.session(session.key)
        assert found is not None
        assert found.user_epoch == 3
        await write(store, RemoveUser(Subject("alice"), 2))
        found = await store.session(session.key)
        assert found is not None
        assert found.user_epoch == 4

    async def test_sessions_of_a_person_are_listed_the_latest_used_first(self, store: CompleteStore) -> None:
        one, two, three = (a_session(number) for number in (1, 2, 3))
        await write(store, *map(InsertSession, (one, two, three, a_session(4, subject="bob"))))
        await write(store, later(two, 100), EndSessions(*ALICE, "logout", only=three.sid))
        listed = await store.sessions(Subject("alice"))
        assert [each.sid for each in listed] == [two.sid, one.sid, three.sid]
        assert listed[2].life.ended_by == "logout"
        assert list(await store.sessions(Subject("nobody"))) == []

    async def test_sessions_are_swept_once_their_end_and_the_retention_have_passed(self, store: CompleteStore) -> None:
        soon = a_session(1, life=replace(a_session().life, absolute_until=NOW))
        after = a_session(2, life=replace(a_session().life, absolute_until=Instant(NOW + 1)))
        await write(store, InsertSession(soon), InsertSession(after))
        assert await store.sweep(Instant(NOW + 99), retention=100) == 0
        assert await store.sweep(Instant(NOW + 100), retention=100) == 1
        assert await store.session(soon.key) is None
        assert await stored(store, after) == after

    async def test_a_conflict_beside_them_undoes_every_part_of_a_sign_out(self, store: CompleteStore) -> None:
        session = a_session()
        family = a_family_of(session)
        await write(store, InsertSession(session), InsertFamily(family))
        ending = (EndSessions(*ALICE, "x"), EndFamilies(*ALICE, "x"), later(session, 100))
        assert await conflicts(store, *ending, InsertFamily(family))
        assert await stored(store, session) == session
        found = await store.family(family.key)
        assert found is not None
        assert found.family == family
