"""Rows D2, D3 and D4: what a proof of possession must say, its nonce and its key (RFC 9449), over HTTP."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detent.admin.documents import family_document
from detent.core.changes import InsertClient
from detent.core.policy import ClientKind
from detent.features.dpop import BOUND, NONCE_LIFE, NONCE_PREFIX
from detent.resource_server.proof import ALGORITHMS, IAT_WINDOW_SECONDS
from tests.attacks.outcomes import assert_refused, ongoing
from tests.browsing import Browser
from tests.proving import MACHINE, Holder, assert_unproved, knowing, made
from tests.serving import REDIRECT_URI, SECRET, VERIFIER, Detent, client, running

detent = ongoing


@pytest.fixture
def holder(detent: Detent) -> Holder:
    """A key that knows a nonce."""
    return knowing(detent)


# D2: what a proof must say


WRONG: dict[str, Callable[[Holder], tuple[str, ...]]] = {
    "htm": lambda h: (h.proof("GET"),),
    "htm in lower case": lambda h: (h.proof("post"),),
    "no htm": lambda h: (h.proof(htm=None),),
    "htu of another endpoint": lambda h: (h.proof(url=f"{h.detent.issuer}userinfo"),),
    "htu of another host": lambda h: (h.proof(url="http://evil.example/oauth/token"),),
    "htu of another scheme": lambda h: (h.proof(url=h.detent.issuer.replace("http", "https") + "oauth/token"),),
    "htu of another port": lambda h: (h.proof(url="http://127.0.0.1/oauth/token"),),
    "htu with a slash more": lambda h: (h.proof(url=f"{h.detent.issuer}oauth/token/"),),
    "htu in other case": lambda h: (h.proof(url=f"{h.detent.issuer}OAuth/token"),),
    "htu with a user": lambda h: (h.proof(url=h.detent.issuer.replace("//", "//u@") + "oauth/token"),),
    "relative htu": lambda h: (h.proof(url="/oauth/token"),),
    "no htu": lambda h: (h.proof(htu=None),),
    "a list as htu": lambda h: (h.proof(htu=[f"{h.detent.issuer}oauth/token"]),),
    "iat long ago": lambda h: (h.proof(iat=h.detent.clock.now() - IAT_WINDOW_SECONDS - 1),),
    "iat far ahead": lambda h: (h.proof(iat=h.detent.clock.now() + IAT_WINDOW_SECONDS + 1),),
    "no iat": lambda h: (h.proof(iat=None),),
    "iat as text": lambda h: (h.proof(iat=str(h.detent.clock.now())),),
    "iat as truth": lambda h: (h.proof(iat=True),),
    "expired": lambda h: (h.proof(exp=h.detent.clock.now() - IAT_WINDOW_SECONDS),),
    "not valid yet": lambda h: (h.proof(nbf=h.detent.clock.now() + IAT_WINDOW_SECONDS + 1),),
    "no jti": lambda h: (h.proof(jti=None),),
    "empty jti": lambda h: (h.proof(jti=""),),
    "jti as number": lambda h: (h.proof(jti=7),),
    "endless jti": lambda h: (h.proof(jti="x" * 257),),
    "nonce as number": lambda h: (h.proof(nonce=7),),
    "no typ": lambda h: (h.proof(header={"typ": "JWT"}),),
    "typ of an access token": lambda h: (h.proof(header={"typ": "at+jwt"}),),
    "alg none": lambda h: (h.proof(header={"alg": "none"}),),
    "alg HS256": lambda h: (h.proof(header={"alg": "HS256"}),),
    "alg of another key": lambda h: (h.proof(header={"alg": "EdDSA"}, signer=made("EdDSA")),),
    "no jwk": lambda h: (h.proof(header={"jwk": None}),),
    "a private jwk": lambda h: (h.proof(header={"jwk": h.key.as_dict(private=True)}),),
    "a symmetric jwk": lambda h: (h.proof(header={"jwk": {"kty": "oct", "k": "c2VjcmV0"}}),),
    "a jwk for encryption": lambda h: (h.proof(header={"jwk": {**h.key.as_dict(private=False), "use": "enc"}}),),
    "a jwk that is none": lambda h: (h.proof(header={"jwk": "x"}),),
    "the jwk of another": lambda h: (h.proof(header={"jwk": made("ES256").as_dict(private=False)}),),
    "crit": lambda h: (h.proof(header={"crit": ["htm"]}),),
    "signed by another": lambda h: (h.proof(signer=made("ES256")),),
    "two headers": lambda h: (h.proof(), h.proof()),
    "the same header twice": lambda h: (h.proof(),) * 2,
    "two in one header": lambda h: (f"{h.proof()}, {h.proof()}",),
    "no JWT": lambda h: ("x",),
    "an empty header": lambda h: ("",),
    "a JWT cut short": lambda h: (h.proof()[:-4],),
    "an endless JWT": lambda h: (h.proof(jti="x" * 9000),),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_attack_d2_rfc9449_4_3_a_wrong_proof_is_refused_and_spends_nothing(holder: Holder, what: str) -> None:
    code = holder.detent.code("app")
    assert_refused(holder.redeem("app", code, *WRONG[what](holder)), "invalid_dpop_proof")
    assert holder.redeem("app", code).status_code == 200


def test_rfc9449_4_3_who_sends_two_proofs_is_told_so(holder: Holder) -> None:
    answer = holder.ask("machine", holder.proof(), holder.proof(), **MACHINE)
    assert "more than one DPoP header" in answer.json()["error_description"]


GOOD: dict[str, Callable[[Holder], str]] = {
    "htu with query and fragment": lambda h: h.proof(url=f"{h.detent.issuer}oauth/token?a=b#c"),
    "htu spelt otherwise": lambda h: h.proof(url=h.detent.issuer.replace("http", "HTTP") + "o%61uth/%74oken"),
    "iat ten seconds early": lambda h: h.proof(iat=h.detent.clock.now() - 10),
    "iat ten seconds late": lambda h: h.proof(iat=h.detent.clock.now() + 10),
    "iat in parts of a second": lambda h: h.proof(iat=h.detent.clock.now() + 0.5),
    "exp and nbf": lambda h: h.proof(exp=h.detent.clock.now() + 60, nbf=h.detent.clock.now()),
    "typ in full": lambda h: h.proof(header={"typ": "application/dpop+jwt"}),
    "unknown claims": lambda h: h.proof(foo="bar"),
    "a named key": lambda h: h.proof(header={"kid": "mine", "jwk": {**h.key.as_dict(private=False), "kid": "mine"}}),
}  # fmt: skip


@pytest.mark.parametrize("what", GOOD)
def test_rfc9449_4_3_a_proof_may_say_it_otherwise(holder: Holder, what: str) -> None:
    assert holder.ask("machine", GOOD[what](holder), **MACHINE).status_code == 200


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_rfc9449_5_1_every_algorithm_of_the_metadata_proves(detent: Detent, alg: str) -> None:
    answer = Holder(detent, alg).ask("machine", **MACHINE)
    assert (answer.status_code, answer.json()["token_type"]) == (200, "DPoP")


@pytest.mark.parametrize("other", ["localhost", "[::1]"])
def test_rfc9449_4_3_on_loopback_htu_may_say_any_name_of_it_that_was_asked(holder: Holder, other: str) -> None:
    port = holder.detent.issuer.rsplit(":", 1)[1].rstrip("/")
    url = f"http://{other}:{port}/oauth/token"
    request = holder.request("machine", holder.proof(url=url), **MACHINE)
    request.headers["host"] = f"{other}:{port}"
    assert holder.detent.http.send(request).status_code == 200
    assert_refused(holder.ask("machine", holder.proof(url=url), **MACHINE), "invalid_dpop_proof")


def test_rfc9449_4_3_behind_a_proxy_htu_is_the_issuers(tmp_path: Path, keys_folder: Path) -> None:
    with running(tmp_path, keys_folder, "memory", public="https://id.example/") as served:
        holder = knowing(served)
        inside = f"{served.url}oauth/token"
        assert_refused(holder.ask("machine", holder.proof(url=inside), **MACHINE), "invalid_dpop_proof")
        spelt = holder.proof(url="HTTPS://ID.example:443/oauth/token")
        assert holder.ask("machine", spelt, **MACHINE).status_code == 200


# D3: nonces


def test_attack_d3_rfc9449_8_without_a_good_nonce_the_answer_is_a_fresh_one(detent: Detent) -> None:
    holder = knowing(detent)
    old, seal = holder.nonce, detent.house.handles.seal
    detent.clock.advance(NONCE_LIFE)
    foreign = seal("dtac_", detent.clock.now().to_bytes(8, "big"))
    code = detent.code("app")
    for nonce in (None, "", "x", old, foreign, foreign.replace("dtac_", NONCE_PREFIX), str(old)[:-2] + "AA"):
        holder.nonce = None
        answer = holder.redeem("app", code, holder.proof(nonce=nonce))
        assert_refused(answer, "use_dpop_nonce")
        assert answer.headers["dpop-nonce"] != nonce
    assert holder.redeem("app", code, holder.proof()).status_code == 200, "and the code was not spent"


def test_rfc9449_8_2_a_nonce_is_renewed_with_an_answer_and_the_one_before_stays_good(detent: Detent) -> None:
    holder = knowing(detent)
    first = holder.nonce
    assert "dpop-nonce" not in holder.ask("machine", holder.proof(), **MACHINE).headers
    detent.clock.advance(NONCE_LIFE // 2)
    renewed = holder.ask("machine", holder.proof(), **MACHINE)
    assert renewed.status_code == 200
    assert renewed.headers["dpop-nonce"] != first
    detent.clock.advance(NONCE_LIFE // 2 - 1)
    assert holder.ask("machine", holder.proof(nonce=first), **MACHINE).status_code == 200
    detent.clock.advance(1)
    assert_refused(holder.ask("machine", holder.proof(nonce=first), **MACHINE), "use_dpop_nonce")
    assert holder.ask("machine", holder.proof(nonce=renewed.headers["dpop-nonce"]), **MACHINE).status_code == 200


def test_attack_d3_an_unsigned_wish_for_a_nonce_is_not_answered_with_one(holder: Holder) -> None:
    answer = holder.ask("machine", holder.proof(signer=made("ES256"), nonce=None), **MACHINE)
    assert_refused(answer, "invalid_dpop_proof")
    assert "dpop-nonce" not in answer.headers


# D4: the wrong key


def test_attack_d4_rfc9449_10_a_code_is_bound_to_the_key_that_was_asked_for(holder: Holder, detent: Detent) -> None:
    other = knowing(detent)
    with Browser(detent) as browser:
        code = browser.sign_in(client="app", scope="openid read", dpop_jkt=holder.jkt)["code"]
    for answer in (other.redeem("app", code), detent.redeem("app", code)):
        assert_refused(answer, "invalid_grant")
    answer = holder.redeem("app", code)
    assert (answer.status_code, answer.json()["token_type"]) == (200, "DPoP")


@pytest.mark.parametrize("jkt", ["x", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4", "A" * 44, "A" * 42 + "="])
def test_rfc9449_10_a_dpop_jkt_that_is_no_thumbprint_is_told_to_the_client(detent: Detent, jkt: str) -> None:
    with Browser(detent) as browser:
        assert browser.authorize(dpop_jkt=jkt).answer["error"] == "invalid_request"


def test_attack_d4_t19_a_bound_refresh_token_is_nothing_without_its_key_and_nobody_is_harmed(holder: Holder) -> None:
    detent, other = holder.detent, knowing(holder.detent)
    for kind in ("app", "spa", "cli"):
        mine = holder.sign_in(kind)
        before = detent.family(mine["refresh_token"], kind)
        assert family_document(before)["cnf"] == {"jkt": holder.jkt}
        for _ in range(3):
            assert_refused(detent.refresh(kind, mine["refresh_token"]))
            assert_refused(other.refresh(kind, mine["refresh_token"]))
        assert detent.family(mine["refresh_token"], kind) == before
        renewed = holder.refresh(kind, mine["refresh_token"]).json()
        assert renewed["token_type"] == "DPoP"
        assert renewed["refresh_token"] == mine["refresh_token"], "bound, it need not rotate (OAuth 2.1 §4.3.1)"


def test_attack_d4_rfc9449_7_a_bound_token_is_no_bearer_token_and_a_bearer_token_is_not_bound(holder: Holder) -> None:
    detent = holder.detent
    bound = holder.sign_in(scope="openid read")["access_token"]
    assert_unproved(holder.userinfo(bound, scheme="Bearer"), "invalid_token")
    assert_unproved(detent.http.get("/userinfo", headers={"Authorization": f"Bearer {bound}"}), "invalid_token")
    assert_unproved(detent.http.get("/userinfo", headers={"Authorization": f"DPoP {bound}"}), "invalid_token")
    assert holder.userinfo(bound).status_code == 200

    plain = detent.sign_in("app", scope="openid read")["access_token"]
    answer = holder.userinfo(plain)
    assert_refused(answer, "invalid_token", 401)
    assert answer.headers["www-authenticate"].startswith('Bearer realm="detent", error="invalid_token"')
    assert detent.http.get("/userinfo", headers={"Authorization": f"Bearer {plain}"}).status_code == 200


def test_rfc9449_7_1_without_a_token_userinfo_names_both_ways(detent: Detent) -> None:
    answer = detent.http.get("/userinfo")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == f'Bearer realm="detent", DPoP algs="{" ".join(ALGORITHMS)}"'


AT_USERINFO: dict[str, tuple[str, Callable[[Holder, str, str], tuple[str, ...]]]] = {
    "no ath": ("invalid_dpop_proof", lambda h, url, token: (h.proof("GET", url),)),
    "ath of another token": ("invalid_dpop_proof", lambda h, url, token: (h.proof("GET", url, token + "x"),)),
    "htm": ("invalid_dpop_proof", lambda h, url, token: (h.proof("POST", url, token),)),
    "htu": ("invalid_dpop_proof", lambda h, url, token: (h.proof("GET", f"{h.detent.issuer}x", token),)),
    "two headers": ("invalid_dpop_proof", lambda h, url, token: (h.proof("GET", url, token),) * 2),
    "no nonce": ("use_dpop_nonce", lambda h, url, token: (h.proof("GET", url, token, nonce=None),)),
    "another key": ("invalid_token", lambda h, url, token: (knowing(h.detent).proof("GET", url, token),)),
}  # fmt: skip


@pytest.mark.parametrize("what", AT_USERINFO)
def test_attack_d2_rfc9449_7_at_userinfo_a_wrong_proof_is_401(holder: Holder, what: str) -> None:
    error, wrong = AT_USERINFO[what]
    token = holder.sign_in(scope="openid read")["access_token"]
    url = f"{holder.detent.issuer}userinfo"
    if what == "another key":
        other = knowing(holder.detent)
        assert_unproved(holder.userinfo(token, other.proof("GET", url, token)), error)
    else:
        answer = holder.userinfo(token, *wrong(holder, url, token))
        assert_unproved(answer, error)
        assert ("dpop-nonce" in answer.headers) == (error == "use_dpop_nonce")
    assert holder.userinfo(token).status_code == 200


ACTS = ("owner", "owner", "no proof", "another key", "old proof", "another client", "later")


@pytest.mark.slow
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["spa", "app", "cli"]), acts=st.lists(st.sampled_from(ACTS), max_size=8))
def test_attack_d4_whatever_is_tried_without_the_key_the_owner_goes_on(
    detent: Detent, kind: str, acts: list[str]
) -> None:
    owner, thief = Holder(detent), Holder(detent)
    token = owner.sign_in(kind)["refresh_token"]
    spent = owner.proof()
    assert owner.refresh(kind, token, spent).status_code == 200
    for act in acts:
        before = detent.family(token, kind)
        match act:
            case "owner":
                assert owner.refresh(kind, token).json()["refresh_token"] == token
                continue
            case "no proof":
                assert_refused(detent.refresh(kind, token))
            case "another key":
                assert_refused(thief.refresh(kind, token))
            case "old proof":
                error = owner.refresh(kind, token, spent).json()["error"]
                assert error in ("invalid_dpop_proof", "use_dpop_nonce")
            case "another client":
                assert_refused(owner.refresh("web", token))
            case "later":
                detent.clock.advance(150)
        assert detent.family(token, kind) == before
    assert owner.refresh(kind, token).status_code == 200


@pytest.mark.parametrize("kind", ["native", "web", "machine"])
def test_attack_d4_rfc9449_5_2_a_client_that_is_always_bound_gets_nothing_without_a_proof(
    detent: Detent, kind: ClientKind
) -> None:
    keys: Any = detent.house.outside.keys
    name = f"bound-{kind}"
    detent.apply(InsertClient(client(name, kind, keys, extra={BOUND: True})))
    holder = Holder(detent)
    secret = {} if kind == "native" else {"client_secret": SECRET}
    form = dict(MACHINE) if kind == "machine" else {
        "grant_type": "authorization_code", "code": detent.code(name),
        "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER,
    }  # fmt: skip

    def without(form: dict[str, str]) -> httpx.Response:
        return detent.http.post("/oauth/token", data={"client_id": name, **secret, **form})

    assert_refused(without(form), "invalid_request")
    answer = holder.ask(name, **secret, **form)
    assert (answer.status_code, answer.json()["token_type"]) == (200, "DPoP")
    if kind != "machine":
        refresh = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
        assert_refused(without(refresh), "invalid_request")
        assert holder.ask(name, **secret, **refresh).json()["token_type"] == "DPoP"
