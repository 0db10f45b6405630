"""Tokens bound to a key, before an API (RFC 9449 §4.3, §7, §9, §11.1); attack rows D1 to D5 at resources."""

import base64
import tracemalloc
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from detent.resource_server import DPoP, InvalidProof, Nonces, Proof, ReplayMemory, verify_proof
from detent.resource_server.dpop import KEPT_SECONDS
from detent.resource_server.proof import ALGORITHMS, IAT_WINDOW_SECONDS, normalised
from tests.proving import Prover, made
from tests.resource_server.minting import CLAIMS, NOW, minted
from tests.resource_server.test_asgi import Api

ORIGIN = "https://api.example"
SECRET = b"s" * 32
HEADER = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0Rs"
    "cEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2"
    "In19"
)
FIGURE_2 = (
    f"{HEADER}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rv"
    "a2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37"
    "xRZT3Lg"
)
FIGURE_12 = (
    f"{HEADER}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9w"
    "cm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbV"
    "FFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


# The RFC's own examples


def test_rfc9449_4_2_the_example_proof_for_a_token_request_is_good_and_names_its_key() -> None:
    urls = ["https://server.example.com/token"]
    proof = verify_proof(FIGURE_2, method="POST", urls=urls, now=1562262616, access_token=None)
    assert (proof.jkt, proof.jti, proof.nonce) == (THUMBPRINT, "-BwC3ESc6acc2lTc", None)


def test_rfc9449_7_1_the_example_proof_for_an_api_is_good_for_its_token_and_no_other() -> None:
    token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    url, now = "https://resource.example.org/protectedresource", 1562262618

    def read(token: str, url: str = url, now: float = now, method: str = "GET") -> Proof:
        return verify_proof(FIGURE_12, method=method, urls=[url], now=now, access_token=token)

    assert read(token).jkt == THUMBPRINT
    late = now + IAT_WINDOW_SECONDS + 1
    changes: list[dict[str, Any]] = [{"token": token + "x"}, {"url": url + "s"}, {"now": late}, {"method": "POST"}]
    for change in changes:
        with pytest.raises(InvalidProof):
            read(**{"token": token, **change})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://api.example", "https://api.example/"),
        ("HTTPS://API.Example:443/x", "https://api.example/x"),
        ("http://api.example:80/x?y#z", "http://api.example/x"),
        ("https://api.example/%7euser/%c3%a4", "https://api.example/~user/%C3%A4"),
        ("https://[2001:DB8::1]/x", "https://[2001:db8::1]:443/x"),
    ],
)
def test_rfc3986_6_2_two_spellings_are_one_url(one: str, other: str) -> None:
    assert normalised(one) == normalised(other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://api.example/x", "https://api.example/X"),
        ("https://api.example/x", "https://api.example/x/"),
        ("https://api.example/a/b", "https://api.example/a%2Fb"),
        ("https://api.example/x", "https://api.example/y/../x"),
        ("https://api.example/x", "https://api.example:8443/x"),
        ("https://api.example/x", "http://api.example/x"),
        ("https://api.example/x", "https://api.example./x"),
    ],
)
def test_rfc3986_6_2_two_urls_stay_two(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


@pytest.mark.parametrize(
    "url",
    ["", "/x", "//api.example/x", "ftp://api.example/", "https://", "https://u@api.example/", "https://a:b/", "https://[x/",
     "https://api.example/a b", "https://api.example/\n", "https:\\\\api.example", "https://äpi.example/"],
)  # fmt: skip
def test_rfc9449_4_3_what_is_no_http_url_is_no_htu(url: str) -> None:
    assert normalised(url) is None


# The guard


class BoundApi(Api):
    def __init__(self, *, nonces: bool = False, memory: ReplayMemory | None = None, **options: Any) -> None:
        dpop = DPoP(ORIGIN, nonces=Nonces(SECRET) if nonces else None, memory=memory)
        super().__init__(dpop=dpop, **options)

    async def proving(self, prover: Prover, token: str, *proofs: str, url: str = "/secret") -> httpx.Response:
        given = proofs or (prover.proved("GET", ORIGIN + url, self.clock.now, token),)
        headers = [("Authorization", f"DPoP {token}"), *(("DPoP", proof) for proof in given)]
        answer = await self.request(url=url, headers=headers)
        prover.nonce = answer.headers.get("dpop-nonce", prover.nonce)
        return answer


def bound(prover: Prover, **claims: Any) -> str:
    return minted({"cnf": {"jkt": prover.jkt}, **claims})


def refused(answer: httpx.Response, error: str, status: int = 401) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    challenge = f'DPoP realm="api", algs="{" ".join(ALGORITHMS)}", error="{error}", error_description="'
    assert answer.headers["www-authenticate"].startswith(challenge)


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "PS256"])
async def test_rfc9449_7_1_a_bound_token_with_its_proof_opens_the_api(alg: str) -> None:
    api, prover = BoundApi(scopes_required=["read:secret"]), Prover(alg)
    for url in ("/secret", "/secret?a=b", "/a%2Fb/%7Euser"):
        assert (await api.proving(prover, bound(prover), url=url)).json()["sub"] == "alice"
    assert api.guard.counters.verified == 3


