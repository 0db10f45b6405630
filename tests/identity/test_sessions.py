"""Sessions: found by their cookie alone, rotated at each sign-in, alive in use, dead with all that ends with them."""

import base64
from dataclasses import dataclass
from typing import Any

import pytest

from detent.core.changes import (
    Changes,
    EndSessions,
    InsertFamily,
    InsertUser,
    RaiseServerEpoch,
    RemoveUser,
    ReplaceSession,
    ReplaceUser,
    SlideSession,
    changed,
)
from detent.core.errors import StoreUnavailable
from detent.core.family import Origin
from detent.core.ids import FamilyKey, Seconds, SessionKey, Subject, placement_of
from detent.core.people import User
from detent.core.policy import DAY, HOUR
from detent.core.session import SLIDES_PER_IDLE, Session, SessionPolicy
from detent.identity.sessions import Sessions
from detent.ports import FoundSession
from detent.stores.memory import MemoryStore
from detent.system import SystemEntropy
from detent.testing.clock import ManualClock
from detent.testing.factories import a_family, a_user, an_authorization
from detent.testing.store_contract.base import CompleteStore
from tests.identity.conftest import audited
from tests.serving import ListSink

pytestmark = pytest.mark.quick

POLICY = SessionPolicy(idle=Seconds(24 * HOUR), absolute=Seconds(7 * DAY))
HERE = Origin(b"agent", "192.0.2.0/24")


@dataclass
class Visit:
    """People in front of browsers, and the store that remembers them."""

    sessions: Sessions
    store: CompleteStore
    clock: ManualClock
    sink: ListSink
    families: int = 0

    async def begin(self, user: User, present: Session | None = None, **more: Any) -> tuple[Session, str]:
        given: dict[str, Any] = {"request_origin": HERE, "device": "Firefox on Linux", "amr": ("pwd",)}
        return await self.sessions.begin(user, self.clock.now(), present=present, **(given | more))

    async def find(self, cookie: str | None) -> Session | None:
        return await self.sessions.find(cookie, self.clock.now())

    async def family(
        self, session: Session | None, *scope: str, client_id: str = "app", subject: str = ""
    ) -> FamilyKey:
        """A family begun in this session; it outlives it with the scope offline_access."""
        self.families += 1
        subject = session.subject if session else subject
        sid = session.sid if session else None
        family = a_family(
            self.families,
            subject=subject,
            client_id=client_id,
            authorization=an_authorization(subject, client_id, scope=("read", *scope), session_id=sid),
        )
        await self.store.apply(changed(InsertFamily(family)))
        return family.key

    async def status(self, *keys: FamilyKey) -> list[str]:
        found = [await self.store.family(key) for key in keys]
        return [each.family.ended_by or each.family.status for each in found if each]

    async def told(self) -> list[tuple[str, str, str]]:
        """What the audit log holds; each event was told to the sink as well."""
        events = await audited(self.store)
        assert events == self.sink.events
        return [(event.name, event.about, event.reason) for event in events]


@pytest.fixture
def visit(either_store: CompleteStore, clock: ManualClock, sink: ListSink) -> Visit:
    return Visit(Sessions(either_store, SystemEntropy(), sink, POLICY), either_store, clock, sink)


@pytest.fixture
async def alice(either_store: CompleteStore) -> User:
    await either_store.apply(changed(InsertUser(a_user("alice")), InsertUser(a_user("bob"))))
    return a_user("alice")


BOB = a_user("bob")


# Beginning and finding


async def test_a_person_who_signs_in_has_a_session_that_says_how_when_and_from_where(visit: Visit, alice: User) -> None:
    session, cookie = await visit.begin(alice)
    assert await visit.find(cookie) == session
    assert (session.subject, session.amr, session.device, session.origin) == (
        "alice",
        ("pwd",),
        "Firefox on Linux",
        HERE,
    )
    assert session.auth_time == session.created_at == visit.clock.now()
    assert session.key.placement == placement_of("alice")


