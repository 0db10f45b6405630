"""Rows D1 to D5: proofs of possession at the server (RFC 9449), over HTTP."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from detent.core.changes import InsertClient
from detent.core.policy import ClientKind, Overrides
from detent.features.dpop import BOUND, NONCE_LIFE, NONCE_PREFIX
from detent.resource_server.proof import ALGORITHMS, IAT_WINDOW_SECONDS
from tests.attacks.outcomes import Race, assert_refused, ongoing, race
from tests.browsing import Browser
from tests.proving import Holder, made
from tests.serving import API, REDIRECT_URI, SECRET, VERIFIER, Detent, client, running

detent = ongoing
__all__ = ["race"]

MACHINE = {"grant_type": "client_credentials", "resource": API}


@pytest.fixture
def holder(detent: Detent) -> Holder:
    """A key that knows a nonce."""
    return knowing(detent)


def knowing(detent: Detent) -> Holder:
    holder = Holder(detent)
    assert holder.ask("machine", **MACHINE).status_code == 200
    return holder


def assert_unproved(answer: httpx.Response, error: str = "invalid_dpop_proof") -> None:
    """401 with the challenge of DPoP (RFC 9449 §7.1)."""
    assert_refused(answer, error, 401)
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith(f'DPoP algs="{" ".join(ALGORITHMS)}", error="{error}"')


# D1: a proof counts once


def test_attack_d1_rfc9449_11_1_a_proof_counts_once_for_every_grant(holder: Holder) -> None:
    def client_credentials(proof: str) -> httpx.Response:
        return holder.ask("machine", proof, **MACHINE)

    tokens = {name: holder.sign_in(name) for name in ("app", "web")}
    asks: list[Callable[[str], httpx.Response]] = [
        client_credentials,
        lambda proof: holder.redeem("app", holder.detent.code("app"), proof),
        lambda proof: holder.refresh("app", tokens["app"]["refresh_token"], proof),
        lambda proof: holder.refresh("web", tokens["web"]["refresh_token"], proof),
    ]
    for ask in asks:
        proof = holder.proof()
        assert ask(proof).status_code == 200
        for again in asks:
            assert_refused(again(proof), "invalid_dpop_proof")


def test_attack_d1_two_keys_may_choose_the_same_jti(holder: Holder) -> None:
    other = knowing(holder.detent)
    for each in (holder, other):
        assert each.ask("machine", each.proof(jti="1"), **MACHINE).status_code == 200
    assert_refused(holder.ask("machine", holder.proof(jti="1"), **MACHINE), "invalid_dpop_proof")


def test_attack_d1_a_proof_that_obtained_nothing_is_not_spent(holder: Holder) -> None:
    proof = holder.proof()
    assert_refused(holder.redeem("app", "dtac_nonsense", proof))
    assert_refused(holder.redeem("app", holder.detent.code("app", code_challenge=None), proof))
    assert holder.redeem("app", holder.detent.code("app"), proof).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("grant", ["client_credentials", "authorization_code", "refresh_token"])
def test_attack_d1_sixty_four_at_once_obtain_one_answer(holder: Holder, race: Race, grant: str) -> None:
    proof, detent = holder.proof(), holder.detent
    ways = 64
    bound = holder.sign_in()["refresh_token"]
    form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    requests = {
        "client_credentials": lambda: holder.request("machine", proof, **MACHINE),
        "authorization_code": lambda: holder.request("app", proof, code=detent.code("app"), **form),
        "refresh_token": lambda: holder.request("app", proof, grant_type="refresh_token", refresh_token=bound),
    }
    answers = race([requests[grant]() for _ in range(ways)])

    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: ways - 1}
    for answer in answers:
        if answer.status_code == 400:
            assert_refused(answer, "invalid_dpop_proof")
    assert holder.refresh("app", bound).status_code == 200, "and nobody's family was harmed"


def test_attack_d1_a_proof_is_remembered_after_a_restart(tmp_path: Path, keys_folder: Path) -> None:
    with running(tmp_path, keys_folder) as before:
        holder = knowing(before)
        proof = holder.proof()
        assert holder.ask("machine", proof, **MACHINE).status_code == 200
        clock, issuer = before.clock, before.issuer
    with running(tmp_path, keys_folder, clock=clock, public=issuer) as after:
        holder.detent = after
        assert_refused(holder.ask("machine", proof, **MACHINE), "invalid_dpop_proof")
        assert holder.ask("machine", **MACHINE).status_code == 200, "its nonce outlived the restart too"


def test_attack_d1_a_replayed_request_never_ends_a_family_whose_rotation_an_operator_forced(detent: Detent) -> None:
    """A rotating family of a client whose tokens are bound: a captured request is not the reuse of a thief."""
    keys: Any = detent.house.outside.keys
    detent.apply(InsertClient(client("turning", "web", keys, overrides=Overrides(rotating=True, overlap=0))))
    holder = knowing(detent)

    code = {"grant_type": "authorization_code", "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    first = holder.ask("turning", code=detent.code("turning"), client_secret=SECRET, **code).json()
    refresh = {"grant_type": "refresh_token", "client_secret": SECRET}
    proof = holder.proof()
    second = holder.ask("turning", proof, refresh_token=first["refresh_token"], **refresh).json()
    again = holder.ask("turning", proof, refresh_token=first["refresh_token"], **refresh)
    assert_refused(again, "invalid_dpop_proof")
    third = holder.ask("turning", refresh_token=second["refresh_token"], **refresh)
    assert third.status_code == 200, "the family lives"


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
        assert before.authorization.cnf.jkt == holder.jkt
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


def test_attack_d1_at_userinfo_too_a_proof_counts_once(holder: Holder) -> None:
    token = holder.sign_in(scope="openid read")["access_token"]
    proof = holder.proof("GET", f"{holder.detent.issuer}userinfo", token)
    assert holder.userinfo(token, proof).status_code == 200
    assert_unproved(holder.userinfo(token, proof))


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


# D5: many proofs


@pytest.mark.slow
def test_attack_d5_refused_proofs_leave_nothing_behind_and_good_ones_are_swept(
    tmp_path: Path, keys_folder: Path
) -> None:
    with running(tmp_path, keys_folder) as served:
        holder = knowing(served)
        before = served.statements()
        for number in range(300):
            assert_refused(holder.redeem("app", "dtac_nonsense", holder.proof(jti=f"n{number}")))
            assert_refused(holder.refresh("app", "dtrt_nonsense", holder.proof()))
        after = served.statements()
        assert (after.inserts, after.commits) == (before.inserts, before.commits)

        for _ in range(50):
            assert holder.ask("machine", **MACHINE).status_code == 200
        assert served.statements().inserts == before.inserts + 50
        served.clock.advance(2 * IAT_WINDOW_SECONDS + 2)
        swept = served.thread.call(served.store.sweep(served.clock.now(), retention=0))
        assert swept >= 50, "an hour of proofs is never kept"
