"""Attacks on the authorization request (rows R1-R18), over HTTP. PAGE is an error page here, never a redirect.

R8, R9 and R19 are in test_r_errands.py.
"""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from msgspec.structs import replace

from detent.core.changes import InsertClient, ReplaceClient
from detent.core.client import check_redirect_uri, checked_client
from detent.core.errors import InvalidClientMetadata
from tests.attacks.outcomes import ongoing
from tests.browsing import STATE, Browser, Page, request_of
from tests.mission.test_a_tokens import claims_of
from tests.published import key, signed
from tests.serving import ORIGIN, REDIRECT_URI, RETURN_URI, Detent, client

detent = ongoing
WEB_URI = "https://app.example/cb"


@pytest.fixture(scope="module", autouse=True)
def _more_clients(standing: Detent) -> None:
    keys: Any = standing.house.outside.keys
    two = (WEB_URI, "https://app.example/cb2")
    standing.apply(
        InsertClient(client("two", "web", keys, redirect_uris=two)),
        InsertClient(client("none", "web", keys, redirect_uris=())),
        InsertClient(client("query", "web", keys, redirect_uris=("https://app.example/cb?code=1&state=2&x=%20y",))),
        InsertClient(
            client("phone", "native", keys, redirect_uris=("http://127.0.0.1/cb", "com.example.phone:/cb", WEB_URI))
        ),
        InsertClient(client("nopkce", "web", keys, require_pkce=False)),
    )


def assert_page(page: Page, error: str = "invalid_request", status: int = 400) -> None:
    assert (page.status, page.error) == (status, error), page.text[:500]
    assert len(page.support_id) == 12
    assert "location" not in page.response.headers
    assert "refresh" not in page.response.headers
    assert "text/html" in page.response.headers["content-type"]


def assert_told(detent: Detent, page: Page, error: str) -> None:
    """→cb: the verified redirect URI, with `state` and `iss`."""
    assert page.status == 303, page.text[:500]
    assert page.location.startswith(f"{REDIRECT_URI}?")
    answer = page.answer
    assert answer.keys() == {"error", "error_description", "state", "iss"}
    assert (answer["error"], answer["state"], answer["iss"]) == (error, STATE, detent.issuer)


@pytest.mark.quick
@pytest.mark.parametrize(
    "change",
    [
        {"client": "two", "redirect_uri": REDIRECT_URI},
        {"client": "two", "redirect_uri": None, "scope": "read"},
        {"client": "none", "redirect_uri": WEB_URI},
        {"client": "none", "redirect_uri": None, "scope": "read"},
        {"client": "spa", "redirect_uri": None},
        {"client": "nobody"},
        {"client": ""},
    ],
)
def test_attack_r1_rfc6749_4_1_2_1_what_is_not_registered_gets_a_page(detent: Detent, change: dict[str, Any]) -> None:
    with Browser(detent) as browser:
        assert_page(browser.authorize(**change))


LOOK_ALIKES = [
    "https://app.example.evil.example/cb", "https://evilapp.example/cb", "https://APP.example/cb",
    "https://app.example./cb", "https://app.example/CB", "https://app.example/cb/", "https://app.example/./cb",
    "https://app.example/x/../cb", "https://app.example/%63b", "https://app.example/cb%2f",
    "https://app.example/cb%252f", "https://app.example\\@evil.example/cb", "https://app.example/cb\t",
    "https://app.example/cb\n", "https://app.example/\ncb", " https://app.example/cb", "https://app.example/cb ",
    "https://user@app.example/cb", "https://app.example@evil.example/cb", "https://app.example:443/cb",
    "https://app.example:8443/cb", "https://xn--pp-fka.example/cb", "https://аpp.example/cb",
    "https://app.example/cb?added=1", "https://app.example/cb#fragment", "https://app.example/cb?",
    "http://app.example/cb", "//app.example/cb", "/cb", "https:app.example/cb", "https:///app.example/cb",
]  # fmt: skip


