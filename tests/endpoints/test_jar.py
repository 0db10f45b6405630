"""Request objects (RFC 9101, OpenID Connect Core §6): signed, and then the last word; or refused, and why."""

from collections.abc import Iterator
from typing import Any

import pytest

from detent.testing.server import ServerThread
from detent.web.outbound import LOOPBACK, Outbound
from tests.asserting import Asserting
from tests.attacks.outcomes import assert_refused
from tests.browsing import Browser, Page, request_of
from tests.published import Published, key, signed
from tests.serving import API, Detent, running


class Signing(Asserting):
    def object(self, header: dict[str, Any] | None = None, **change: Any) -> str:
        claims = {"iss": self.name, "aud": self.detent.issuer, **request_of(self.name), **change}
        present = {name: value for name, value in claims.items() if value is not None}
        return signed(self.key, present, **(header or {}))

    def ask(self, browser: Browser, request: str, **outside: Any) -> Page:
        return browser.authorize(self.name, request=request, **outside)


@pytest.fixture(scope="module")
def signing(standing: Detent) -> Signing:
    return Signing(standing, kind="web")


OUTSIDE: dict[str, Any] = {name: None for name in request_of() if name not in ("client_id",)}


def test_rfc9101_5_what_is_signed_is_the_request(signing: Signing) -> None:
    with Browser(signing.detent) as browser:
        answer = browser.sign_in(signing.name, request=signing.object(state="signed"), **OUTSIDE)
    assert answer["state"] == "signed"


def test_openid_6_1_what_is_signed_wins_over_the_query(signing: Signing) -> None:
    with Browser(signing.detent) as browser:
        request = signing.object(state="signed", scope="openid read", nonce=None, max_age=600)
        answer = browser.sign_in(signing.name, request=request, state="query", scope="openid read write")
        assert answer["state"] == "signed"


@pytest.mark.parametrize("header", [{"typ": "oauth-authz-req+jwt"}, {"typ": "application/OAuth-Authz-Req+JWT"}])
def test_rfc9101_6_3_of_an_object_by_its_type_nothing_beside_it_counts(signing: Signing, header: Any) -> None:
    with Browser(signing.detent) as browser:
        answer = browser.sign_in(signing.name, request=signing.object(header, state=None), state="query")
        assert "state" not in answer


def test_rfc9101_10_5_a_client_that_must_sign_may_ask_in_no_other_way(standing: Detent) -> None:
    must = Signing(standing, kind="web", extra={"require_signed_request_object": True})
    with Browser(standing) as browser:
        answer = browser.authorize(must.name).answer
        assert (answer["error"], "sign" in answer["error_description"]) == ("invalid_request", True)
        given = browser.sign_in(must.name, request=must.object(state=None), state="query")
        assert "state" not in given, "the query counts for nothing"
        assert_refused(must.post("/oauth/par", **request_of(must.name)), "invalid_request")
        pushed = must.post("/oauth/par", client_id=must.name, request=must.object(state="pushed"))
        assert pushed.status_code == 201, pushed.text
        name = pushed.json()["request_uri"]
        assert browser.sign_in(must.name, request_uri=name, **OUTSIDE)["state"] == "pushed"


REFUSED: dict[str, dict[str, Any]] = {
    "another client_id": {"client_id": "web"},
    "no client_id": {"client_id": None},
    "another iss": {"iss": "web"},
    "for somebody else": {"aud": "https://other.example/"},
    "an assertion": {"sub": "NAME"},
    "expired": {"exp": 1},
    "not valid yet": {"nbf": 2_000_000_000},
    "within another": {"request": "x"},
    "a reference within": {"request_uri": "https://app.example/"},
    "another response_type": {"response_type": "token"},
    "a number": {"scope": 7},
    "a list": {"state": ["x"]},
    "a list of lists": {"resource": [["x"]]},
}


@pytest.mark.parametrize("why", REFUSED)
def test_rfc9101_6_2_an_object_that_cannot_be_is_refused(signing: Signing, why: str) -> None:
    change: dict[str, Any] = {name: signing.name if value == "NAME" else value for name, value in REFUSED[why].items()}
    with Browser(signing.detent) as browser:
        answer = signing.ask(browser, signing.object(None, **change)).answer
    assert answer["error"] == "invalid_request_object", answer