async def test_a_sign_in_is_one_event_of_the_person_committed_with_the_session(visit: Visit, alice: User) -> None:
    await visit.begin(alice, support_id="abc")
    assert await visit.told() == [("signed_in", "alice", "Firefox on Linux")]
    (event,) = await audited(visit.store)
    assert (event.subject, event.network, event.agent, event.support_id) == (
        "alice",
        HERE.network,
        HERE.agent.hex(),
        "abc",
    )


async def test_asvs_7_2_sessions_and_secrets_are_random(visit: Visit, alice: User) -> None:
    made = [await visit.begin(alice) for _ in range(20)]
    assert len({session.key for session, _ in made}) == len({cookie[24:] for _, cookie in made}) == 20
    assert {len(cookie) for _, cookie in made} == {56}


async def test_attack_l1_a_leaked_row_holds_no_secret_that_signs_in(visit: Visit, alice: User) -> None:
    session, cookie = await visit.begin(alice)
    given_out = base64.urlsafe_b64decode(cookie[24:])
    assert (len(given_out), len(session.secret)) == (24, 32)
    assert given_out not in session.secret
    for leaked in (session.secret[:24], session.secret[-24:]):
        assert await visit.find(session.sid + base64.urlsafe_b64encode(leaked).decode()) is None


class Unread(MemoryStore):
    async def session(self, key: SessionKey) -> FoundSession | None:
        raise AssertionError("the store was read")


GARBAGE = {
    "no cookie": None,
    "an empty cookie": "",
    "one character too few": "A" * 55,
    "one character too many": "A" * 57,
    "a line feed behind": "A" * 56 + "\n",
    "padding": "A" * 55 + "=",
    "padding of two": "A" * 54 + "==",
    "padding within": "A" * 30 + "=" + "A" * 25,
    "the other alphabet's plus": "A" * 55 + "+",
    "the other alphabet's slash": "A" * 55 + "/",
    "a space within": "A" * 30 + " " + "A" * 25,
    "letters that are not ASCII": "Ａ" * 56,
    "digits that are not ASCII": "٣" * 56,
    "a refresh token": "dtrt_" + "A" * 84,
    "a megabyte": "A" * 10**6,
}


@pytest.mark.parametrize("what", GARBAGE)
async def test_attack_k3_garbage_is_nobody_and_costs_no_read(what: str, sink: ListSink, clock: ManualClock) -> None:
    sessions = Sessions(Unread(), SystemEntropy(), sink)
    assert await sessions.find(GARBAGE[what], clock.now()) is None


async def test_attack_k3_a_cookie_that_differs_in_any_character_is_nobodys(visit: Visit, alice: User) -> None:
    _, cookie = await visit.begin(alice)
    for place, character in enumerate(cookie):
        other = "A" if character != "A" else "B"
        assert await visit.find(cookie[:place] + other + cookie[place + 1 :]) is None
    assert await visit.find(cookie)


async def test_attack_k3_the_secret_of_one_session_opens_no_other(visit: Visit, alice: User) -> None:
    (_, hers), (_, his) = await visit.begin(alice), await visit.begin(BOB)
    assert await visit.find(hers[:24] + his[24:]) is None
    assert await visit.find(his[:24] + hers[24:]) is None


# Signing in again


async def test_attack_k1_the_same_person_again_goes_on_under_a_new_secret(visit: Visit, alice: User) -> None:
    before, old = await visit.begin(alice)
    kept = await visit.family(before)
    visit.clock.advance(HOUR)
    after, cookie = await visit.begin(alice, before, amr=("pwd", "otp"), device="Chrome on Linux")
    assert after.sid == before.sid
    assert await visit.find(old) is None
    assert await visit.find(cookie) == after
    assert (after.created_at, after.auth_time) == (before.created_at, visit.clock.now())
    assert (after.amr, after.device, after.version) == (("pwd", "otp"), "Chrome on Linux", 2)
    assert await visit.status(kept) == ["live"]
    assert [name for name, *_ in await visit.told()] == ["signed_in", "signed_in"]