@pytest.mark.quick
@pytest.mark.parametrize("uri", LOOK_ALIKES)
def test_attack_r2_rfc9700_4_1_3_no_look_alike_is_the_registered_uri(detent: Detent, uri: str) -> None:
    with Browser(detent) as browser:
        assert_page(browser.authorize("two", redirect_uri=uri))


@pytest.mark.quick
@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost.evil.example/cb", "http://127.0.0.1.evil.example/cb", "http://evil@127.0.0.1/cb",
        "http://127.0.0.1:80@evil.example/cb", "http://[::ffff:127.0.0.1]/cb", "http://127.1/cb",
        "http://0x7f000001/cb", "http://2130706433/cb", "http://127.0.0.1:99999x/cb", "http://127.0.0.1/other",
        "https://127.0.0.1:5/cb", "http://localhost:5/cb", "com.example.phone:/cb2", "https://app.example:444/cb",
    ],
)  # fmt: skip
def test_attack_r3_rfc8252_7_3_the_loopback_exception_frees_the_port_and_nothing_else(detent: Detent, uri: str) -> None:
    with Browser(detent) as browser:
        assert_page(browser.authorize("phone", redirect_uri=uri))


@pytest.mark.quick
def test_attack_r3_only_native_clients_may_vary_the_port(detent: Detent) -> None:
    with Browser(detent) as browser:
        assert browser.authorize("phone", redirect_uri="http://127.0.0.1:54321/cb").path == "/login"
        assert_page(browser.authorize("web", redirect_uri="http://127.0.0.1:7778/callback"))
        assert_page(browser.authorize("spa", redirect_uri="http://127.0.0.1:7778/callback"))


@pytest.mark.quick
@pytest.mark.parametrize(
    "uri",
    [
        "https://*.example/cb", "https://app.example/*", "javascript:alert(1)", "data:text/html,x", "vbscript:x",
        "file:///etc/passwd", "http://app.example/cb", "", "/cb", "https://app.example/cb#x", "app.example/cb",
        "JAVASCRIPT:alert(1)", "java\nscript:alert(1)", "https://app.example/c b",
    ],
)  # fmt: skip
def test_attack_r4_r5_what_is_no_exact_safe_uri_cannot_be_registered_and_not_be_asked_for(
    detent: Detent, uri: str
) -> None:
    with pytest.raises(InvalidClientMetadata):
        check_redirect_uri(uri, "web")
    with Browser(detent) as browser:
        assert_page(browser.authorize("two", redirect_uri=uri))


def test_attack_r4_a_dot_in_a_registered_uri_is_a_dot(detent: Detent) -> None:
    with Browser(detent) as browser:
        assert_page(browser.authorize("two", redirect_uri="https://appXexample/cb"))


@pytest.mark.quick
@pytest.mark.parametrize(
    "bad",
    [{"scope": "\x01"}, {"response_type": "token"}, {"request": "x"}, {"prompt": "none login"}, {"max_age": "-1"}],
)
def test_attack_r6_an_error_before_the_redirect_uri_is_proved_never_redirects(
    detent: Detent, bad: dict[str, str]
) -> None:
    with Browser(detent) as browser:
        assert_page(browser.authorize("two", redirect_uri="https://evil.example/", **bad))
        assert_page(browser.authorize("nobody", **bad))


@pytest.mark.parametrize("evil", ["https://evil.example/", "//evil.example", "/\\evil.example", "https:evil.example"])
@pytest.mark.parametrize("where", ["/login", "/logout", "/account", "/consent", "/signed-out"])
def test_attack_r7_rfc9700_4_11_no_parameter_leads_a_page_away(detent: Detent, where: str, evil: str) -> None:
    names = (
        "next",
        "back",
        "return_to",
        "returnTo",
        "redirect",
        "redirect_uri",
        "url",
        "continue",
        "post_logout_redirect_uri",
    )
    with Browser(detent) as browser:
        browser.sign_in()
        page = browser.open(where, params=dict.fromkeys(names, evil))
        assert page.url.startswith(detent.issuer)
        assert "location" not in page.response.headers
        assert "evil.example" not in page.text