def test_rfc8725_3_1_only_the_clients_own_key_signs(standing: Detent, signing: Signing) -> None:
    other = key("mine")
    claims = {"iss": signing.name, "aud": standing.issuer, **request_of(signing.name)}
    body = signing.object().split(".")[1]
    as_ours = f"eyJhbGciOiJub25lIn0.{body}."
    with Browser(standing) as browser:
        for bad in (signed(other, claims), as_ours, "x", "a.b.c", signing.object({"typ": "dpop+jwt"}), "ä" * 100):
            assert signing.ask(browser, bad).answer["error"] == "invalid_request_object"
        keyless = browser.authorize("web", request=signing.object()).answer
        assert keyless["error"] == "invalid_request_object"


def test_rfc7591_2_a_client_that_registered_an_alg_is_kept_to_it(standing: Detent) -> None:
    only = Signing(standing, kind="web", extra={"request_object_signing_alg": "PS256"})
    with Browser(standing) as browser:
        assert only.ask(browser, only.object()).answer["error"] == "invalid_request_object"


def test_attack_r6_an_object_leads_nowhere_that_is_not_registered(signing: Signing) -> None:
    with Browser(signing.detent) as browser:
        evil = signing.object(redirect_uri="https://evil.example/")
        assert signing.ask(browser, evil).status == 400, "a page: what counts is what is signed"
        assert signing.ask(browser, "x", redirect_uri="https://evil.example/").status == 400
        assert signing.ask(browser, "x", redirect_uri=None).status == 400
        assert browser.authorize(signing.name, request="x", request_uri="https://x.example/").answer["error"]


def test_rfc8707_2_resources_are_signed_too(signing: Signing) -> None:
    with Browser(signing.detent) as browser:
        answer = browser.sign_in(signing.name, request=signing.object(resource=[API], scope="read"))
        assert "code" in answer
        bad = signing.object(resource=["https://nowhere.example/"])
        assert signing.ask(browser, bad).answer["error"] == "invalid_target"


@pytest.fixture(scope="module")
def by_reference(tmp_path_factory: pytest.TempPathFactory, keys_folder: Any) -> Iterator[tuple[Signing, Published]]:
    document = Published()
    folder = tmp_path_factory.mktemp("referenced")
    with (
        ServerThread() as thread,
        running(folder, keys_folder, "memory", outbound=Outbound(LOOPBACK), request_uri=True) as served,
    ):
        thread.serve(document, document.at)
        yield Signing(served, kind="web", extra={"request_uris": [document.url, "https://10.0.0.1/x"]}), document


def test_openid_6_2_a_registered_reference_is_fetched(by_reference: tuple[Signing, Published]) -> None:
    signing, document = by_reference
    document.body = signing.object(state="fetched").encode()
    with Browser(signing.detent) as browser:
        assert browser.sign_in(signing.name, request_uri=document.url)["state"] == "fetched"
        published = signing.detent.http.get("/.well-known/openid-configuration").json()
    assert published["request_uri_parameter_supported"] is published["require_request_uri_registration"] is True


def test_attack_s1_no_other_reference_is_fetched(by_reference: tuple[Signing, Published]) -> None:
    signing, document = by_reference
    before = document.asked
    with Browser(signing.detent) as browser:
        for uri in (f"{document.url}?more", f"{document.at.url}other", "http://169.254.169.254/", "https://10.0.0.1/x"):
            answer = browser.authorize(signing.name, request_uri=uri).answer
            assert answer["error"] == "invalid_request_uri"
        for body in (b"", b"<html>", bytes(100_000)):
            document.body = body
            assert browser.authorize(signing.name, request_uri=document.url).answer["error"].startswith("invalid_req")
    assert document.asked == before + 3


def test_openid_6_2_a_reference_is_not_supported_unless_it_is_switched_on(standing: Detent) -> None:
    with Browser(standing) as browser:
        answer = browser.authorize("spa", request_uri="https://app.example/request").answer
    assert answer["error"] == "request_uri_not_supported"