async def test_rfc9449_7_2_beside_it_bearer_tokens_go_on_and_bound_ones_are_none() -> None:
    api, prover = BoundApi(), Prover()
    assert (await api.bearing(minted())).status_code == 200
    refused(await api.bearing(bound(prover)), "invalid_token")
    refused(await api.proving(prover, minted()), "invalid_token")
    refused(await api.proving(prover, minted({"cnf": {"x5t#S256": "x"}})), "invalid_token")
    refused(await api.proving(prover, minted({"cnf": {"jkt": prover.jkt, "x5t#S256": "x"}})), "invalid_token")
    refused(await api.proving(prover, minted({"cnf": {}})), "invalid_token")
    missing = await api.request()
    challenge = f'Bearer realm="api", DPoP realm="api", algs="{" ".join(ALGORITHMS)}"'
    assert (missing.status_code, missing.headers["www-authenticate"]) == (401, challenge)


async def test_rfc9449_7_an_opaque_bound_token_is_introspected_and_proved() -> None:
    api, prover = BoundApi(opaque=True), Prover()
    api.introspection.document = {**CLAIMS, "active": True, "token_type": "DPoP", "cnf": {"jkt": prover.jkt}}
    assert (await api.proving(prover, "dtat_x")).status_code == 200
    refused(await api.proving(Prover(), "dtat_x"), "invalid_token")
    refused(await api.bearing("dtat_x"), "invalid_token")