@pytest.mark.parametrize("evil", ["https://evil.example/", f"{RETURN_URI}/", f"{RETURN_URI}?x=1", "//evil.example"])
@pytest.mark.parametrize(("path", "name"), [("/oidc/logout", "post_logout_redirect_uri"), ("/v2/logout", "returnTo")])
@pytest.mark.parametrize("signed_in", [True, False])
def test_attack_r7_only_registered_urls_are_returned_to_after_signing_out(
    detent: Detent, path: str, name: str, evil: str, signed_in: bool
) -> None:
    with Browser(detent) as browser:
        if signed_in:
            browser.sign_in()
        assert_page(browser.open(path, params={"client_id": "spa", name: evil}))
        assert_page(browser.open(path, params={name: evil}))
        assert ("code" in browser.authorize(prompt="none").answer) is signed_in


EVERY = [
    "client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge",
    "code_challenge_method", "prompt", "max_age", "response_mode", "login_hint", "id_token_hint", "display",
]  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
def test_attack_r10_rfc6749_3_1_a_parameter_that_comes_twice_is_refused(detent: Detent, name: str) -> None:
    given = request_of()
    pairs = [*given.items(), (name, given.get(name, "1")), (name, given.get(name, "1"))]
    with Browser(detent) as browser:
        assert_page(Page(browser.http.get("/authorize", params=pairs)))
        both = browser.http.post("/authorize", params={name: given.get(name, "1")}, data={name: "1"} | given)
        assert_page(Page(both))


def test_attack_r11_a_registered_query_never_makes_two_values_of_ours(detent: Detent) -> None:
    uri = "https://app.example/cb?code=1&state=2&x=%20y"
    with Browser(detent) as browser:
        page = browser.authorize("query", redirect_uri=uri)
        page = browser.allow(browser.log_in(page))
        pairs = parse_qsl(urlsplit(page.location).query)
    assert sorted(name for name, _ in pairs) == ["code", "iss", "state", "x"]
    assert dict(pairs)["code"].startswith("dtac_")
    assert dict(pairs)["x"] == " y"


