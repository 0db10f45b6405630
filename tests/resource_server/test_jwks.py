"""How often the issuer is asked for its keys, and how long an old answer is believed."""

import asyncio
from typing import Any

import pytest

from detent.resource_server import JwksCache, Unavailable, VerificationKeys
from tests.resource_server.issuer import JWKS_URL, Issuer
from tests.resource_server.minting import ManualClock, jwks

pytestmark = pytest.mark.quick


def cached(issuer: Issuer, clock: ManualClock) -> JwksCache:
    return JwksCache(JWKS_URL, fetch=issuer, clock=clock)


def kids(keys: VerificationKeys) -> list[str | None]:
    return [key.kid for key in keys.keys]


async def test_keys_are_fetched_once_and_held() -> None:
    issuer, clock = Issuer(), ManualClock()
    cache = cached(issuer, clock)
    first = await cache.keys()
    clock.now += 299
    assert await cache.keys() is first
    assert cache.fetches == len(issuer.requests) == 1
    assert issuer.requests[0][0] == JWKS_URL
    assert issuer.requests[0][2] is None


async def test_any_number_of_askers_cause_one_request() -> None:
    issuer = Issuer(open_door=asyncio.Event())
    cache = cached(issuer, ManualClock())
    askers = [asyncio.create_task(cache.keys()) for _ in range(50)]
    await asyncio.sleep(0)
    askers[0].cancel()  # who asked first must not take the answer away from the others
    await asyncio.sleep(0)
    assert issuer.open_door
    issuer.open_door.set()
    answers = await asyncio.gather(*askers[1:])
    assert all(answer is answers[0] for answer in answers)
    assert cache.fetches == 1


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("public, max-age=600", 600),
        ("MAX-AGE=600, must-revalidate", 600),
        ("max-age=0", 60),
        ("no-store", 300),
        ("", 300),
        ("s-maxage=7, max-age=900", 900),
        ("x-max-age=7", 300),
        ("max-age=-1", 300),
        ("max-age=999999999", 86_400),
        ("max-age=" + "9" * 5_000, 300),
    ],
)
async def test_rfc9111_5_2_2_1_max_age_is_honoured_within_bounds(cache_control: str, seconds: int) -> None:
    issuer, clock = Issuer(headers={"cache-control": cache_control}), ManualClock()
    cache = cached(issuer, clock)
    await cache.keys()
    clock.now += seconds - 0.5
    await cache.keys()
    assert cache.fetches == 1
    issuer.document = jwks("ES256")
    clock.now += 0.5
    assert kids(await cache.keys()) == ["ES256"]
    assert cache.fetches == 2


async def test_j6_an_unknown_key_id_causes_one_request_per_pause() -> None:
    issuer, clock = Issuer(), ManualClock()
    cache = cached(issuer, clock)
    first = await cache.keys()
    for _ in range(100):
        assert await cache.newer(first) is first
    assert cache.fetches == 1
    issuer.document = jwks("RS256-next")
    clock.now += 10
    second = await cache.newer(first)
    assert kids(second) == ["RS256-next"]
    for _ in range(100):
        assert await cache.newer(second) is second
        assert await cache.newer(first) is second
    clock.now += 10
    assert await cache.newer(first) is second
    assert cache.fetches == 2


async def test_an_unknown_key_id_makes_nobody_else_wait() -> None:
    issuer, clock = Issuer(), ManualClock()
    cache = cached(issuer, clock)
    first = await cache.keys()
    issuer.open_door = asyncio.Event()
    clock.now += 10
    stranger = asyncio.create_task(cache.newer(first))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert cache.fetches == 2
    assert await cache.keys() is first
    issuer.open_door.set()
    await stranger


@pytest.mark.parametrize("broken", [None, b"", b"{}", b"[]", b'{"keys":1}', b"<html>", b'{"keys":[],"keys":[]}'])
async def test_rfc5861_4_old_keys_are_believed_for_a_while_when_no_new_ones_come(
    broken: bytes | None,
) -> None:
    issuer, clock = Issuer(), ManualClock()
    cache = cached(issuer, clock)
    first = await cache.keys()
    issuer.document = broken
    clock.now += 300
    assert await cache.keys() is first
    clock.now += 3_599
    assert await cache.keys() is first
    clock.now += 1
    with pytest.raises(Unavailable):
        await cache.keys()


@pytest.mark.parametrize("status", [204, 301, 302, 304, 401, 404, 500, 503])
async def test_only_a_200_is_a_key_set(status: int) -> None:
    cache = cached(Issuer(status=status), ManualClock())
    with pytest.raises(Unavailable):
        await cache.keys()


async def test_an_issuer_that_is_down_is_asked_once_per_pause_and_nobody_waits_for_it() -> None:
    issuer, clock = Issuer(), ManualClock()
    cache = cached(issuer, clock)
    first = await cache.keys()
    issuer.document = None
    clock.now += 300
    for _ in range(10):
        assert await cache.keys() is first
    assert cache.fetches == 2
    issuer.open_door = asyncio.Event()
    clock.now += 10
    assert await cache.keys() is first  # the request hangs, the answer does not
    await asyncio.sleep(0)
    assert cache.fetches == 3
    issuer.document = jwks("ES256")
    issuer.open_door.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert kids(await cache.keys()) == ["ES256"]
    issuer.document = jwks("EdDSA")
    clock.now += 300
    assert kids(await cache.keys()) == ["EdDSA"]  # it was well again, so its new keys are waited for


async def test_at_the_first_expiry_everyone_waits_for_the_new_keys() -> None:
    issuer, clock = Issuer(), ManualClock()
    cache = cached(issuer, clock)
    await cache.keys()
    issuer.document, issuer.open_door = jwks("ES256"), asyncio.Event()
    clock.now += 300
    askers = [asyncio.create_task(cache.keys()) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not any(asker.done() for asker in askers)
    issuer.open_door.set()
    assert [kids(keys) for keys in await asyncio.gather(*askers)] == [["ES256"]] * 3


async def test_an_api_that_starts_before_its_issuer_recovers_within_a_second() -> None:
    issuer, clock = Issuer(document=None), ManualClock()
    cache = cached(issuer, clock)
    for _ in range(10):
        with pytest.raises(Unavailable):
            await cache.keys()
    assert cache.fetches == 1
    issuer.document = jwks()
    clock.now += 1
    assert len((await cache.keys()).keys) == 3


async def test_keys_that_the_issuer_withdrew_are_forgotten() -> None:
    issuer, clock = Issuer(), ManualClock()
    cache = cached(issuer, clock)
    await cache.keys()
    issuer.document = {"keys": []}
    clock.now += 300
    assert kids(await cache.keys()) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example/jwks",
        "http://127.0.0.1.example/jwks",
        "http://10.0.0.1/jwks",
        "http://0.0.0.0/jwks",
        "file:///etc/passwd",
        "ftp://127.0.0.1/jwks",
        "data:application/json,{}",
        "https:///jwks",
        "https://user:pass@id.example/jwks",
        "http://127.0.0.1@id.example/jwks",
        "https://id.example/jwks#fragment",
        "https://id.example:x/jwks",
        "https://id.example:99999/jwks",
        "jwks",
        "",
    ],
)
def test_rfc7517_5_keys_come_by_https_or_from_this_machine(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|[Pp]ort"):
        JwksCache(url)


@pytest.mark.parametrize("url", ["http://localhost:1/", "http://127.0.0.9/", "http://[::1]:1/", "https://id.example"])
def test_loopback_needs_no_tls(url: str) -> None:
    cache: Any = JwksCache(url)
    assert cache.fetches == 0
