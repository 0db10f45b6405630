"""Somebody else's write in between: an operator is told, or the operation looks again; never is one of them lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from detent.admin.errors import ChangedMeanwhile
from detent.admin.families import Families
from detent.admin.registrations import ApiFields, ClientFields
from detent.app import House, Outside
from detent.core.changes import Changes, InsertFamily
from detent.core.errors import Conflict, TemporarilyUnavailable
from detent.identity.passwords import CHEAP, Passwords
from detent.keys.file import FileKeys
from detent.stores.memory import MemoryStore
from detent.system import SystemEntropy
from detent.testing.clock import ManualClock
from detent.testing.factories import NOW, a_family
from tests.serving import ListSink

pytestmark = pytest.mark.quick


class Contested(MemoryStore):
    """Each of the next `conflicts` writes finds that somebody else was faster."""

    conflicts = 0

    async def apply(self, changes: Changes) -> None:
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict
        await super().apply(changes)


class Admin:
    def __init__(self, keys_folder: Path, passwords: Passwords) -> None:
        self.store = Contested()
        clock = ManualClock(NOW)
        keys = FileKeys.open(keys_folder, clock)
        outside = Outside(self.store, self.store, keys, clock, SystemEntropy(), ListSink(), passwords)
        house = House(outside, issuer="https://id.example/")
        self.families = Families(house.issuing, house.access, house.ending, self.store, clock)
        self.registrations = house.registrations


@pytest.fixture
def admin(keys_folder: Path) -> Iterator[Admin]:
    passwords = Passwords(CHEAP)
    yield Admin(keys_folder, passwords)
    passwords.close()


async def test_a_change_of_a_client_that_somebody_else_changed_is_refused_and_not_half_done(admin: Admin) -> None:
    client, _ = await admin.registrations.add_client("machine", ClientFields())
    for change in (
        admin.registrations.update_client(client.client_id, ClientFields(client_name="New")),
        admin.registrations.rotate_secret(client.client_id),
        admin.registrations.remove_client(client.client_id),
    ):
        admin.store.conflicts = 1
        with pytest.raises(ChangedMeanwhile):
            await change
    assert await admin.store.client(client.client_id) == client


async def test_a_change_of_an_api_that_somebody_else_changed_is_refused(admin: Admin) -> None:
    api = await admin.registrations.add_api("https://api.example/", ApiFields())
    admin.store.conflicts = 1
    with pytest.raises(ChangedMeanwhile):
        await admin.registrations.update_api(api.identifier, ApiFields(name="New"))
    assert await admin.store.api(api.identifier) == api


async def test_a_family_in_use_is_ended_all_the_same(admin: Admin) -> None:
    family = a_family()
    await admin.store.apply(Changes((InsertFamily(family),)))
    admin.store.conflicts = 9
    assert (await admin.families.end(family.key.text)).status == "revoked"
    assert [event.name for _, event in await admin.store.events()] == ["revoked"]


async def test_a_family_that_cannot_be_had_is_said_to_be_in_use(admin: Admin) -> None:
    family = a_family()
    await admin.store.apply(Changes((InsertFamily(family),)))
    admin.store.conflicts = 10
    with pytest.raises(TemporarilyUnavailable):
        await admin.families.end(family.key.text)
    found = await admin.store.family(family.key)
    assert found
    assert found.family == family
