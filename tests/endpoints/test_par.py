"""Pushed authorization requests (RFC 9126): what is taken, for whom it opens, and how often."""

import base64
import hashlib
from typing import Any

import httpx
import pytest

from detent.features.par import PUSHED_KIND, PUSHED_LIFE, URN
from tests.asserting import Asserting
from tests.attacks.outcomes import assert_refused
from tests.browsing import Browser, Page, request_of
from tests.mission.test_a_tokens import claims_of
from tests.proving import Holder
from tests.serving import SECRET, VERIFIER, Detent

pytestmark = pytest.mark.quick

PAR = "/oauth/par"
NOTHING: dict[str, Any] = {name: None for name in request_of() if name != "client_id"}


def push(detent: Detent, client: str = "spa", **change: Any) -> httpx.Response:
    return detent.post(PAR, client, **request_of(client, **change))


def reference(detent: Detent, client: str = "spa", **change: Any) -> str:
    answer = push(detent, client, **change)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["request_uri"])


def asked(browser: Browser, request_uri: str, client: str = "spa", **more: Any) -> Page:
    return browser.authorize(client, request_uri=request_uri, **{**NOTHING, **more})


def test_rfc9126_2_2_a_push_is_answered_with_a_reference_and_its_life(standing: Detent) -> None:
    answer = push(standing)
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert answer.json()["expires_in"] == PUSHED_LIFE
    name = answer.json()["request_uri"]
    assert name.startswith(URN)
    assert len(name) - len(URN) == 43, "256 bits"
    assert push(standing).json()["request_uri"] != name


@pytest.mark.parametrize("client", ["spa", "app", "web"])
def test_rfc9126_4_the_reference_stands_for_the_request(standing: Detent, client: str) -> None:
    with Browser(standing) as browser:
        answer = browser.sign_in(client, request_uri=reference(standing, client, state="pushed"), **NOTHING)
        assert answer["state"] == "pushed"
        tokens = standing.redeem(client, answer["code"]).json()
    assert claims_of(tokens["id_token"])["nonce"] == "a-nonce"


def test_rfc9126_4_nothing_beside_the_reference_counts(standing: Detent) -> None:
    with Browser(standing) as browser:
        name = reference(standing, scope="openid read", state="pushed")
        added = {"scope": "openid read write", "state": "added", "response_mode": "form_post"}
        answer = browser.sign_in("spa", request_uri=name, **{**NOTHING, **added})
        assert answer["state"] == "pushed"
        assert set(standing.redeem("spa", answer["code"]).json()["scope"].split()) == {"openid", "read"}


def test_rfc9126_2_1_the_client_authenticates_as_at_the_token_endpoint(standing: Detent) -> None:
    form = request_of("web")
    assert standing.http.post(PAR, data=form, auth=("web", SECRET)).status_code == 201
    assert_refused(standing.http.post(PAR, data=form), "invalid_client", 401)
    assert_refused(standing.http.post(PAR, data=form, auth=("web", "wrong")), "invalid_client", 401)
    signing = Asserting(standing, kind="web")
    for aud in (standing.issuer, f"{standing.issuer}oauth/token", f"{standing.issuer}oauth/par"):
        assert signing.post(PAR, signing.assertion(aud=aud), **request_of(signing.name)).status_code == 201


def test_attack_a5_an_assertion_pushes_once(standing: Detent) -> None:
    signing = Asserting(standing, kind="web")
    assertion = signing.assertion()
    assert signing.post(PAR, assertion, **request_of(signing.name)).status_code == 201
    assert_refused(signing.post(PAR, assertion, **request_of(signing.name)), "invalid_client", 401)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a reference": ({"request_uri": f"{URN}x"}, "invalid_request"),
    "another redirect_uri": ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
    "no redirect_uri": ({"redirect_uri": None}, "invalid_request"),
    "another response_type": ({"response_type": "token"}, "unsupported_response_type"),
    "no PKCE": ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    "an unknown scope": ({"scope": "openid fly"}, "invalid_scope"),
    "an unknown resource": ({"resource": "https://nowhere.example/"}, "invalid_target"),
    "a bad prompt": ({"prompt": "none login"}, "invalid_request"),
    "a long state": ({"state": "x" * 5000}, "invalid_request"),
    "a very long hint": ({"ui_locales": "x" * 40_000}, "invalid_request"),
}