WRONG: dict[str, Callable[[Prover, str], tuple[str, ...]]] = {
    "method": lambda p, t: (p.proved("POST", f"{ORIGIN}/secret", NOW, t),),
    "path": lambda p, t: (p.proved("GET", f"{ORIGIN}/other", NOW, t),),
    "host": lambda p, t: (p.proved("GET", "https://evil.example/secret", NOW, t),),
    "scheme": lambda p, t: (p.proved("GET", "http://api.example/secret", NOW, t),),
    "no ath": lambda p, t: (p.proved("GET", f"{ORIGIN}/secret", NOW),),
    "ath of another token": lambda p, t: (p.proved("GET", f"{ORIGIN}/secret", NOW, t + "x"),),
    "old": lambda p, t: (p.proved("GET", f"{ORIGIN}/secret", NOW - IAT_WINDOW_SECONDS - 1, t),),
    "early": lambda p, t: (p.proved("GET", f"{ORIGIN}/secret", NOW + IAT_WINDOW_SECONDS + 1, t),),
    "signature": lambda p, t: (p.proved("GET", f"{ORIGIN}/secret", NOW, t, signer=made("ES256")),),
    "two": lambda p, t: (p.proved("GET", f"{ORIGIN}/secret", NOW, t), p.proved("GET", f"{ORIGIN}/secret", NOW, t)),
    "garbage": lambda p, t: ("\x7f.#.",),
    "the token itself": lambda p, t: (t,),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
async def test_attack_d2_rfc9449_4_3_a_wrong_proof_opens_nothing(what: str) -> None:
    api, prover = BoundApi(), Prover()
    token = bound(prover)
    refused(await api.proving(prover, token, *WRONG[what](prover, token)), "invalid_dpop_proof")
    none = await api.request(headers={"Authorization": f"DPoP {token}"})
    refused(none, "invalid_dpop_proof")


async def test_attack_d4_rfc9449_7_2_a_thief_proves_only_his_own_key() -> None:
    api, owner = BoundApi(), Prover()
    refused(await api.proving(Prover(), bound(owner)), "invalid_token")
    assert (await api.proving(owner, bound(owner))).status_code == 200


async def test_rfc9449_7_1_a_token_that_came_as_dpop_is_refused_as_such() -> None:
    api, prover = BoundApi(), Prover()
    refused(await api.proving(prover, bound(prover, exp=NOW - 1)), "invalid_token")
    assert (await api.bearing(minted({"exp": NOW - 1}))).headers["www-authenticate"].startswith("Bearer ")


async def test_rfc9449_4_3_where_a_proxy_strips_a_path_the_proof_names_it() -> None:
    api, prover = Api(dpop=DPoP("https://example.org/api", ORIGIN)), Prover()
    token = bound(prover)
    for url, status in {"https://example.org/api/secret": 200, "https://example.org/secret": 401}.items():
        headers = {"Authorization": f"DPoP {token}", "DPoP": prover.proved("GET", url, NOW, token)}
        assert (await api.request(headers=headers)).status_code == status


async def test_a_bound_token_reaches_no_further_than_its_scope() -> None:
    api, prover = BoundApi(scopes_required=["write"]), Prover()
    answer = await api.proving(prover, bound(prover))
    refused(answer, "insufficient_scope", 403)


async def test_attack_d1_rfc9449_11_1_a_proof_opens_the_api_once() -> None:
    api, prover = BoundApi(), Prover()
    token = bound(prover, exp=NOW + 10 * KEPT_SECONDS)
    proof = prover.proved("GET", f"{ORIGIN}/secret", NOW + IAT_WINDOW_SECONDS, token)
    assert (await api.proving(prover, token, proof)).status_code == 200
    for _ in range(KEPT_SECONDS // 50 + 1):
        refused(await api.proving(prover, token, proof), "invalid_dpop_proof")
        api.clock.now += 50


# Nonces


async def test_attack_d3_rfc9449_9_nonces_are_demanded_renewed_and_no_others_are_taken() -> None:
    api, prover = BoundApi(nonces=True), Prover()
    token = bound(prover, exp=NOW + 10_000)
    foreign = Nonces(b"x" * 32).fresh(NOW)
    for nonce in (None, "", "x", "ä", foreign, Nonces(SECRET).fresh(NOW)[:-4], base64.b64encode(b"x" * 24).decode()):
        prover.nonce = None
        answer = await api.proving(prover, token, prover.proved("GET", f"{ORIGIN}/secret", NOW, token, nonce=nonce))
        refused(answer, "use_dpop_nonce")
        assert answer.headers["dpop-nonce"] == prover.nonce
    assert "dpop-nonce" not in (await api.proving(prover, token)).headers
    first = prover.nonce
    api.clock.now += 300
    renewed = await api.proving(prover, token)
    assert (renewed.status_code, renewed.headers["dpop-nonce"] != first) == (200, True)
    api.clock.now += 299
    again = prover.proved("GET", f"{ORIGIN}/secret", api.clock.now, token, nonce=first)
    assert (await api.proving(prover, token, again)).status_code == 200
    api.clock.now += 1
    late = prover.proved("GET", f"{ORIGIN}/secret", api.clock.now, token, nonce=first)
    refused(await api.proving(prover, token, late), "use_dpop_nonce")


# Memory


def proof(key: int, number: int) -> Proof:
    return Proof(f"key-{key}", f"jti-{number}", dead_from=NOW)


def test_attack_d5_a_flood_takes_no_memory_and_is_refused_in_the_end() -> None:
    """As many for a small memory as 3 * 10^8 for the usual one: a million a minute could bring 10^7."""
    memory = ReplayMemory(512)
    first = [proof(1, number) for number in range(50)]
    assert all(memory.is_first(each, NOW) for each in first)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(20_000):  # at a quarter of that, one memory in fifteen has a place left
            memory.is_first(proof(2, number), NOW + number / 40)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 10_000
    assert not any(memory.is_first(each, NOW + 500) for each in first), "what was seen is still known"
    assert not any(memory.is_first(proof(3, number), NOW + 500) for number in range(100)), "and nothing more gets in"
    memory.is_first(proof(3, 1), NOW + KEPT_SECONDS)
    later = NOW + 2 * KEPT_SECONDS
    assert memory.is_first(proof(4, 1), later)
    assert memory.is_first(first[0], later), "until it is forgotten"


def test_attack_d1_a_proof_is_known_as_long_as_it_can_be_good_whenever_it_came() -> None:
    for seen_at in range(0, KEPT_SECONDS, 50):
        memory = ReplayMemory(64)
        memory.is_first(proof(1, 0), NOW)
        assert memory.is_first(proof(1, 1), NOW + seen_at)
        for passed in (1, KEPT_SECONDS // 2, KEPT_SECONDS - 1):
            assert not memory.is_first(proof(1, 1), NOW + seen_at + passed)
        assert memory.is_first(proof(1, 1), NOW + seen_at + 2 * KEPT_SECONDS)


def test_attack_d5_the_usual_memory_takes_no_new_proof_for_an_old_one() -> None:
    memory = ReplayMemory()
    assert all(memory.is_first(proof(1, number), NOW) for number in range(20_000))


@pytest.mark.parametrize(
    "urls",
    [(), ("",), ("api.example",), ("https://api.example/",), ("https://api.example?x",), ("https://api.example#x",)],
)
def test_a_guard_for_bound_tokens_must_know_where_it_stands(urls: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="without a slash"):
        DPoP(*urls)


def test_nonces_need_a_secret_that_is_one() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Nonces(b"short")
