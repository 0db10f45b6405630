"""Status lists as an API reads them: the draft's vectors, what is refused, how often the issuer is asked."""

import asyncio
import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from detent.features.status_list import status_list
from detent.resource_server import (
    InvalidToken,
    JwksCache,
    Response,
    StatusList,
    StatusLists,
    Unavailable,
)
from tests.resource_server.issuer import JWKS_URL, Issuer
from tests.resource_server.minting import ISSUER, NOW, VERIFIER, ManualClock, base64url, jwks, keys, minted

URI = f"{ISSUER}oauth/status-lists/0"
TTL = 60
LONG = 1 << 20

ONE_BIT = dict.fromkeys((0, 1993, 25460, 159495, 495669, 554353, 645645, 723232, 854545, 934534, 1000345), 1)
ONE_BIT_LST = (
    "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAAAAAAAAAAAJsLCQAAAAAAAAAAADjelAAA"
    "AAAAAAAAKjDMAQAAAACAZC8L2AEb"
)
TWO_BITS = {
    0: 1, 1993: 2, 25460: 1, 159495: 3, 495669: 1, 554353: 1, 645645: 2, 723232: 1, 854545: 1, 934534: 2, 1000345: 3,
}  # fmt: skip
TWO_BITS_LST = (
    "eNrt2zENACEQAEEuoaBABP5VIO01fCjIHTMStt9ovGVIAAAAAABAbiEBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEB5WwIAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAID0ugQAAAAAAAAA"
    "AAAAAAAAQG12SgAAAAAAAAAAAAAAAAAAAAAAAAAAAOCSIQEAAAAAAAAAAAAAAAAAAAAAAAD8ExIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAwJEuAQAAAAAAAAAAAAAAAAAAAAAAAMB9SwIAAAAAAAAAAAAAAAAAAACoYUoAAAAAAAAAAAAAAEBqH81gAQw"
)
FOUR_BITS = {
    0: 1, 1993: 2, 35460: 3, 459495: 4, 595669: 5, 754353: 6, 845645: 7, 923232: 8, 924445: 9, 934534: 10, 1004534: 11,
    1000345: 12, 1030203: 13, 1030204: 14, 1030205: 15,
}  # fmt: skip
FOUR_BITS_LST = (
    "eNrt0EENgDAQADAIHwImkIIEJEwCUpCEBBQRHOy35Li1EjoOQGabAgAAAAAAAAAAAAAAAAAAACC1SQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAABADrsCAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADoxaEA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIIoCgAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACArpwKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAGhqVkAz"
    "lwIAAAAAiGVRAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABx3AoAgLpVAQAAAAAAAAAAAAAAwM89rwMAAAAAAAAAAAjsA9xMBMA"
)


def statuses(bits: int, lst: str, size: int) -> dict[int, int]:
    """Those that are not 0."""
    read = StatusList.from_json({"bits": bits, "lst": lst})
    assert read.status(size) is None
    found = {index: read.status(index) for index in range(size)}
    return {index: status for index, status in found.items() if status}


def test_tsl_4_1_the_drafts_short_examples_are_read_as_it_says() -> None:
    assert statuses(1, "eNrbuRgAAhcBXQ", 16) == dict.fromkeys((0, 3, 4, 5, 7, 8, 9, 13, 15), 1)
    expected = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]
    assert statuses(2, "eNo76fITAAPfAgc", 12) == {index: each for index, each in enumerate(expected) if each}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bits", "lst", "expected"),
    [(1, ONE_BIT_LST, ONE_BIT), (2, TWO_BITS_LST, TWO_BITS), (4, FOUR_BITS_LST, FOUR_BITS)],
    ids=["1 bit", "2 bits", "4 bits"],
)
def test_tsl_appendix_c_the_test_vectors_are_read_as_they_say(bits: int, lst: str, expected: dict[int, int]) -> None:
    assert statuses(bits, lst, LONG) == expected


