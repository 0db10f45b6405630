"""Lists: in key order, families by their ends, page by page, each row once."""
# ruff: noqa: S101  (an assertion is what a test is made of)

from detent.core.changes import InsertApi, InsertClient, InsertFamily, InsertUser, ReplaceUser, changed
from detent.core.events import EventName
from detent.core.family import Family
from detent.core.ids import ClientId, Instant, Subject
from detent.testing.factories import NOW, a_client, a_family, a_user, an_api, an_event
from detent.testing.store_contract.base import CompleteStore, Contract, write

NAMES = ["zoë", "Zebra", "alpha", "beta", "émile", "b", "10", "9"]


class DirectoryContract(Contract):
    async def test_lists_are_empty_in_an_empty_store(self, store: CompleteStore) -> None:
        assert not await store.clients()
        assert not await store.apis()
        assert not await store.users()
        assert not await store.families()
        assert not await store.events()

    async def test_lists_are_in_key_order_and_a_page_goes_on_after_the_last_one(self, store: CompleteStore) -> None:
        await write(store, *(InsertClient(a_client(name)) for name in NAMES))
        await write(store, *(InsertApi(an_api(f"https://{name}/")) for name in NAMES))
        await write(store, *(InsertUser(a_user(name)) for name in NAMES))
        assert [client.client_id for client in await store.clients()] == sorted(NAMES)
        assert [client.client_id for client in await store.clients(limit=3)] == sorted(NAMES)[:3]
        assert [user.subject for user in await store.users(after="Zebra", limit=2)] == ["alpha", "b"]
        assert [user.subject for user in await store.users(after="a")] == sorted(NAMES)[3:]
        assert [api.identifier for api in await store.apis(after="https://b/", limit=1)] == ["https://beta/"]
        assert not await store.clients(after=sorted(NAMES)[-1])

    async def test_a_list_shows_the_present_version(self, store: CompleteStore) -> None:
        await write(store, InsertUser(a_user()))
        await write(store, ReplaceUser(a_user(version=2, username="renamed")))
        assert list(await store.users()) == [a_user(version=2, username="renamed")]

    async def test_families_are_listed_by_their_ends_by_subject_and_by_client(self, store: CompleteStore) -> None:
        families = [
            a_family(number, subject=subject, client_id=client_id, absolute_until=Instant(NOW + 9 - number // 2))
            for number, (subject, client_id) in enumerate(
                [("alice", "app"), ("bob", "app"), ("alice", "web"), ("carol", "web"), ("alice", "app")]
            )
        ]
        await write(store, *map(InsertFamily, families))
        families.sort(key=lambda family: (family.absolute_until, family.key))
        assert list(await store.families()) == families
        alice, app = Subject("alice"), ClientId("app")
        of_alice = [family for family in families if family.authorization.subject == alice]
        of_app = [family for family in families if family.authorization.client_id == app]
        assert list(await store.families(subject=alice)) == of_alice
        assert list(await store.families(client_id=app)) == of_app
        both = [family for family in of_alice if family in of_app]
        assert list(await store.families(subject=alice, client_id=app)) == both
        assert not await store.families(subject=Subject("nobody"))

    async def test_pages_of_families_hold_each_family_once(self, store: CompleteStore) -> None:
        ends = [Instant(NOW + number // 4) for number in range(20)]
        families = [a_family(number, subject=f"{number % 3}", absolute_until=end) for number, end in enumerate(ends)]
        await write(store, *map(InsertFamily, families))
        seen: list[Family] = []
        while page := await store.families(after=seen[-1].key.text if seen else "", limit=7):
            seen.extend(page)
        assert seen == sorted(families, key=lambda family: (family.absolute_until, family.key))
        of_one = await store.families(subject=Subject("1"), after=a_family(10, subject="1").key.text)
        assert [int.from_bytes(family.key.id, "big") for family in of_one] == [13, 16, 19]

    async def test_a_page_after_a_family_that_was_swept_holds_all_that_are_left(self, store: CompleteStore) -> None:
        families = [a_family(number, absolute_until=Instant(NOW + number)) for number in range(6)]
        await write(store, *map(InsertFamily, families))
        await store.sweep(Instant(NOW + 2), retention=0)
        assert list(await store.families(after=families[2].key.text)) == families[3:]

    async def test_after_what_is_no_family_name_comes_nothing(self, store: CompleteStore) -> None:
        await write(store, InsertFamily(a_family()))
        assert not await store.families(after="not a family")

    async def test_events_are_listed_by_number_and_by_what_they_are_about(self, store: CompleteStore) -> None:
        told = [an_event(about="ab"[n % 2], generation=n) for n in range(10)]
        for event in told:
            await store.apply(changed(events=(event,)))
        everything = await store.events()
        assert [event for _, event in everything] == told
        first, rest = everything[:4], everything[4:]
        assert list(await store.events(limit=4)) == list(first)
        assert list(await store.events(after=first[-1][0])) == list(rest)
        about = [numbered for numbered in everything if numbered[1].about == "b"]
        assert list(await store.events(about="b")) == about
        assert list(await store.events(about="b", after=about[1][0], limit=2)) == about[2:4]
        assert not await store.events(about="c")

    async def test_how_a_family_began_is_in_the_log_and_not_among_what_is_about_it(self, store: CompleteStore) -> None:
        names: tuple[EventName, ...] = ("family_created", "revoked")
        await store.apply(changed(events=tuple(an_event(name, about="family") for name in names)))
        assert [event.name for _, event in await store.events()] == ["family_created", "revoked"]
        assert [event.name for _, event in await store.events(about="family")] == ["revoked"]