async def test_signing_in_again_begins_a_whole_new_life(visit: Visit, alice: User) -> None:
    session, _ = await visit.begin(alice)
    visit.clock.advance(23 * HOUR)
    again, cookie = await visit.begin(alice, session)
    assert again.life.absolute_until == visit.clock.now() + POLICY.absolute
    visit.clock.advance(23 * HOUR)
    assert await visit.find(cookie)


async def test_attack_k1_another_person_in_this_browser_ends_the_first_ones_session(visit: Visit, alice: User) -> None:
    hers, her_cookie = await visit.begin(alice)
    elsewhere, other_cookie = await visit.begin(alice)
    bound, offline = await visit.family(hers), await visit.family(hers, "offline_access")
    other = await visit.family(elsewhere)
    his, his_cookie = await visit.begin(BOB, hers)
    assert his.sid != hers.sid
    assert await visit.find(her_cookie) is None
    assert await visit.find(other_cookie) == elsewhere
    assert await visit.find(his_cookie) == his
    assert await visit.status(bound, offline, other) == ["replaced", "live", "live"]
    assert (await visit.told())[2:] == [
        ("signed_in", "bob", "Firefox on Linux"),
        ("signed_out", "alice", "another person signed in"),
    ]


async def test_a_session_that_was_ended_meanwhile_is_not_revived_by_signing_in(visit: Visit, alice: User) -> None:
    before, old = await visit.begin(alice)
    await visit.sessions.end(before, visit.clock.now(), "logout")
    after, cookie = await visit.begin(alice, before)
    assert after.sid != before.sid
    assert (after.version, after.created_at) == (1, visit.clock.now())
    assert await visit.find(cookie) == after
    assert await visit.find(old) is None


async def test_two_sign_ins_at_once_in_one_browser_leave_two_sessions_that_live(visit: Visit, alice: User) -> None:
    before, _ = await visit.begin(alice)
    (_, one), (_, other) = await visit.begin(alice, before), await visit.begin(alice, before)
    assert await visit.find(one)
    assert await visit.find(other)


class Failing(MemoryStore):
    """Fails once at the write that has such a part."""

    fails_at: type = type(None)

    async def apply(self, changes: Changes) -> None:
        if any(isinstance(part, self.fails_at) for part in changes.parts):
            self.fails_at = type(None)
            raise StoreUnavailable("the disk is full")
        await super().apply(changes)


async def test_a_sign_in_that_cannot_be_written_leaves_everything_and_tells_nothing(
    sink: ListSink, clock: ManualClock
) -> None:
    store = Failing()
    visit = Visit(Sessions(store, SystemEntropy(), sink, POLICY), store, clock, sink)
    before, cookie = await visit.begin(a_user("alice"))
    for part, user in ((ReplaceSession, a_user("alice")), (EndSessions, BOB)):
        store.fails_at = part
        with pytest.raises(StoreUnavailable):
            await visit.begin(user, before)
        assert await visit.find(cookie) == before
    assert [name for name, *_ in await visit.told()] == ["signed_in"]


# Life