@pytest.mark.parametrize("bits", [4, 8])
def test_tsl_4_1_wider_statuses_stand_from_the_lowest_bit_on(bits: int) -> None:
    lst = base64url(zlib.compress(bytes([0xB9, 0xA3]))).decode()
    assert statuses(bits, lst, 16 // bits) == ({0: 9, 1: 11, 2: 3, 3: 10} if bits == 4 else {0: 0xB9, 1: 0xA3})


def test_tsl_4_what_we_publish_is_the_drafts_example_and_vector() -> None:
    """Compared decompressed: DEFLATE leaves a compressor its choice."""
    short = status_list((0, 3, 4, 5, 7, 8, 9, 13, 15), 16)
    long = status_list(ONE_BIT, LONG)
    for ours, theirs in ((short, "eNrbuRgAAhcBXQ"), (long, ONE_BIT_LST)):
        assert ours["bits"] == 1
        assert "=" not in ours["lst"]
        assert inflated(ours["lst"]) == inflated(theirs)


def inflated(lst: str) -> bytes:
    return zlib.decompress(base64.urlsafe_b64decode(lst + "=" * (-len(lst) % 4)))


# What the issuer publishes, and an API that asks for it


@dataclass
class Publisher:
    """A `Fetch` that answers the list with what it is told to, bytes as they are, None as a network failure."""

    clock: ManualClock
    ended: tuple[int, ...] = ()
    answer: Any = ...
    status: int = 200
    asked: list[str] = field(default_factory=list)
    door: asyncio.Event | None = None

    async def __call__(self, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Response:
        self.asked.append(url)
        assert headers["Accept"] == "application/statuslist+jwt"
        assert body is None
        if self.door:
            await self.door.wait()
        if self.answer is None:
            raise Unavailable("no route to the issuer")
        return Response(self.status, {}, listed(self.clock.now, *self.ended) if self.answer is ... else self.answer)


def listed(now: float = NOW, *ended: int, uri: str = URI, typ: str = "statuslist+jwt", **more: Any) -> bytes:
    """A Status List Token; a claim of None is left out."""
    claims = {"sub": uri, "iat": now, "exp": now + 3600, "ttl": TTL, "status_list": status_list(ended, 128), **more}
    header = {"typ": typ}
    gone = ("aud", "client_id", "jti", "scope", *(name for name, value in claims.items() if value is None))
    return minted(claims, header=header, without=gone).encode()


def checking(publisher: Publisher, **more: Any) -> StatusLists:
    keys = JwksCache(JWKS_URL, fetch=Issuer(), clock=publisher.clock)
    return StatusLists(ISSUER, keys, fetch=publisher, clock=publisher.clock, **more)


async def check(lists: StatusLists, status: Any = None, index: int = 3, uri: str = URI) -> str:
    """ "good", the reason to refuse, or "unavailable"."""
    claims = {"status": {"status_list": {"idx": index, "uri": uri}} if status is None else status, "exp": NOW + 10**6}
    verified = VERIFIER.verify(minted(claims), keys(), NOW)
    try:
        await lists.check(verified)
    except InvalidToken as refusal:
        return refusal.reason
    except Unavailable:
        return "unavailable"
    return "good"


@pytest.fixture
def publisher() -> Publisher:
    return Publisher(ManualClock())


async def test_tsl_8_3_a_token_whose_status_is_not_valid_is_refused(publisher: Publisher) -> None:
    publisher.ended = (3, 127)
    lists = checking(publisher)
    assert await check(lists) == await check(lists, index=127) == "what it was issued for has ended"
    assert await check(lists, index=2) == "good"
    assert publisher.asked == [URI]


async def test_tsl_8_3_an_index_beyond_the_list_is_refused(publisher: Publisher) -> None:
    assert await check(checking(publisher), index=128) == "its status list does not reach so far"
    assert await check(checking(publisher), index=2**62) == "its status list does not reach so far"


async def test_a_token_without_a_status_passes_unasked(publisher: Publisher) -> None:
    await checking(publisher).check(VERIFIER.verify(minted(), keys(), NOW))
    assert publisher.asked == []


@pytest.mark.parametrize(
    "status",
    [
        {}, [], "x", 1, True, {"other": {}}, {"status_list": None}, {"status_list": []}, {"status_list": {"uri": URI}},
        {"status_list": {"idx": 3}}, {"status_list": {"idx": -1, "uri": URI}},
        {"status_list": {"idx": "3", "uri": URI}}, {"status_list": {"idx": True, "uri": URI}},
        {"status_list": {"idx": 3.0, "uri": URI}},
        {"status_list": {"idx": 3, "uri": [URI]}},
    ],
)  # fmt: skip
async def test_tsl_6_2_a_malformed_status_claim_is_refused_unasked(publisher: Publisher, status: Any) -> None:
    assert await check(checking(publisher), status) == "its status claim is malformed"
    assert publisher.asked == []


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/oauth/status-lists/0", "https://id.example.evil.example/0", "https://id.example",
        "https://id.example@evil.example/", "https://id.example:444/0", "http://id.example/0", "HTTPS://id.example/0",
        "http://169.254.169.254/latest", "file:///etc/passwd", "https://id.example/", "https://id.example/../x",
        "https://id.example/a/%2e%2e/x", "https://id.example/x#y", "https://id.example/x y", "https://id.example/x\ny",
        "https://id.example/x\\y", "https://id.example/" + "x" * 257, "", "//id.example/0",
    ],
)  # fmt: skip
async def test_tsl_11_a_list_that_is_not_the_issuers_is_never_asked_for(publisher: Publisher, uri: str) -> None:
    assert await check(checking(publisher), uri=uri) == "its status list is not the issuer's"
    assert publisher.asked == []


