"""What development mode puts into a store, and that doing it again takes nothing from anybody."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from detent.admin.registrations import ClientFields
from detent.cli.office import Office, opened
from detent.core.client import Client
from detent.core.people import CLAIMS_OF_SCOPE
from detent.core.scope import IDENTITY_SCOPES
from detent.core.wishes import fulfilled, wishes_of
from detent.demo.cast import BROWSER_APP, USUAL, WEB_APP, Apps
from detent.demo.seeds import Seeds, development_secrets, seed
from detent.keys.file import FileKeys
from detent.settings.declared import Settings
from detent.system import SystemClock, SystemEntropy

HERE = "http://127.0.0.1:3000"
ELSEWHERE = Apps("http://127.0.0.1:4000", "http://127.0.0.1:4001")


@pytest.fixture
async def office(tmp_path: Path, keys_folder: Path) -> AsyncIterator[Office]:
    FileKeys.open(keys_folder, SystemClock())
    (tmp_path / "keys").symlink_to(keys_folder)
    async with opened(Settings(data=tmp_path), create=True) as office:
        yield office


async def seeded(office: Office, apps: Apps = USUAL) -> Seeds:
    secrets = development_secrets(office.settings.data, SystemEntropy())
    return await seed(secrets, office.directory, office.registrations, office.people, apps)


async def stored(office: Office, client_id: str) -> Client:
    client = await office.outside.store.client(client_id)
    assert client
    return client


async def test_the_people_have_every_standard_claim_of_openid_connect_core_5_1(office: Office) -> None:
    await seeded(office)
    for username in ("test", "ada"):
        user = await office.directory.user_by_name(username)
        assert user
        claims = fulfilled(wishes_of(IDENTITY_SCOPES), user)
        assert set(claims) == {name for names in CLAIMS_OF_SCOPE.values() for name in names}
        assert {type(claims[name]) for name in ("email_verified", "phone_number_verified")} == {bool}
        assert abs(claims["updated_at"] - office.outside.clock.now()) < 60
        assert {"formatted", "street_address", "locality", "region", "postal_code", "country"} == set(claims["address"])
        texts = set(claims) - {"email_verified", "phone_number_verified", "updated_at", "address"}
        assert all(isinstance(claims[name], str) and claims[name] for name in texts)


async def test_the_apps_are_registered_where_they_run(office: Office) -> None:
    await seeded(office, ELSEWHERE)
    browser, web = await stored(office, BROWSER_APP), await stored(office, WEB_APP)
    assert {"http://127.0.0.1:4000/callback", "http://127.0.0.1:4000/silent"} <= set(browser.redirect_uris)
    assert "http://127.0.0.1:4000/signed-out" in browser.post_logout_redirect_uris
    assert "http://127.0.0.1:4000" in browser.web_origins
    assert "http://127.0.0.1:4001/callback" in web.redirect_uris
    assert "http://127.0.0.1:4001/signed-out" in web.post_logout_redirect_uris
    assert (web.web_origins, web.first_party, browser.first_party) == ((), True, False)
    native = await stored(office, "demo-native")
    assert native.redirect_uris == ("http://127.0.0.1/callback", "com.example.demo:/callback")


async def test_seeding_again_at_the_same_place_writes_nothing(office: Office) -> None:
    first = await seeded(office)
    events = len(await office.directory.events(limit=1000))
    assert await seeded(office) == first
    assert len(await office.directory.events(limit=1000)) == events


async def test_seeding_elsewhere_adds_the_new_place_and_keeps_the_old_one(office: Office) -> None:
    await seeded(office)
    before = await stored(office, BROWSER_APP)
    await seeded(office, ELSEWHERE)
    after = await stored(office, BROWSER_APP)
    for name in ("redirect_uris", "post_logout_redirect_uris", "web_origins"):
        was, now = getattr(before, name), getattr(after, name)
        assert now[: len(was)] == was
        assert any("127.0.0.1:4000" in each for each in now)
    assert (before.logo_uri, after.logo_uri) == (f"{HERE}/icon.svg", "http://127.0.0.1:4000/icon.svg")


async def test_what_a_person_changed_stays_as_it_is(office: Office) -> None:
    await seeded(office)
    mine = ClientFields(
        client_name="Mine",
        logo_uri="https://mine.example/logo.png",
        tos_uri="",
        redirect_uris=("https://mine.example/callback", f"{HERE}/silent"),
        web_origins=(),
        access_life=600,
        enabled=False,
    )
    changed = await office.registrations.update_client(BROWSER_APP, mine)
    user = await office.directory.user_by_name("ada")
    assert user
    await office.people.set_claims(user.subject, {"name": "Countess of Lovelace"})
    await office.people.set_password(user.subject, "my own password")
    seeds = await seeded(office)
    client = await stored(office, BROWSER_APP)
    assert client.redirect_uris[:2] == changed.redirect_uris
    assert f"{HERE}/callback" in client.redirect_uris
    kept = ("client_name", "logo_uri", "tos_uri", "overrides", "enabled")
    assert [getattr(client, name) for name in kept] == [getattr(changed, name) for name in kept]
    same = await office.directory.user_by_name("ada")
    assert same
    assert same.claims.keys() == {"name", "updated_at"}
    assert same.claims["name"] == "Countess of Lovelace"
    assert dict(seeds.users)["ada"] is None
