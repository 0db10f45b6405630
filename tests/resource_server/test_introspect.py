"""Opaque tokens at an API: what is asked, what is remembered; no answer is never a yes (RFC 7662)."""

import asyncio
import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import pytest

from detent.resource_server import Introspector, InvalidToken, Unavailable
from tests.resource_server.issuer import INTROSPECTION_URL, Issuer
from tests.resource_server.minting import CLAIMS, NOW, VERIFIER, ManualClock

pytestmark = pytest.mark.quick

TOKEN = "dtat_1.opaque"


def active(**claims: Any) -> dict[str, Any]:
    answer = {**CLAIMS, "active": True, "token_type": "Bearer", **claims}
    return {name: value for name, value in answer.items() if value is not ...}


def introspector(issuer: Issuer, clock: ManualClock | None = None, **options: Any) -> Introspector:
    return Introspector(
        INTROSPECTION_URL,
        client_id=options.pop("client_id", "api"),
        client_secret=options.pop("client_secret", "s3cret"),
        verifier=VERIFIER,
        fetch=issuer,
        clock=clock or ManualClock(),
        **options,
    )


async def reason(asked: Introspector, token: str = TOKEN) -> str:
    with pytest.raises(InvalidToken) as caught:
        await asked.claims(token)
    return caught.value.reason


async def test_rfc7662_2_1_the_token_is_posted_with_the_apis_own_credentials() -> None:
    issuer = Issuer(active())
    claims = await introspector(issuer, client_id="ápi:1", client_secret="s ecret%").claims(TOKEN + "+/=&x")
    assert (claims.sub, claims.client_id, set(claims.scope)) == (
        "alice",
        "testclient",
        {"openid", "read:secret"},
    )
    [(url, headers, body)] = issuer.requests
    assert url == INTROSPECTION_URL
    assert body is not None
    assert parse_qs(body.decode()) == {"token": [TOKEN + "+/=&x"], "token_type_hint": ["access_token"]}
    scheme, credentials = headers["Authorization"].split(" ")
    # RFC 6749 §2.3.1: both halves are form-encoded before they are joined.
    assert (scheme, base64.b64decode(credentials)) == ("Basic", b"%C3%A1pi%3A1:s+ecret%25")


async def test_an_answer_is_remembered_for_a_few_seconds_and_then_asked_again() -> None:
    issuer, clock = Issuer(active()), ManualClock()
    asked = introspector(issuer, clock)
    for _ in range(20):
        assert (await asked.claims(TOKEN)).sub == "alice"
    clock.now += 4.9
    await asked.claims(TOKEN)
    assert asked.introspections == len(issuer.requests) == 1
    issuer.document = {"active": False}
    clock.now += 0.1
    assert await reason(asked) == "the token is not active"
    assert asked.introspections == 2


async def test_a_no_is_remembered_for_as_long() -> None:
    issuer, clock = Issuer({"active": False}), ManualClock()
    asked = introspector(issuer, clock)
    for _ in range(20):
        assert await reason(asked) == "the token is not active"
    assert asked.introspections == 1
    issuer.document = active()
    clock.now += 5
    assert (await asked.claims(TOKEN)).sub == "alice"


async def test_rfc7662_4_nothing_is_remembered_beyond_its_expiry() -> None:
    issuer, clock = Issuer(active(exp=NOW + 2)), ManualClock()
    asked = introspector(issuer, clock, cache_seconds=60)
    await asked.claims(TOKEN)
    clock.now += 2
    assert await reason(asked) == "the token has expired"


async def test_the_memory_is_bounded_and_forgets_what_was_used_least_recently() -> None:
    asked = introspector(Issuer(active()), cache_size=2)
    for token in ["a", "b", "a", "c", "a"]:
        await asked.claims(token)
    assert asked.introspections == 3
    await asked.claims("b")
    assert asked.introspections == 4


@pytest.mark.parametrize("size", [0, 1])
async def test_an_answer_that_is_forgotten_at_once_is_still_given(size: int) -> None:
    asked = introspector(Issuer(active()), cache_size=size)
    answers = await asyncio.gather(*(asked.claims(token) for token in "abc"))
    assert [claims.sub for claims in answers] == ["alice"] * 3


async def test_the_memory_holds_no_token_and_the_object_shows_no_secret() -> None:
    asked = introspector(Issuer(active()))
    await asked.claims(TOKEN)
    held = repr(vars(asked)["_cache"])
    assert TOKEN not in held
    assert "s3cret" not in repr(asked)


async def test_many_askers_with_one_token_cause_one_request() -> None:
    issuer = Issuer(active(), open_door=asyncio.Event())
    asked = introspector(issuer)
    askers = [asyncio.create_task(asked.claims(TOKEN)) for _ in range(50)]
    await asyncio.sleep(0)
    askers[0].cancel()
    await asyncio.sleep(0)
    assert issuer.open_door
    issuer.open_door.set()
    assert {claims.sub for claims in await asyncio.gather(*askers[1:])} == {"alice"}
    assert asked.introspections == 1


@pytest.mark.parametrize("document", [None, b"", b"true", b"{}", b'{"active":1}', b'{"active":"true"}', b"[" * 9_999])
async def test_no_answer_is_never_a_yes_and_is_not_remembered(document: bytes | None) -> None:
    issuer = Issuer(document)
    asked = introspector(issuer)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await asked.claims(TOKEN)
    issuer.document = active()
    assert (await asked.claims(TOKEN)).sub == "alice"
    assert asked.introspections == 3


@pytest.mark.parametrize("status", [201, 302, 400, 401, 403, 404, 429, 500, 503])
async def test_rfc7662_2_3_only_a_200_is_an_answer(status: int) -> None:
    with pytest.raises(Unavailable):
        await introspector(Issuer(active(), status=status)).claims(TOKEN)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example/"},
        {"aud": "https://other.example"},
        {"aud": ...},
        {"sub": ...},
        {"client_id": ...},
        {"exp": NOW},
        {"exp": ...},
        {"iat": NOW + 61},
        {"nbf": NOW + 61},
        {"cnf": "unreadable"},
        {"scope": ["a"]},
        {"token_type": "refresh_token"},
        {"token_type": "N_A"},
        {"token_type": 7},
    ],
    ids=repr,
)
async def test_an_active_answer_about_something_else_is_a_no(claims: Mapping[str, Any]) -> None:
    await reason(introspector(Issuer(active(**claims))))


@pytest.mark.parametrize(
    "claims", [{"token_type": ...}, {"token_type": "bearer"}, {"token_type": "DPoP"}, {"jti": ...}]
)
async def test_rfc7662_2_2_what_an_answer_may_leave_out(claims: Mapping[str, Any]) -> None:
    assert (await introspector(Issuer(active(**claims))).claims(TOKEN)).sub == "alice"


@pytest.mark.parametrize("token", ["x" * 16_385, "dtat_é", "dtat_\ud800"])
async def test_a_malformed_token_is_not_even_asked_about(token: str) -> None:
    asked = introspector(Issuer(active()))
    await reason(asked, token)
    assert asked.introspections == 0


def test_rfc7662_4_credentials_go_over_tls_only() -> None:
    with pytest.raises(ValueError, match="https"):
        Introspector("http://id.example/", client_id="a", client_secret="b", verifier=VERIFIER)
