"""Clients, APIs, people and the installation: what this process wrote it sees at once."""
# ruff: noqa: S101  (an assertion is what a test is made of)

import msgspec

from detent.core.changes import (
    Beat,
    EndSessions,
    InsertApi,
    InsertClient,
    InsertRecord,
    InsertSession,
    InsertUser,
    RaiseServerEpoch,
    RemoveApi,
    RemoveClient,
    RemoveUser,
    ReplaceApi,
    ReplaceClient,
    ReplaceUser,
    Restored,
    SetClock,
)
from detent.core.client import SecretDigest
from detent.core.ids import ClientId, Instant, Subject
from detent.core.policy import Overrides
from detent.ports import Pulse
from detent.testing.factories import NOW, a_client, a_record, a_session, a_user, an_api
from detent.testing.store_contract.base import CompleteStore, Contract, conflicts, write

replace = msgspec.structs.replace


class RegistrationContract(Contract):
    async def test_a_client_comes_back_as_it_was_inserted(self, store: CompleteStore) -> None:
        client = a_client(
            kind="web",
            client_name="Ünïcode \U0001f511",
            redirect_uris=("https://app.example/cb",),
            scope=("read", "write"),
            secrets=(SecretDigest(2, bytes(range(32)), NOW, None), SecretDigest(3, b"\xff", NOW, NOW)),
            overrides=Overrides(rotating=True, overlap=5),
            epoch=3,
            extra={"feature": {"list": [1, "two", None, 2.5]}},
        )
        assert await store.client("app") is None
        await write(store, InsertClient(client))
        assert await store.client("app") == client

    async def test_a_client_is_inserted_once(self, store: CompleteStore) -> None:
        await write(store, InsertClient(a_client()))
        assert await conflicts(store, InsertClient(a_client(client_name="second")))
        assert await store.client("app") == a_client()

    async def test_a_client_is_replaced_and_removed_in_the_version_expected(self, store: CompleteStore) -> None:
        second = a_client(client_name="second", version=2)
        await write(store, InsertClient(a_client()))
        assert await conflicts(store, ReplaceClient(a_client(version=3)))
        await write(store, ReplaceClient(second))
        assert await store.client("app") == second
        assert await conflicts(store, ReplaceClient(second))
        assert await conflicts(store, RemoveClient(ClientId("app"), 1))
        assert await store.client("app") == second
        await write(store, RemoveClient(ClientId("app"), 2))
        assert await store.client("app") is None
        assert await conflicts(store, RemoveClient(ClientId("app"), 2))

    async def test_an_api_is_inserted_replaced_and_removed_in_the_version_expected(self, store: CompleteStore) -> None:
        first = an_api(clients=("app",), introspected_by=("api",), access_life=60, signing_alg="ES256")
        second = an_api(scopes={}, version=2)
        assert await store.api(first.identifier) is None
        await write(store, InsertApi(first))
        assert await store.api(first.identifier) == first
        assert await conflicts(store, InsertApi(first))
        assert await conflicts(store, ReplaceApi(replace(second, version=3)))
        await write(store, ReplaceApi(second))
        assert await store.api(first.identifier) == second
        assert await conflicts(store, RemoveApi(first.identifier, 1))
        await write(store, RemoveApi(first.identifier, 2))
        assert await store.api(first.identifier) is None

    async def test_a_user_is_found_by_subject_and_by_any_spelling_of_the_name(self, store: CompleteStore) -> None:
        user = a_user(username="Straße", claims={"name": "Ä", "address": {"country": "DE"}}, password_hash="argon2")
        await write(store, InsertUser(user))
        assert await store.user("alice") == user
        for spelling in ("Straße", "STRASSE", " strasse ", "ｓｔｒａｓｓｅ"):
            assert await store.user_by_name(spelling) == user
        assert await store.user("Straße") is None
        assert await store.user_by_name("alice") is None

    async def test_a_user_is_inserted_once_by_subject_and_by_name(self, store: CompleteStore) -> None:
        await write(store, InsertUser(a_user()))
        assert await conflicts(store, InsertUser(a_user(username="other")))
        assert await conflicts(store, InsertUser(a_user("bob", username="ALICE")))
        assert await store.user("bob") is None

    async def test_a_user_is_replaced_and_removed_in_the_version_expected(self, store: CompleteStore) -> None:
        second = a_user(version=2, enabled=False)
        await write(store, InsertUser(a_user()))
        assert await conflicts(store, ReplaceUser(a_user(version=3)))
        await write(store, ReplaceUser(second))
        assert await store.user("alice") == second
        assert await conflicts(store, ReplaceUser(second))
        assert await conflicts(store, RemoveUser(Subject("alice"), 1))
        await write(store, RemoveUser(Subject("alice"), 2))
        assert await store.user("alice") is None
        assert await store.user_by_name("alice") is None

    async def test_a_new_name_frees_the_old_one(self, store: CompleteStore) -> None:
        await write(store, InsertUser(a_user()))
        renamed = a_user(username="carol", version=2)
        await write(store, ReplaceUser(renamed))
        assert await store.user_by_name("alice") is None
        assert await store.user_by_name("Carol") == renamed
        await write(store, InsertUser(a_user("bob", username="alice")))

    async def test_nobody_takes_the_name_of_another(self, store: CompleteStore) -> None:
        await write(store, InsertUser(a_user()), InsertUser(a_user("bob")))
        assert await conflicts(store, ReplaceUser(a_user("bob", username="Alice", version=2)))
        assert await store.user("bob") == a_user("bob")
        assert await store.user_by_name("alice") == a_user()
        assert await store.user_by_name("bob") == a_user("bob")

    async def test_oidc_core_2_a_removed_subject_is_never_reassigned(self, store: CompleteStore) -> None:
        await write(store, InsertUser(a_user()))
        await write(store, RemoveUser(Subject("alice"), 1))
        assert await conflicts(store, InsertUser(a_user()))
        await write(store, InsertUser(a_user("another", username="alice")))

    async def test_a_users_epoch_never_falls(self, store: CompleteStore) -> None:
        await write(store, InsertUser(a_user(epoch=2)))
        assert await conflicts(store, ReplaceUser(a_user(version=2, epoch=1)))
        assert await store.user("alice") == a_user(epoch=2)

    async def test_a_store_has_one_name_of_its_own_and_starts_without_cut_off(self, store: CompleteStore) -> None:
        first = await store.installation()
        assert first.store_id
        assert (first.restore_epoch, first.server_epoch) == (0, 0)
        assert await store.installation() == first

    async def test_the_server_epoch_rises_with_each_cut_off(self, store: CompleteStore) -> None:
        before = await store.installation()
        await write(store, RaiseServerEpoch())
        assert await store.installation() == replace(before, server_epoch=1)
        await write(store, RaiseServerEpoch(), RaiseServerEpoch())
        assert await store.installation() == replace(before, server_epoch=3)

    async def test_beats_are_counted_and_the_latest_time_never_falls_unless_it_is_set(
        self, store: CompleteStore
    ) -> None:
        assert await store.pulse() == Pulse(0, Instant(0))
        for beats, (at, latest) in enumerate([(5, 5), (3, 5), (9, 9)], 1):
            await write(store, Beat(Instant(at)))
            assert await store.pulse() == Pulse(beats, Instant(latest))
        await write(store, SetClock(Instant(4)))
        assert await store.pulse() == Pulse(3, Instant(4))

    async def test_a_restored_store_has_a_new_epoch_and_nothing_that_may_have_been_used(
        self, store: CompleteStore
    ) -> None:
        before = await store.installation()
        ended, live = a_session(1), a_session(2)
        await write(store, InsertRecord(a_record()), InsertSession(ended), InsertSession(live))
        await write(store, EndSessions(ended.key.placement, ended.subject, "user", only=ended.sid))
        await write(store, Restored(7), Beat(NOW))
        assert await store.installation() == replace(before, restore_epoch=7)
        assert await store.record("test", "one") is None
        found = [await store.session(session.key) for session in (ended, live)]
        assert [each and each.session.life.ended_by for each in found] == ["user", "restore"]