@pytest.mark.quick
def test_attack_r12_rfc9207_2_iss_is_in_success_and_error_and_equals_the_metadata(detent: Detent) -> None:
    issuer = detent.http.get("/.well-known/openid-configuration").json()["issuer"]
    with Browser(detent) as browser:
        assert browser.authorize(prompt="none").answer["iss"] == issuer
        assert browser.sign_in()["iss"] == issuer


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"prompt": "none"}, "login_required"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "none consent"}, "invalid_request"),
        ({"prompt": "sideways"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "100000000000000000000"}, "invalid_request"),
        ({"max_age": "1.5"}, "invalid_request"),
        ({"max_age": "٣"}, "invalid_request"),
        ({"id_token_hint": "no.id.token"}, "invalid_request"),
        ({"scope": "openid fly"}, "invalid_scope"),
        ({"scope": "openid \x01"}, "invalid_scope"),
        ({"resource": "https://nowhere.example/"}, "invalid_target"),
        ({"request": "e30.e30."}, "invalid_request_object"),
        ({"request_uri": "https://evil.example/"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "query.jwt"}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge_method": "plain\nS256"}, "invalid_request"),
        ({"code_challenge": "x" * 42}, "invalid_request"),
        ({"code_challenge": "x" * 44}, "invalid_request"),
        ({"code_challenge": "x" * 42 + "="}, "invalid_request"),
        ({"code_challenge": "x" * 42 + "\n"}, "invalid_request"),
        ({"code_challenge": "x" * 42 + "é"}, "invalid_request"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_attack_r13_c5_c8_what_is_wrong_is_told_to_the_client(
    detent: Detent, change: dict[str, Any], error: str, method: str
) -> None:
    with Browser(detent) as browser:
        assert_told(detent, browser.authorize("spa", method, **change), error)


def test_attack_r13_a_foreign_id_token_hint_signs_nobody_in_as_somebody_else(detent: Detent) -> None:
    with Browser(detent) as ada, Browser(detent) as browser:
        hers = ada.tokens(username="ada")["id_token"]
        browser.sign_in()
        assert_told(detent, browser.authorize(prompt="none", id_token_hint=hers), "login_required")
        assert browser.authorize(id_token_hint=hers).path == "/login"
        own = browser.tokens()["id_token"]
        assert "code" in browser.authorize(prompt="none", id_token_hint=own).answer


def test_attack_r13_an_access_token_is_no_hint(detent: Detent) -> None:
    with Browser(detent) as browser:
        token = browser.tokens()["access_token"]
        assert_told(detent, browser.authorize(id_token_hint=token), "invalid_request")


def test_attack_r13_a_hint_may_have_expired_but_must_be_whole_and_ours(detent: Detent) -> None:
    with Browser(detent) as browser:
        own = browser.tokens()["id_token"]
        head, body, signature = own.split(".")
        claims = claims_of(own)
        forged = {
            "another signature": f"{head}.{body}.{signature[:-8]}{'A' * 8}",
            "no signature": f"eyJhbGciOiJub25lIn0.{body}.",
            "another's key": signed(key("theirs", "RS256"), claims),
            "a public key as secret": f"eyJhbGciOiJIUzI1NiJ9.{body}.{signature}",
            "another body": f"{head}.{body[:-4]}AAAA.{signature}",
            "nothing": "..",
        }
        for why, hint in forged.items():
            answer = browser.authorize(prompt="none", id_token_hint=hint).answer
            assert (answer["error"], "code" in answer) == ("invalid_request", False), why
        detent.clock.advance(claims["exp"] - claims["iat"] + 1)
        assert "code" in browser.authorize(prompt="none", id_token_hint=own).answer


def test_attack_r13_max_age_0_asks_again_and_its_auth_time_is_new(detent: Detent) -> None:
    with Browser(detent) as browser:
        browser.sign_in()
        detent.clock.advance(100)
        page = browser.authorize(max_age="0")
        assert page.path == "/login"
        code = browser.allow(browser.log_in(page)).answer["code"]
        pending = detent.redeem("spa", code).json()
        assert "id_token" in pending
        assert "code" in browser.authorize(max_age="50", prompt="none").answer
        detent.clock.advance(51)
        assert_told(detent, browser.authorize(max_age="50", prompt="none"), "login_required")


@pytest.mark.parametrize("name", ["state", "nonce"])
@pytest.mark.parametrize(
    "value", ["é😀" * 100, "a\r\nset-cookie: x=y", "<script>alert(1)</script>", "x" * 4096, "%00&#"]
)
def test_attack_r17_state_and_nonce_come_back_unchanged(detent: Detent, name: str, value: str) -> None:
    with Browser(detent) as browser:
        page = browser.authorize(**{name: value})
        assert page.path == "/login", page.text[:300]
        answer = browser.allow(browser.log_in(page)).answer
        assert answer["state"] == (value if name == "state" else STATE)


@pytest.mark.parametrize("name", ["state", "nonce"])
def test_attack_r17_what_is_too_long_is_refused(detent: Detent, name: str) -> None:
    with Browser(detent) as browser:
        page = browser.authorize("spa", "POST", **{name: "x" * 4097})
        if name == "state":
            assert_page(page)
        else:
            assert_told(detent, page, "invalid_request")


def test_attack_r17_unknown_parameters_are_ignored(detent: Detent) -> None:
    with Browser(detent) as browser:
        page = browser.authorize(auth0Client="eyJ9", screen_hint="signup", ui_locales="de", acr_values="x", foo="bar")
        assert page.path == "/login"


@pytest.mark.parametrize(
    "change",
    [
        {"client": "web", "response_mode": "web_message"},
        {"client": "phone", "response_mode": "web_message", "redirect_uri": WEB_URI},
    ],
)
def test_attack_r18_no_web_message_to_an_origin_that_is_not_registered(detent: Detent, change: dict[str, Any]) -> None:
    with Browser(detent) as browser:
        assert_page(browser.authorize(**change))
        assert_page(browser.authorize(prompt="none", **change))


def test_attack_r18_form_post_and_web_message_escape_what_they_carry(detent: Detent) -> None:
    hostile = "\"'><script>alert(1)</script></textarea>{{7*7}}</script>\u2028"
    with Browser(detent) as browser:
        browser.sign_in()
        for mode in ("form_post", "web_message"):
            page = browser.authorize(response_mode=mode, state=hostile)
            assert page.status == 200
            assert "<script>alert" not in page.text
            assert "{{7*7}}" in page.text or "{{7*7}}" in page.forms[0]["fields"].get("state", "")
        posted = browser.authorize(response_mode="form_post", state=hostile)
        assert posted.forms[0]["action"] == REDIRECT_URI
        assert posted.forms[0]["fields"]["state"] == hostile
        assert posted.forms[0]["fields"]["iss"] == detent.issuer


@pytest.mark.quick
def test_attack_c5_only_a_confidential_client_with_its_own_switch_and_a_nonce_does_without_pkce(detent: Detent) -> None:
    without: dict[str, Any] = {"code_challenge": None, "code_challenge_method": None}
    with Browser(detent) as browser:
        for kind in ("spa", "app", "web"):
            assert_told(detent, browser.authorize(kind, **without), "invalid_request")
        assert_told(detent, browser.authorize("nopkce", nonce=None, **without), "invalid_request")
        assert_told(detent, browser.authorize("nopkce", scope="read", **without), "invalid_request")
        page = browser.authorize("nopkce", **without)
        code = browser.allow(browser.log_in(page)).answer["code"]
    downgraded = detent.redeem_as("nopkce", code)
    assert downgraded.json()["error"] == "invalid_grant", "attack C7: a verifier without a challenge"
    assert detent.redeem_as("nopkce", code, code_verifier=None).status_code == 200


@pytest.mark.quick
def test_attack_c5_a_public_client_cannot_be_exempted(detent: Detent) -> None:
    keys: Any = detent.house.outside.keys
    public = client("x", "browser", keys, require_pkce=False)
    with pytest.raises(InvalidClientMetadata):
        checked_client(public, frozenset({"authorization_code", "refresh_token"}))


@pytest.mark.quick
def test_attack_c13_a_stolen_code_cannot_be_injected_into_another_sign_in(detent: Detent) -> None:
    """The challenge is the thief's own, so the victim's code does not fit it."""
    with Browser(detent) as victim:
        code = victim.sign_in(code_challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")["code"]
    assert detent.redeem("spa", code).json()["error"] == "invalid_grant"


def test_a_client_disabled_while_its_person_signs_in_gets_nothing(detent: Detent) -> None:
    with Browser(detent) as browser:
        page = browser.authorize("cli")
        found = detent.thread.call(detent.store.client("cli"))
        detent.apply(ReplaceClient(replace(found, enabled=False, version=found.version + 1)))
        try:
            assert_page(browser.log_in(page))
            assert_page(browser.authorize("cli"))
        finally:
            detent.apply(ReplaceClient(replace(found, version=found.version + 2)))


def test_attack_k9_authorize_has_no_cors(detent: Detent) -> None:
    for method in ("GET", "OPTIONS"):
        answer = detent.http.request(
            method, "/authorize", headers={"origin": ORIGIN, "access-control-request-method": "GET"}
        )
        assert not [name for name in answer.headers if name.startswith("access-control")]