def bomb(size: int) -> str:
    return base64url(zlib.compress(bytes(size), 9)).decode()


WRONG: dict[str, bytes] = {
    "nothing": b"",
    "HTML": b"<!doctype html>",
    "tampered": listed().replace(listed().split(b".")[1], listed(NOW, 3).split(b".")[1]),
    "unsigned": listed().rpartition(b".")[0] + b".",
    "signed by a stranger": minted(
        {"sub": URI, "ttl": TTL, "status_list": status_list((), 128)},
        key="RS256-stranger",
        header={"typ": "statuslist+jwt", "alg": "RS256"},
    ).encode(),
    "an access token": listed(typ="at+jwt"),
    "of another list": listed(uri=f"{ISSUER}oauth/status-lists/1"),
    "of nothing": listed(sub=None),
    "of another issuer": listed(iss="https://other.example/"),
    "expired": listed(exp=NOW),
    "of the future": listed(iat=NOW + 61),
    "without iat": listed(iat=None),
    "iat is text": listed(iat="now"),
    "ttl is text": listed(ttl="60"),
    "without a list": listed(status_list=None),
    "a list of lists": listed(status_list=[1]),
    "three bits": listed(status_list={"bits": 3, "lst": "eNrbuRgAAhcBXQ"}),
    "true bits": listed(status_list={"bits": True, "lst": "eNrbuRgAAhcBXQ"}),
    "lst is no text": listed(status_list={"bits": 1, "lst": 7}),
    "lst is not base64url": listed(status_list={"bits": 1, "lst": "eNrb+RgA/hcBXQ"}),
    "lst is not ASCII": listed(status_list={"bits": 1, "lst": "eNrbuRgAAhcBXé"}),
    "lst is not zlib": listed(status_list={"bits": 1, "lst": "AAAA"}),
    "lst is cut off": listed(status_list={"bits": 1, "lst": "eNrbuRgAAhcB"}),
    "lst goes on": listed(status_list={"bits": 1, "lst": "eNrbuRgAAhcBXQAA"}),
    "a bomb": listed(status_list={"bits": 1, "lst": bomb((1 << 20) + 1)}),
    "a large bomb": listed(status_list={"bits": 1, "lst": bomb(1 << 26)}),
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG)
async def test_tsl_8_3_an_answer_that_is_not_this_list_of_this_issuer_now_decides_nothing(
    publisher: Publisher, answer: bytes
) -> None:
    publisher.answer = answer
    assert await check(checking(publisher)) == "unavailable"
    assert publisher.asked == [URI]


async def test_a_list_of_the_largest_bearable_size_is_read(publisher: Publisher) -> None:
    publisher.answer = listed(status_list={"bits": 8, "lst": bomb(1 << 20)})
    assert await check(checking(publisher), index=(1 << 20) - 1) == "good"


@pytest.mark.parametrize("status", [204, 301, 404, 500])
async def test_an_answer_that_is_not_200_decides_nothing(publisher: Publisher, status: int) -> None:
    publisher.status = status
    assert await check(checking(publisher)) == "unavailable"


async def test_a_list_is_asked_for_once_per_ttl_and_an_end_is_seen_then(publisher: Publisher) -> None:
    lists, clock = checking(publisher), publisher.clock
    assert await check(lists) == "good"
    publisher.ended = (3,)
    clock.now += TTL - 1
    assert await check(lists) == "good"
    assert lists.fetches == 1
    clock.now += 1
    assert await check(lists) == "what it was issued for has ended"
    assert lists.fetches == 2


async def test_an_old_copy_is_not_believed_longer_for_coming_late(publisher: Publisher) -> None:
    """iat + ttl, not the time of fetching + ttl: a cache in between does not prolong it."""
    clock = publisher.clock
    publisher.answer = listed(clock.now - 50)
    lists = checking(publisher)
    assert await check(lists) == "good"
    publisher.answer = listed(clock.now + 10, 3)
    clock.now += 10
    assert await check(lists) == "what it was issued for has ended"


async def test_a_copy_whose_ttl_is_over_counts_as_stale_however_often_it_is_served(publisher: Publisher) -> None:
    publisher.answer = listed(publisher.clock.now - TTL)
    lists = checking(publisher, stale_seconds=10)
    assert await check(lists) == "good"
    publisher.clock.now += 10
    assert await check(lists) == await check(checking(publisher, stale_seconds=10)) == "unavailable"
    assert await check(checking(publisher, stale_seconds=0)) == "unavailable"