@pytest.mark.parametrize("what", BAD)
def test_rfc9126_2_3_a_bad_request_is_refused_where_it_is_pushed(standing: Detent, what: str) -> None:
    change, error = BAD[what]
    assert_refused(push(standing, **change), error)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_rfc9126_2_3_only_post_is_answered(standing: Detent, method: str) -> None:
    assert standing.http.request(method, PAR).status_code == 405


def test_rfc9126_4_it_opens_for_its_client_alone(standing: Detent) -> None:
    with Browser(standing) as browser:
        page = asked(browser, reference(standing, "spa"), "app")
        assert (page.status, page.error) == (400, "invalid_request_uri")
        assert asked(browser, f"{URN}unknown").error == "invalid_request_uri"
        assert asked(browser, URN).error == "invalid_request_uri"


def test_rfc9126_4_it_expires(detent: Detent) -> None:
    name = reference(detent)
    detent.clock.advance(PUSHED_LIFE - 1)
    with Browser(detent) as browser:
        assert asked(browser, name).path == "/login"
        detent.clock.advance(1)
        assert asked(browser, name).error == "invalid_request_uri"


def test_rfc9126_4_a_page_may_be_reloaded_and_an_answer_is_given_once(standing: Detent) -> None:
    """FAPI 2.0 §5.3.2.2 note: until the person has answered, the same reference may be opened again."""
    name = reference(standing)
    with Browser(standing) as browser:
        first, second = asked(browser, name), asked(browser, name)
        assert (first.path, second.path) == ("/login", "/login")
        answer = browser.allow(browser.log_in(second)).answer
        assert "code" in answer
        assert asked(browser, name).error == "invalid_request_uri"
        late = browser.allow(browser.log_in(first))
        assert (late.status, "already" in late.text) == (400, True)
        assert standing.redeem("spa", answer["code"]).status_code == 200, "the second answer harmed nothing"


def test_a_person_may_take_longer_than_the_app(detent: Detent) -> None:
    with Browser(detent) as browser:
        page = asked(browser, reference(detent))
        detent.clock.advance(600)
        detent.thread.call(detent.store.sweep(detent.clock.now(), retention=0))
        assert "code" in browser.allow(browser.log_in(page)).answer


def test_rfc9126_6_a_client_that_must_push_may_ask_in_no_other_way(standing: Detent) -> None:
    pushing = Asserting(standing, kind="web", extra={"require_pushed_authorization_requests": True})
    with Browser(standing) as browser:
        answer = browser.authorize(pushing.name).answer
        assert (answer["error"], "push" in answer["error_description"]) == ("invalid_request", True)
        pushed = pushing.post(PAR, **request_of(pushing.name)).json()["request_uri"]
        assert "code" in browser.sign_in(pushing.name, request_uri=pushed, **NOTHING)


def test_rfc9449_10_1_a_proof_with_the_push_binds_the_code(detent: Detent) -> None:
    holder, thief = Holder(detent), Holder(detent)
    url = f"{detent.issuer}oauth/par"

    def pushed(**change: Any) -> httpx.Response:
        headers = {"DPoP": holder.proof("POST", url)}
        answer = detent.post(PAR, "spa", headers, **request_of(**change))
        if answer.json().get("error") != "use_dpop_nonce":
            return answer
        holder.nonce = answer.headers["dpop-nonce"]
        return pushed(**change)

    assert_refused(pushed(dpop_jkt=thief.jkt), "invalid_request")
    with Browser(detent) as browser:
        code = browser.sign_in(request_uri=pushed().json()["request_uri"], **NOTHING)["code"]
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
    form["redirect_uri"] = request_of()["redirect_uri"]
    assert thief.ask("spa", **form).json()["error"] == "invalid_grant"
    assert holder.ask("spa", **form).json()["token_type"] == "DPoP"


def test_neither_the_reference_nor_a_secret_is_kept(detent: Detent) -> None:
    form = {**request_of("web"), "client_id": "web", "client_secret": SECRET}
    name = detent.http.post(PAR, data=form).json()["request_uri"].removeprefix(URN)
    record = detent.thread.call(detent.store.record(PUSHED_KIND, name))
    assert record is None, "it is found by its hash alone"
    hashed = base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).rstrip(b"=").decode()
    record = detent.thread.call(detent.store.record(PUSHED_KIND, hashed))
    assert name.encode() not in record.value
    assert SECRET.encode() not in record.value
    assert b"client_secret" not in record.value