async def test_asvs_7_3_a_session_ends_idle_and_absolute_at_the_very_second(visit: Visit, alice: User) -> None:
    session, cookie = await visit.begin(alice)
    visit.clock.advance(POLICY.idle - 1)
    assert await visit.find(cookie)
    visit.clock.advance(1)
    assert await visit.find(cookie) is None
    session, cookie = await visit.begin(alice)
    while visit.clock.now() < session.life.absolute_until:
        found = await visit.find(cookie)
        assert found
        await visit.sessions.touch(found, visit.clock.now())
        visit.clock.advance(POLICY.idle // 2)
    assert await visit.find(cookie) is None


async def test_that_a_session_ran_out_is_written_down_once_by_whoever_notices(visit: Visit, alice: User) -> None:
    for end, wait in (("idle", POLICY.idle), ("absolute", POLICY.absolute)):
        session, cookie = await visit.begin(alice)
        before = len(await audited(visit.store))
        while end == "absolute" and visit.clock.now() < session.life.absolute_until:
            await visit.sessions.touch((await visit.find(cookie)) or session, visit.clock.now())
            visit.clock.advance(POLICY.idle // 2)
        visit.clock.advance(wait)
        for _ in range(3):
            assert await visit.find(cookie) is None
        [told] = (await audited(visit.store))[before:]
        assert (told.name, told.subject, told.reason) == ("signed_out", alice.subject, end)
        found = await visit.store.session(session.key)
        assert found
        assert (found.session.life.ended_by, found.session.life.over(visit.clock.now())) == (end, end)


async def test_a_session_that_ran_out_is_over_whether_or_not_that_can_be_written(
    sink: ListSink, caplog: pytest.LogCaptureFixture
) -> None:
    store, clock = Failing(), ManualClock()
    visit = Visit(Sessions(store, SystemEntropy(), sink, POLICY), store, clock, sink)
    _, cookie = await visit.begin(a_user("alice"))
    clock.advance(POLICY.idle)
    store.fails_at = EndSessions
    assert await visit.find(cookie) is None
    assert "the end of a session was not written down: the disk is full" in caplog.text


async def test_a_session_in_use_is_written_at_most_24_times_in_its_idle_life(sink: ListSink) -> None:
    class Counting(MemoryStore):
        slides = 0

        async def apply(self, changes: Changes) -> None:
            self.slides += sum(isinstance(part, SlideSession) for part in changes.parts)
            await super().apply(changes)

    store, clock = Counting(), ManualClock()
    visit = Visit(Sessions(store, SystemEntropy(), sink, POLICY), store, clock, sink)
    _, cookie = await visit.begin(a_user("alice"))
    for _ in range(POLICY.idle // 60):
        clock.advance(60)
        found = await visit.find(cookie)
        assert found
        await visit.sessions.touch(found, clock.now())
    assert 20 <= store.slides <= SLIDES_PER_IDLE


async def test_a_store_that_cannot_write_takes_nothing_from_whoever_only_reads(
    sink: ListSink, caplog: pytest.LogCaptureFixture
) -> None:
    store, clock = Failing(), ManualClock()
    visit = Visit(Sessions(store, SystemEntropy(), sink, POLICY), store, clock, sink)
    session, cookie = await visit.begin(a_user("alice"))
    clock.advance(2 * HOUR)
    store.fails_at = SlideSession
    await visit.sessions.touch(session, clock.now())
    assert await visit.find(cookie) == session
    assert "not prolonged: the disk is full" in caplog.text
    await visit.sessions.touch(session, clock.now())
    clock.advance(POLICY.idle - 1)
    assert await visit.find(cookie)


async def test_a_use_under_way_does_not_revive_a_session_that_was_ended(visit: Visit, alice: User) -> None:
    session, cookie = await visit.begin(alice)
    visit.clock.advance(2 * HOUR)
    await visit.sessions.end(session, visit.clock.now(), "logout")
    await visit.sessions.touch(session, visit.clock.now())
    assert await visit.find(cookie) is None


# Ends


async def test_attack_k12_signing_out_ends_the_session_and_what_ends_with_it(visit: Visit, alice: User) -> None:
    session, cookie = await visit.begin(alice)
    other, other_cookie = await visit.begin(alice)
    bound, offline = await visit.family(session), await visit.family(session, "offline_access")
    of_other, of_none = await visit.family(other), await visit.family(None, subject="alice")
    await visit.sessions.end(session, visit.clock.now(), "logout", origin=HERE, support_id="abc")
    assert await visit.find(cookie) is None
    assert await visit.find(other_cookie) == other
    assert await visit.status(bound, offline, of_other, of_none) == ["logout", "live", "live", "live"]
    assert (await visit.told())[-1] == ("signed_out", "alice", "logout")
    event = (await audited(visit.store))[-1]
    assert (event.network, event.support_id) == (HERE.network, "abc")


SIGNED_OUT = {  # what lives on of: this session, another one, and the families begun in this, another, and no session
    "only": ([False, True], ["person", "live", "live"], "one session"),
    "but": ([True, False], ["live", "person", "person"], "all other sessions"),
    "all": ([False, False], ["person", "person", "person"], "all sessions"),
}


@pytest.mark.parametrize("which", SIGNED_OUT)
@pytest.mark.parametrize("scope", [(), ("offline_access",)])
async def test_the_account_page_ends_one_session_all_others_or_all_with_every_family(
    visit: Visit, alice: User, which: str, scope: tuple[str, ...]
) -> None:
    (session, cookie), (other, other_cookie), (_, bobs) = [await visit.begin(who) for who in (alice, alice, BOB)]
    families = [await visit.family(each, *scope, subject="alice") for each in (session, other, None)]
    of_bob = await visit.family(None, subject="bob")
    arguments: dict[str, Any] = {} if which == "all" else {which: session.sid}
    await visit.sessions.sign_out(Subject("alice"), visit.clock.now(), **arguments)
    lives, status, reason = SIGNED_OUT[which]
    assert [await visit.find(each) is not None for each in (cookie, other_cookie)] == lives
    assert await visit.status(*families) == status
    assert await visit.find(bobs)
    assert await visit.status(of_bob) == ["live"]
    stored = [await visit.store.session(each.key) for each in (session, other)]
    assert [found.session.life.ended_by for found in stored if found] == ["" if lived else "person" for lived in lives]
    assert (await visit.told())[-1] == ("signed_out", "alice", reason)


async def test_a_session_of_another_person_cannot_be_ended_by_its_sid(visit: Visit, alice: User) -> None:
    _, bobs = await visit.begin(BOB)
    found = await visit.find(bobs)
    assert found
    family = await visit.family(found)
    await visit.sessions.sign_out(Subject("alice"), visit.clock.now(), only=found.sid)
    assert await visit.find(bobs) == found
    assert await visit.status(family) == ["live"]


@pytest.mark.parametrize("cut", ["person", "server", "removed"])
async def test_attack_k12_a_cut_off_ends_every_session_issued_before_and_none_after(
    visit: Visit, alice: User, cut: str
) -> None:
    _, cookie = await visit.begin(alice)
    later = a_user("alice", epoch=1, version=2)
    match cut:
        case "person":
            await visit.store.apply(changed(ReplaceUser(later)))
        case "server":
            await visit.store.apply(changed(RaiseServerEpoch()))
        case _:
            await visit.store.apply(changed(RemoveUser(alice.subject, 1)))
    assert await visit.find(cookie) is None
    if cut == "removed":
        return
    _, new = await visit.begin(later if cut == "person" else alice)
    assert await visit.find(new)


async def test_who_was_cut_off_while_signing_in_is_not_signed_in(visit: Visit, alice: User) -> None:
    await visit.store.apply(changed(ReplaceUser(a_user("alice", epoch=1, version=2))))
    _, cookie = await visit.begin(alice)
    assert await visit.find(cookie) is None


async def test_signing_in_again_after_a_cut_off_goes_on_with_the_same_session(visit: Visit, alice: User) -> None:
    before, old = await visit.begin(alice)
    later = a_user("alice", epoch=1, version=2)
    await visit.store.apply(changed(ReplaceUser(later)))
    after, cookie = await visit.begin(later, before)
    assert after.sid == before.sid
    assert await visit.find(cookie) == after
    assert await visit.find(old) is None