async def test_an_older_list_never_takes_the_place_of_a_newer_one(publisher: Publisher) -> None:
    publisher.ended = (3,)
    lists = checking(publisher)
    assert await check(lists) == "what it was issued for has ended"
    publisher.answer = listed(publisher.clock.now - 1)
    publisher.clock.now += TTL
    assert await check(lists) == "what it was issued for has ended"
    assert lists.fetches == 2


async def test_a_clock_ahead_of_the_issuers_asks_once_a_second_and_no_more(publisher: Publisher) -> None:
    publisher.answer = listed(publisher.clock.now - TTL - 5)
    lists = checking(publisher)
    assert [await check(lists) for _ in range(5)] == ["good"] * 5
    assert lists.fetches == 1


async def test_any_number_of_tokens_cause_one_request(publisher: Publisher) -> None:
    publisher.door = asyncio.Event()
    lists = checking(publisher)
    askers = [asyncio.create_task(check(lists, index=n % 128)) for n in range(500)]
    await asyncio.sleep(0)
    askers[0].cancel()  # who asked first must not take the answer away from the others
    await asyncio.sleep(0)
    publisher.door.set()
    assert set(await asyncio.gather(*askers[1:])) == {"good"}
    assert lists.fetches == 1


async def test_while_the_issuer_is_out_of_reach_the_last_list_is_believed_for_stale_seconds(
    publisher: Publisher,
) -> None:
    publisher.ended = (3,)
    lists, clock = checking(publisher, stale_seconds=100), publisher.clock
    assert await check(lists, index=4) == "good"
    publisher.answer = None
    clock.now += TTL + 99
    assert await check(lists, index=4) == "good"
    assert await check(lists) == "what it was issued for has ended"
    clock.now += 1
    assert await check(lists, index=4) == await check(lists) == "unavailable"


async def test_with_no_stale_seconds_nothing_passes_once_the_ttl_is_over(publisher: Publisher) -> None:
    lists = checking(publisher, stale_seconds=0)
    assert await check(lists) == "good"
    publisher.answer = None
    publisher.clock.now += TTL - 1
    assert await check(lists) == "good"
    publisher.clock.now += 1
    assert await check(lists) == "unavailable"


async def test_tsl_13_7_a_list_that_expired_is_never_believed_however_stale_it_may_be(publisher: Publisher) -> None:
    publisher.answer = listed(exp=NOW + 90)
    lists = checking(publisher, stale_seconds=10**6)
    assert await check(lists) == "good"
    publisher.answer = None
    publisher.clock.now += 89
    assert await check(lists) == "good"
    publisher.clock.now += 1
    assert await check(lists) == "unavailable"


async def test_an_issuer_that_is_down_is_asked_once_a_second_per_list_and_not_waited_for(publisher: Publisher) -> None:
    lists = checking(publisher)
    assert await check(lists) == "good"
    publisher.answer = None
    publisher.clock.now += TTL
    assert [await check(lists) for _ in range(5)] == ["good"] * 5
    assert lists.fetches == 2
    publisher.door = asyncio.Event()  # it hangs now
    publisher.clock.now += 1
    assert await asyncio.wait_for(check(lists), 60) == "good"
    await asyncio.sleep(0)  # it is asked beside the answer
    assert lists.fetches == 3
    publisher.door.set()
    await asyncio.sleep(0)


async def test_a_list_signed_with_a_new_key_is_read_once_the_keys_are_fetched_anew(publisher: Publisher) -> None:
    issuer = Issuer(jwks("ES256"))
    source = JwksCache(JWKS_URL, fetch=issuer, clock=publisher.clock)
    lists = StatusLists(ISSUER, source, fetch=publisher, clock=publisher.clock)
    assert [key.kid for key in (await source.keys()).keys] == ["ES256"]
    issuer.document = jwks()
    publisher.clock.now += 10
    assert await check(lists) == "good"
    assert source.fetches == 2


@pytest.mark.parametrize("issuer", ["http://id.example/", "ftp://id.example/", "https://", "https://u@id.example/"])
def test_lists_of_an_issuer_that_is_not_reached_safely_are_refused_at_the_start(issuer: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        StatusLists(issuer, JwksCache(JWKS_URL, fetch=Issuer()))


async def test_only_so_many_lists_are_held(publisher: Publisher) -> None:
    lists = checking(publisher, lists=2)
    for name in "abcab":
        publisher.answer = listed(uri=ISSUER + name)
        assert await check(lists, uri=ISSUER + name) == "good"
    assert lists.fetches == 5
    assert await check(lists, uri=ISSUER + "b") == "good"
    assert lists.fetches == 5
