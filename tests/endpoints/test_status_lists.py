"""Token Status List, from sign-in to the API that refuses: over HTTP, on a clock that the test moves."""

import asyncio
import base64
import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import apsw
import httpx
import pytest
from msgspec.structs import astuple, replace
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from detent.core.changes import InsertRecord, RaiseServerEpoch, Record, ReplaceClient
from detent.core.ids import Instant
from detent.features.status_list import BLOCK, DEFAULT_TTL, LIST_SIZE, RECORD_KIND, Numbers
from detent.resource_server import BearerGuard, JwksCache, StatusLists, Verifier, claims
from detent.stores.sqlite import SqliteStore
from detent.testing.server import Loopback
from tests.browsing import Browser
from tests.serving import API, VAULT, Detent, running, trust

AFTER_OVERLAP = 61
Tokens = dict[str, Any]


class GuardedApi:
    """An API that checks status lists, on the same clock."""

    def __init__(self, detent: Detent, audience: str = API) -> None:
        clock, loopback = detent.clock.now, Loopback()
        jwks = JwksCache(detent.issuer + ".well-known/jwks.json", clock=clock)
        self.lists = StatusLists(detent.issuer, jwks, clock=clock)
        verifier = Verifier(issuer=detent.issuer, audience=audience)

        async def whoami(request: Request) -> JSONResponse:
            return JSONResponse({"sub": claims(request.scope).sub})

        inside = Starlette(routes=[Route("/", whoami)])
        guard = BearerGuard(inside, verifier=verifier, jwks=jwks, status_lists=self.lists, clock=clock)
        detent.thread.serve(guard, loopback)
        self.http = httpx.Client(base_url=loopback.url, timeout=120, verify=trust())

    def __enter__(self) -> "GuardedApi":
        return self

    def __exit__(self, *exc: object) -> None:
        self.http.close()

    def ask(self, tokens: Tokens) -> httpx.Response:
        return self.http.get("/", headers={"authorization": f"Bearer {tokens['access_token']}"})

    def admits(self, tokens: Tokens) -> bool:
        """Refused is 401 with `invalid_token` (RFC 6750 §3.1) and nothing else."""
        answer = self.ask(tokens)
        if answer.status_code == 401:
            assert answer.json()["error"] == "invalid_token"
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
            return False
        assert answer.status_code == 200, answer.text
        return True


@pytest.fixture
def api(detent: Detent) -> Iterator[GuardedApi]:
    with GuardedApi(detent) as api:
        yield api


def said(token: str) -> dict[str, Any]:
    """What is in a JWT, believed."""
    payload = token.split(".")[1]
    told: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return told


def reference(tokens: Tokens) -> dict[str, Any]:
    found: dict[str, Any] = said(tokens["access_token"])["status"]["status_list"]
    return found


