"""What settings make of the house that `detent serve` and `detent up` serve, over HTTP."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest

from detent.admin.registrations import ClientFields
from detent.cli.mark import beat
from detent.cli.office import Office, opened
from detent.ports import Pulse
from detent.settings.declared import Settings
from tests.cli.conftest import Cli

ISSUER = "http://127.0.0.1:9400/"
Opened = Callable[..., AbstractAsyncContextManager[tuple[Office, httpx.AsyncClient]]]


@pytest.fixture
def serving(cli: Cli) -> Opened:
    @asynccontextmanager
    async def open_with(**settings: Any) -> AsyncIterator[tuple[Office, httpx.AsyncClient]]:
        async with opened(Settings(data=cli.data, **settings), issuer=ISSUER, create=True) as office:
            await office.people.add("ada", "a good password")
            transport = httpx.ASGITransport(office.house.asgi, client=("192.0.2.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as http:
                yield office, http

    return open_with


async def test_so_many_wrong_passwords_are_heard_from_one_address_behind_so_many_proxies(serving: Opened) -> None:
    async with serving(sign_in_failures=2, proxies=1) as (office, http):
        fields = ClientFields(grant_types=("password",))
        client, secret = await office.registrations.add_client("web", fields)
        statuses = []
        for address in ("198.51.100.1", "198.51.100.1", "198.51.100.1", "203.0.113.1"):
            answer = await http.post(
                "oauth/token",
                data={"grant_type": "password", "username": "ada", "password": "wrong", "scope": "openid"},
                auth=(client.client_id, str(secret)),
                headers={"x-forwarded-for": f"10.0.0.1, {address}"},
            )
            statuses.append(answer.status_code)
        assert statuses == [400, 400, 429, 400]


async def test_attack_f12_a_store_that_another_server_of_this_directory_beats_meanwhile_is_no_older_one(
    serving: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as (office, _):
        await beat(office)
        found = await office.directory.pulse()

        async def looked_at() -> Pulse:
            monkeypatch.undo()
            await beat(office)  # the other one, before this one goes on
            return found

        monkeypatch.setattr(office.directory, "pulse", looked_at)
        await beat(office)
        assert (await office.directory.pulse()).beats == found.beats + 2


async def test_a_sign_in_idles_and_lasts_as_long_as_it_was_set(serving: Opened) -> None:
    async with serving(session_idle=600, session_absolute=7200) as (office, http):
        page = await http.get("login", follow_redirects=True)
        hidden = dict(re.findall(r'name="(csrf|interaction)" value="([^"]*)"', page.text))
        form = {**hidden, "username": "ada", "password": "a good password", "login": "yes"}
        signed_in = await http.post("login", data=form, headers={"origin": ISSUER.rstrip("/")})
        cookie = next(each for each in signed_in.headers.get_list("set-cookie") if each.startswith("detent_session"))
        assert "; Max-Age=7200;" in cookie
        value = cookie.partition(";")[0].partition("=")[2]
        session = await office.house.sessions.find(value, office.outside.clock.now())
        assert session
        assert session.life.idle_until - session.created_at == 600
        assert session.life.absolute_until - session.created_at == 7200


@pytest.mark.parametrize(("settings", "status"), [({}, 404), ({"sign_up": True}, 200)])
async def test_people_make_accounts_only_where_the_operator_wants_that(
    serving: Opened, settings: dict[str, bool], status: int
) -> None:
    async with serving(**settings) as (_, http):
        assert (await http.get("sign-up")).status_code == status
