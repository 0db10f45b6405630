"""Attacks on the ways into the authorization endpoint and past it (rows D6, D8, D9, D10, D12), over HTTP.

What a pushed request and a request object mean is in tests/endpoints (test_par.py, test_jar.py). D7 and the rest of D6
come with client certificates; the times that FAPI asks of a request object (D10), with its profile. That a client whose
tokens are bound gets no others (D12) is D4.
"""

from typing import Any

import pytest

from detent.features.par import PUSHED_LIFE, URN
from tests.attacks.outcomes import assert_refused
from tests.browsing import Browser, request_of
from tests.endpoints.test_jar import OUTSIDE, Signing
from tests.endpoints.test_par import NOTHING, PAR, asked, push, reference
from tests.serving import REDIRECT_URI, VERIFIER, Detent

CERTIFICATES = (
    "X-Client-Cert", "X-SSL-Client-Cert", "X-SSL-Client-Verify", "X-SSL-Client-S-DN", "SSL-Client-Cert", "Client-Cert",
    "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "X_SSL_CLIENT_CERT", "SSL_CLIENT_CERT",
)  # fmt: skip


def test_attack_d6_rfc9700_4_13_no_header_makes_somebody_a_client(standing: Detent) -> None:
    """Nor do two of them, nor one with underscores: there are no client certificates here."""
    form = {"grant_type": "client_credentials", "client_id": "machine"}
    value = "CN=machine, SUCCESS, -----BEGIN%20CERTIFICATE-----"
    for name in CERTIFICATES:
        for headers in ([(name, value)], [(name, value), (name, "machine")]):
            assert_refused(standing.http.post("/oauth/token", data=form, headers=headers), "invalid_client", 401)
    told = standing.http.get("/.well-known/openid-configuration").json()
    assert not {"tls_client_auth", "self_signed_tls_client_auth"} & set(told["token_endpoint_auth_methods_supported"])
    assert "tls_client_certificate_bound_access_tokens" not in told


def test_attack_d8_rfc9126_7_3_a_pushed_request_is_its_clients_once_and_for_a_minute(detent: Detent) -> None:
    name = reference(detent)
    with Browser(detent) as browser:
        assert asked(browser, name, "app").error == "invalid_request_uri", "of another client"
        page = asked(browser, name)
        for _ in range(2):
            assert page.path == "/login", "loaded again before it is answered"
            page = asked(browser, name)
        assert "code" in browser.allow(browser.log_in(page)).answer
        assert asked(browser, name).error == "invalid_request_uri", "answered"
        silent = reference(detent, prompt="none")
        assert "code" in asked(browser, silent).answer
        assert asked(browser, silent).error == "invalid_request_uri", "answered without a page"
        late = reference(detent)
        detent.clock.advance(PUSHED_LIFE)
        assert asked(browser, late).error == "invalid_request_uri", "expired"


def test_attack_d9_rfc9126_2_1_a_pushed_request_holds_no_reference(standing: Detent) -> None:
    for uri in (reference(standing), f"{URN}x", "https://app.example/request", "x"):
        assert_refused(push(standing, request_uri=uri), "invalid_request")
    signing = Signing(standing, kind="web")
    within = signing.object(request_uri=reference(standing))
    assert_refused(signing.post(PAR, client_id=signing.name, request=within), "invalid_request_object")


def test_attack_d9_what_was_pushed_is_in_no_url_and_no_cookie(standing: Detent) -> None:
    name = reference(standing, state="canary-state", nonce="canary-nonce", login_hint="canary-person")
    with Browser(standing) as browser:
        page = asked(browser, name)
        assert page.path == "/login"
        urls = [str(answer.url) + answer.headers.get("location", "") for answer in browser.passed]
        cookies = [value for answer in browser.passed for value in answer.headers.get_list("set-cookie")]
        assert cookies, "something was set"
        assert "canary" not in "".join(urls + cookies)


def test_attack_d10_rfc9101_10_an_object_is_signed_by_its_client_for_us_and_nothing_beside_it_is_added(
    standing: Detent,
) -> None:
    signing = Signing(standing, kind="web")
    now = standing.clock.now()
    unsigned = f"eyJhbGciOiJub25lIn0.{signing.object().split('.')[1]}."
    bad = [unsigned, *(signing.object(**change) for change in (
        {"aud": "https://other.example/"}, {"iss": "web"}, {"exp": now}, {"exp": now - 1}, {"nbf": now + 11},
        {"iat": now + 61}, {"exp": "soon"}, {"exp": True},
    ))]  # fmt: skip
    with Browser(standing) as browser:
        for request in bad:
            assert signing.ask(browser, request).answer["error"] == "invalid_request_object"
        good = signing.object({"typ": "oauth-authz-req+jwt"}, scope="openid read", state="signed", exp=now + 60)
        added = {"scope": "openid read write", "response_mode": "form_post", "max_age": "0", "state": "added"}
        answer = browser.sign_in(signing.name, request=good, **{**OUTSIDE, **added})
        assert answer["state"] == "signed"
        form = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": REDIRECT_URI}
        redeemed = signing.post("/oauth/token", **form, code_verifier=VERIFIER)
    assert set(redeemed.json()["scope"].split()) == {"openid", "read"}


DEMANDS: dict[str, dict[str, Any]] = {
    "push": {"require_pushed_authorization_requests": True},
    "sign": {"require_signed_request_object": True},
}


@pytest.mark.parametrize("demand", DEMANDS)
def test_attack_d12_rfc9126_6_a_client_that_must_use_one_door_finds_no_other(standing: Detent, demand: str) -> None:
    must = Signing(standing, kind="web", extra=DEMANDS[demand])
    with Browser(standing) as browser:
        doors = [
            browser.authorize(must.name),
            browser.authorize(must.name, "POST"),
            browser.authorize(must.name, prompt="none"),
        ]
        if demand == "push":
            doors.append(must.ask(browser, must.object()))
        for page in doors:
            assert page.answer["error"] == "invalid_request"
        if demand == "sign":
            assert_refused(must.post(PAR, **request_of(must.name)), "invalid_request")
        form = {"client_id": must.name, "request": must.object()}
        pushed = must.post(PAR, **form).json()["request_uri"]
        assert "code" in browser.sign_in(must.name, request_uri=pushed, **NOTHING)