def published(detent: Detent, uri: str) -> set[int]:
    """The indices of those that the list says have ended."""
    answer = detent.http.get(uri)
    assert answer.status_code == 200, answer.text
    lst = said(answer.text)["status_list"]["lst"]
    raw = zlib.decompress(base64.urlsafe_b64decode(lst + "=" * (-len(lst) % 4)))
    assert len(raw) == LIST_SIZE // 8
    return {index for index in range(LIST_SIZE) if raw[index // 8] >> index % 8 & 1}


def assert_seen_within_the_ttl(detent: Detent, api: GuardedApi, *ended: Tokens, alive: Tokens) -> None:
    """Call it in the second in which they were ended, with a list held that is not older."""
    detent.clock.advance(DEFAULT_TTL - 1)
    assert [api.admits(tokens) for tokens in ended] == [True] * len(ended), "the held list is still believed"
    detent.clock.advance(1)
    assert [api.admits(tokens) for tokens in ended] == [False] * len(ended)
    assert api.admits(alive)


# The claim and the document


@pytest.mark.quick
def test_tsl_6_2_every_access_token_of_an_authorization_names_one_place_and_each_authorization_its_own(
    detent: Detent,
) -> None:
    first, second = detent.sign_in("app"), detent.sign_in("app")
    assert reference(first) == {"idx": 0, "uri": f"{detent.issuer}oauth/status-lists/0"}
    assert reference(second) == {"idx": 1, "uri": f"{detent.issuer}oauth/status-lists/0"}
    detent.clock.advance(AFTER_OVERLAP)
    assert reference(detent.refreshed("app", first["refresh_token"])) == reference(first)
    assert reference(detent.sign_in("testclient"))["idx"] == 2


def test_a_clients_own_token_and_an_opaque_one_name_none(detent: Detent) -> None:
    machine = detent.token("machine", grant_type="client_credentials").json()
    assert "status" not in said(machine["access_token"])
    opaque = detent.sign_in("app", resource=(VAULT,))["access_token"]
    claims = detent.house.access.read(opaque, detent.clock.now())
    assert claims
    assert "status" not in claims


@pytest.mark.quick
def test_tsl_5_1_and_8_2_the_list_is_a_signed_document_for_everybody(detent: Detent) -> None:
    uri = reference(detent.sign_in("app"))["uri"]
    answer = httpx.get(uri, headers={"accept": "application/statuslist+jwt", "origin": "https://spa.example"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/statuslist+jwt"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == f"public, max-age={DEFAULT_TTL}"
    now, header = detent.clock.now(), json.loads(base64.urlsafe_b64decode(answer.text.split(".")[0] + "=="))
    assert header["typ"] == "statuslist+jwt"
    told = said(answer.text)
    lst = told.pop("status_list")
    assert told == {"iss": detent.issuer, "sub": uri, "iat": now, "exp": now + 3600, "ttl": DEFAULT_TTL}
    assert set(lst) == {"bits", "lst"}
    assert lst["bits"] == 1


def test_rfc9110_13_1_2_a_list_that_is_known_is_not_sent_again(detent: Detent) -> None:
    uri = reference(detent.sign_in("app"))["uri"]
    answer = detent.http.get(uri)
    again = detent.http.get(uri, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]
    detent.clock.advance(DEFAULT_TTL)
    assert detent.http.get(uri, headers={"if-none-match": answer.headers["etag"]}).status_code == 200


@pytest.mark.parametrize("name", ["1", "01", "-1", "", "x", "0.0", "٠", "0/0", "9" * 13, "9" * 5000, "{}", "0%00"])
def test_a_list_that_nothing_is_in_is_not_found(detent: Detent, name: str) -> None:
    detent.sign_in("app")
    answer = detent.http.get(f"/oauth/status-lists/{name}")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_before_the_first_sign_in_there_is_no_list(detent: Detent) -> None:
    assert detent.http.get("/oauth/status-lists/0").status_code == 404
    assert detent.http.get("/oauth/status-lists").status_code == 404


def test_tsl_8_4_lists_of_the_past_are_not_kept_and_it_says_so(detent: Detent) -> None:
    uri = reference(detent.sign_in("app"))["uri"]
    answer = detent.http.get(f"{uri}?time=1686925000")
    assert (answer.status_code, answer.json()["error"]) == (501, "invalid_request")
    assert detent.http.get(f"{uri}?times=1").status_code == 200


def test_switched_off_there_is_neither_claim_nor_list(tmp_path: Path, keys_folder: Path) -> None:
    with running(tmp_path, keys_folder, status_list_ttl=None) as detent:
        tokens = detent.sign_in("app")
        assert "status" not in said(tokens["access_token"])
        assert detent.http.get("/oauth/status-lists/0").status_code == 404
        with GuardedApi(detent) as api:
            assert api.admits(tokens)
            assert api.lists.fetches == 0


def test_what_was_signed_in_before_it_was_switched_on_goes_on_without_a_place(
    tmp_path: Path, keys_folder: Path
) -> None:
    with running(tmp_path, keys_folder, status_list_ttl=None) as before:
        clock, tokens = before.clock, before.sign_in("app")
    clock.advance(AFTER_OVERLAP)
    with running(tmp_path, keys_folder, clock=clock) as after:
        refreshed = after.refreshed("app", tokens["refresh_token"])
        assert "status" not in said(refreshed["access_token"])
        assert reference(after.sign_in("app"))["idx"] == 0


# Whatever ends an authorization, an API sees it within the ttl and not one second later


@pytest.mark.quick
def test_what_its_client_revokes_is_refused_within_the_ttl(detent: Detent, api: GuardedApi) -> None:
    """RFC 7009 §2.1."""
    tokens, alive = detent.sign_in("app"), detent.sign_in("app")
    assert api.admits(tokens)
    assert detent.revoke(tokens["refresh_token"], "app").status_code == 200
    assert_seen_within_the_ttl(detent, api, tokens, alive=alive)


@pytest.mark.quick
def test_after_reuse_every_access_token_of_the_family_is_refused(detent: Detent, api: GuardedApi) -> None:
    """RFC 9700 §4.14.2: whoever holds them, owner or thief."""
    first, alive = detent.sign_in("testclient"), detent.sign_in("testclient")
    second = detent.refreshed("testclient", first["refresh_token"])
    assert api.admits(first)
    assert api.admits(second)
    assert detent.refresh("testclient", first["refresh_token"]).status_code == 400
    assert_seen_within_the_ttl(detent, api, first, second, alive=alive)


def test_after_a_code_was_replayed_what_it_gave_is_refused(detent: Detent, api: GuardedApi) -> None:
    """RFC 6749 §4.1.2."""
    code, alive = detent.code("app"), detent.sign_in("app")
    tokens = detent.redeem("app", code).json()
    assert api.admits(tokens)
    assert detent.redeem("app", code).status_code == 400
    assert_seen_within_the_ttl(detent, api, tokens, alive=alive)


def test_what_a_person_withdraws_at_the_account_page_is_refused(detent: Detent, api: GuardedApi) -> None:
    with Browser(detent) as browser, Browser(detent) as another:
        tokens = browser.tokens("app", resource=API, scope="openid read offline_access")
        alive = another.tokens("app", "ada", resource=API, scope="openid read offline_access")
        assert api.admits(tokens)
        assert browser.press(browser.open("/account"), "withdraw").status == 200
    assert_seen_within_the_ttl(detent, api, tokens, alive=alive)


def test_oidc_core_11_sign_out_ends_what_is_bound_and_leaves_what_is_offline(detent: Detent, api: GuardedApi) -> None:
    with Browser(detent) as browser:
        bound = browser.tokens("spa", resource=API, scope="openid read")
        offline = browser.tokens("app", resource=API, scope="openid read offline_access")
        assert api.admits(bound)
        browser.press(browser.open("/logout"), "logout-confirm")
    assert_seen_within_the_ttl(detent, api, bound, alive=offline)


@pytest.mark.parametrize("how", ["password", "disabled", "removed"])
def test_a_person_who_is_cut_off_is_refused_within_the_ttl(detent: Detent, api: GuardedApi, how: str) -> None:
    tokens = detent.sign_in("app")
    with Browser(detent) as browser:
        alive = browser.tokens("app", "ada", resource=API, scope="openid read offline_access")
    assert api.admits(tokens)
    people, subject = detent.house.people, detent.user("test").subject
    match how:
        case "password":
            detent.thread.call(people.set_password(subject, "another-password"))
        case "disabled":
            detent.thread.call(people.disable(subject))
        case "removed":
            detent.thread.call(people.remove(subject))
    assert_seen_within_the_ttl(detent, api, tokens, alive=alive)


def test_a_client_that_is_disabled_is_refused_within_the_ttl(detent: Detent, api: GuardedApi) -> None:
    tokens, alive = detent.sign_in("app"), detent.sign_in("cli")
    assert api.admits(tokens)
    registered = detent.thread.call(detent.store.client("app"))
    detent.apply(ReplaceClient(replace(registered, enabled=False, epoch=1, version=registered.version + 1)))
    assert_seen_within_the_ttl(detent, api, tokens, alive=alive)


def test_a_cut_off_of_everything_is_seen_within_the_ttl(detent: Detent, api: GuardedApi) -> None:
    tokens = detent.sign_in("app")
    assert api.admits(tokens)
    detent.apply(RaiseServerEpoch())
    assert_seen_within_the_ttl(detent, api, tokens, alive=detent.sign_in("testclient"))


def test_while_lists_cannot_be_had_a_held_one_goes_on_and_without_one_the_answer_is_503(
    detent: Detent, api: GuardedApi
) -> None:
    routes, tokens = detent.house.registry.routes, detent.sign_in("app")
    assert api.admits(tokens)
    taken_away = routes.pop("/oauth/status-lists/{}")
    detent.clock.advance(DEFAULT_TTL)
    assert api.admits(tokens)
    with GuardedApi(detent) as fresh:
        answer = fresh.ask(tokens)
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
        routes[taken_away.path] = taken_away
        detent.clock.advance(1)
        assert fresh.admits(tokens)


# Numbers: each is given once


def test_two_servers_on_one_store_never_give_one_place_twice(tmp_path: Path, keys_folder: Path) -> None:
    with running(tmp_path, keys_folder) as one, running(tmp_path, keys_folder, clock=one.clock) as two:
        taken = [reference(each.sign_in("app"))["idx"] for each in (one, two, two, one, two)]
    assert taken == [0, BLOCK, BLOCK + 1, 1, BLOCK + 2]


async def test_whoever_claims_at_once_numbers_are_given_once(tmp_path: Path) -> None:
    stores = [await SqliteStore.open(tmp_path / "detent.db") for _ in range(4)]
    try:
        givers = [Numbers(store) for store in stores]
        given = await asyncio.gather(*(giver.next() for _ in range(BLOCK + 3) for giver in givers))
        assert len(set(given)) == len(given) == 4 * (BLOCK + 3)
        assert set(given) <= set(range(8 * BLOCK))
        asked = [await giver.given_out(number) for giver in givers for number in (0, 8 * BLOCK - 1, 8 * BLOCK)]
        assert asked == [True, True, False] * 4
    finally:
        for store in stores:
            await store.close()


CLAIMS_THREE_BLOCKS = """
import asyncio, sys
from pathlib import Path
from detent.features.status_list import BLOCK, Numbers
from detent.stores.sqlite import SqliteStore

async def claim():
    store = await SqliteStore.open(Path(sys.argv[1]))
    numbers = Numbers(store)
    print(*[await numbers.next() for _ in range(3 * BLOCK)])
    await store.close()

asyncio.run(claim())
"""


@pytest.mark.slow
def test_processes_that_start_together_never_share_a_number(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLAIMS_THREE_BLOCKS, str(tmp_path / "detent.db")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    given = [int(number) for process in running for number in process.communicate(timeout=60)[0].split()]
    assert sorted(given) == list(range(9 * BLOCK))


async def test_what_a_crashed_process_had_claimed_is_left_out(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "detent.db")
    try:
        assert [await Numbers(store).next() for _ in range(3)] == [0, BLOCK, 2 * BLOCK]
    finally:
        await store.close()


async def test_a_restored_store_never_gives_out_what_it_may_have_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "detent.db"
    store = await SqliteStore.open(path)
    numbers = Numbers(store)
    before = [await numbers.next() for _ in range(2)]
    await store.close()
    with closing(apsw.Connection(str(path))) as db:
        db.execute("UPDATE installation SET restore_epoch = restore_epoch + 1")
    store = await SqliteStore.open(path)
    try:
        numbers = Numbers(store)
        after = [await numbers.next() for _ in range(2)]
        assert not {number // LIST_SIZE for number in before} & {number // LIST_SIZE for number in after}
        assert [await numbers.given_out(number) for number in (*before, *after)] == [True] * 4
        assert not await numbers.given_out(2 * after[0])
    finally:
        await store.close()


async def test_the_number_of_the_last_block_outlives_every_sweep(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "detent.db")
    try:
        await Numbers(store).next()
        while await store.sweep(Instant(1 << 40), retention=0):
            pass
        assert await Numbers(store).next() == BLOCK
    finally:
        await store.close()


def test_a_full_list_is_followed_by_the_next(detent: Detent, api: GuardedApi) -> None:
    claim_up_to(detent, LIST_SIZE - 1)
    last = detent.sign_in("app")
    first = detent.sign_in("app")
    assert reference(last) == {"idx": LIST_SIZE - 1, "uri": f"{detent.issuer}oauth/status-lists/0"}
    assert reference(first) == {"idx": 0, "uri": f"{detent.issuer}oauth/status-lists/1"}
    detent.revoke(first["refresh_token"], "app")
    assert published(detent, reference(last)["uri"]) == set()
    assert published(detent, reference(first)["uri"]) == {0}
    assert [api.admits(tokens) for tokens in (last, first)] == [True, False]
    assert api.lists.fetches == 2


def claim_up_to(detent: Detent, number: int) -> None:
    """As if all numbers below had been given out."""
    record = Record(RECORD_KIND, "0", str(number).encode(), Instant(1 << 53))
    detent.apply(InsertRecord(record))


# What it costs


def spent(detent: Detent, what: Callable[[], Any]) -> tuple[int, ...]:
    """Statements by kind: reads, writes, inserts, commits."""
    before = astuple(detent.statements())
    what()
    return tuple(after - was for after, was in zip(astuple(detent.statements()), before, strict=True))


def test_a_refresh_costs_what_it_costs_without_status_lists_and_so_does_a_sign_in_but_one_of_1024(
    tmp_path: Path, keys_folder: Path
) -> None:
    costs = []
    for ttl in (None, DEFAULT_TTL):
        with running(tmp_path / str(ttl), keys_folder, status_list_ttl=ttl) as detent:
            tokens = detent.sign_in("testclient")  # from here on clients are remembered, and a block is claimed
            refresh = spent(detent, partial(detent.refreshed, "testclient", tokens["refresh_token"]))
            first, second = detent.code("app"), detent.code("app")
            detent.redeem("app", first)
            costs.append((refresh, spent(detent, partial(detent.redeem, "app", second))))
    assert costs[0] == costs[1]
    assert costs[1][0] == (1, 1, 0, 1), "one read, one UPDATE, no INSERT, one commit"


def test_a_thousand_readers_cost_one_look_at_the_list(detent: Detent) -> None:
    uri = reference(detent.sign_in("app"))["uri"]
    path = urlsplit(uri).path

    async def together() -> list[httpx.Response]:
        transport = httpx.ASGITransport(detent.house.asgi)
        async with httpx.AsyncClient(transport=transport, base_url=detent.issuer) as inside:
            return await asyncio.gather(*(inside.get(path) for _ in range(1000)))

    statements = LIST_SIZE // 1024
    before = detent.statements().reads
    answers = detent.thread.call(together())
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert detent.statements().reads - before == statements
    detent.http.get(path)
    assert detent.statements().reads - before == statements, "it is held"
    detent.clock.advance(DEFAULT_TTL)
    detent.http.get(path)
    assert detent.statements().reads - before == 2 * statements


def test_a_list_that_nothing_is_in_costs_one_read(detent: Detent) -> None:
    detent.sign_in("app")
    assert spent(detent, lambda: detent.http.get("/oauth/status-lists/77")) == (1, 0, 0, 0)


def test_the_claim_adds_about_a_hundred_bytes_to_a_token(tmp_path: Path, keys_folder: Path) -> None:
    sizes = []
    for ttl in (None, DEFAULT_TTL):
        with running(tmp_path / str(ttl), keys_folder, status_list_ttl=ttl) as detent:
            sizes.append(len(detent.sign_in("app")["access_token"]))
    assert 80 < sizes[1] - sizes[0] < 140, sizes
