"""Request objects (RFC 9101, OpenID Connect Core §6): signed, and then the last word; or refused, and why."""

import asyncio
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OctKey

from detent.admin.registrations import ClientFields
from detent.core.encryption import ENCS, OWN_ALGS
from detent.core.errors import InvalidClientMetadata
from detent.testing.server import ServerThread
from detent.web.outbound import LOOPBACK, Outbound
from tests.asserting import Asserting
from tests.attacks.outcomes import assert_refused
from tests.browsing import Browser, Page, request_of
from tests.encrypting import key_of, to_server
from tests.mission.test_a_tokens import claims_of
from tests.published import Published, key, signed
from tests.serving import API, REDIRECT_URI, VERIFIER, Detent, running


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


@pytest.mark.quick
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


@pytest.mark.quick
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


@pytest.mark.quick
@pytest.mark.parametrize("why", REFUSED)
def test_rfc9101_6_2_an_object_that_cannot_be_is_refused(signing: Signing, why: str) -> None:
    change: dict[str, Any] = {name: signing.name if value == "NAME" else value for name, value in REFUSED[why].items()}
    with Browser(signing.detent) as browser:
        answer = signing.ask(browser, signing.object(None, **change)).answer
    assert answer["error"] == "invalid_request_object", answer


@pytest.mark.quick
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


def test_openid_6_1_the_claims_parameter_may_be_signed_as_an_object_or_as_text(signing: Signing) -> None:
    asked = {"id_token": {"email": {"essential": True}}, "userinfo": {"name": None}}
    for claims in (asked, json.dumps(asked)):
        with Browser(signing.detent) as browser:
            request = signing.object(scope="openid", claims=claims)
            code = browser.sign_in(signing.name, request=request, claims='{"id_token": {"name": null}}')["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
        tokens = signing.token(**form, code_verifier=VERIFIER).json()
        told = claims_of(tokens["id_token"])
        assert (told["email"], "name" in told) == ("test@example.com", False), "what is signed wins"
        bearer = {"authorization": f"Bearer {tokens['access_token']}"}
        assert signing.detent.http.get("/userinfo", headers=bearer).json().keys() == {"sub", "name"}
    with Browser(signing.detent) as browser:
        wrongs: list[Any] = ["[]", "{", {"id_token": []}, {"id_token": {"email": 1}}, 7, ["x"]]
        for wrong in wrongs:
            answer = signing.ask(browser, signing.object(claims=wrong)).answer
            assert answer["error"] in ("invalid_request", "invalid_request_object"), wrong


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


def by_secret(detent: Detent, **extra: Any) -> Signing:
    return Signing(detent, "HS256", "client_secret_jwt", "web", extra={"request_object_signing_alg": "HS256", **extra})


def test_openid_10_1_a_client_that_registered_hs256_signs_with_its_secret(standing: Detent, signing: Signing) -> None:
    secretly = by_secret(standing)
    with Browser(standing) as browser:
        request = secretly.object({"alg": "HS256"}, state="signed", claims={"id_token": {"email": None}})
        assert browser.sign_in(secretly.name, request=request, **OUTSIDE)["state"] == "signed"
        other = signed(OctKey.import_key("another secret of thirty-two characters"), {}, alg="HS256")
        by_key = signed(signing.key, {"aud": standing.issuer, **request_of(secretly.name)})
        for bad in (other, by_key):
            assert secretly.ask(browser, bad).answer["error"] == "invalid_request_object"
        public = signing.key.as_pem(private=False)
        as_secret = hs256(public, request_of(signing.name))
        assert signing.ask(browser, as_secret).answer["error"] == "invalid_request_object", "RFC 8725 §2.1"


def hs256(secret: str | bytes, claims: dict[str, Any]) -> str:
    """By hand, for the library refuses a public key as a secret."""
    head, body = (urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in ({"alg": "HS256"}, claims))
    key = secret.encode() if isinstance(secret, str) else secret
    signature = urlsafe_b64encode(hmac.digest(key, head + b"." + body, "sha256")).rstrip(b"=")
    return b".".join((head, body, signature)).decode()


def test_a_secret_that_signs_requests_is_sealed_when_it_is_made_and_no_shown_one_is(standing: Detent) -> None:
    registrations, plain = standing.house.registrations, ClientFields(redirect_uris=(REDIRECT_URI,))
    by_hmac = ClientFields(redirect_uris=(REDIRECT_URI,), metadata={"request_object_signing_alg": "HS256"})
    with Browser(standing) as browser:

        def error(name: str, secret: str | None) -> str | None:
            claims = {"aud": standing.issuer, **request_of(name), "scope": "openid"}
            page = browser.authorize(name, request=hs256(secret or "", claims))
            return page.answer["error"] if page.path != "/login" else None

        new, secret = standing.thread.call(registrations.add_client("web", by_hmac))
        assert error(new.client_id, secret) is None
        shown, secret = standing.thread.call(registrations.add_client("web", plain))
        standing.thread.call(registrations.update_client(shown.client_id, by_hmac))
        assert error(shown.client_id, secret) == "invalid_request_object"
        _, secret = standing.thread.call(registrations.rotate_secret(shown.client_id))
        assert error(shown.client_id, secret) is None


@pytest.mark.parametrize(
    ("kind", "metadata"),
    [
        ("native", {"request_object_signing_alg": "HS256"}),
        ("web", {"request_object_signing_alg": "none"}),
        ("web", {"request_object_encryption_alg": "RSA1_5"}),
        ("web", {"request_object_encryption_alg": "dir"}),
        ("web", {"request_object_encryption_enc": "A128GCM"}),
    ],
)
def test_rfc7591_2_what_cannot_open_a_request_object_cannot_be_registered(
    standing: Detent, kind: Any, metadata: Any
) -> None:
    fields = ClientFields(redirect_uris=(REDIRECT_URI,), metadata=metadata)
    with pytest.raises(InvalidClientMetadata):
        standing.thread.call(standing.house.registrations.add_client(kind, fields))


def encrypts(signing: Signing, alg: str, enc: str | None = None) -> Signing:
    """Registered: so the key is published before anybody needs it."""
    metadata = {"request_object_encryption_alg": alg, "request_object_encryption_enc": enc}
    registrations = signing.detent.house.registrations
    signing.detent.thread.call(registrations.update_client(signing.name, ClientFields(metadata=metadata)))
    return signing


@pytest.mark.parametrize("alg", OWN_ALGS)
@pytest.mark.parametrize("enc", ENCS)
def test_rfc9101_6_1_an_encrypted_object_is_opened_with_the_published_key(standing: Detent, alg: str, enc: str) -> None:
    signing = encrypts(Signing(standing, kind="web"), alg, enc)
    with Browser(standing) as browser:
        request = to_server(standing, signing.object(state="hidden"), alg, enc)
        assert browser.sign_in(signing.name, request=request, **OUTSIDE)["state"] == "hidden"
        nameless = to_server(standing, signing.object(state="x"), alg, enc, kid=None, cty=None, typ="jwt")
        assert browser.sign_in(signing.name, request=nameless, **OUTSIDE)["state"] == "x"
        assert browser.sign_in(signing.name, request=signing.object(state="open"), **OUTSIDE)["state"] == "open"


def test_rfc9101_6_1_what_is_encrypted_otherwise_or_not_signed_is_refused(standing: Detent) -> None:
    signing = encrypts(Signing(standing, kind="web"), "ECDH-ES")
    unregistered = Signing(standing, kind="web")
    enc = "A128CBC-HS256"
    good = to_server(standing, signing.object(), "ECDH-ES", enc)
    parts = good.split(".")
    bad = [
        to_server(standing, signing.object(), "ECDH-ES", "A256GCM"),
        to_server(standing, json.dumps(request_of(signing.name)), "ECDH-ES", enc),
        to_server(standing, good, "ECDH-ES", enc),
        to_server(standing, signing.object(), "ECDH-ES", enc, kid="another"),
        to_server(standing, signing.object(), "ECDH-ES", enc, zip="DEF"),
        ".".join((*parts[:3], parts[3][:-4] + "AAAA", parts[4])),
        ".".join((*parts[:4], "")),
        "....",
        "e30....",
        "x.x.x.x.x",
        "ä.ö.ü.x.x",
        ".".join((*parts[:3], "A" * 20_000, parts[4])),
    ]
    with Browser(standing) as browser:
        for each in bad:
            page = browser.authorize(signing.name, "POST", request=each)
            assert page.answer["error"] == "invalid_request_object", each[:100]
        theirs = to_server(standing, unregistered.object(), "ECDH-ES", enc)
        assert unregistered.ask(browser, theirs).answer["error"] == "invalid_request_object"
        assert browser.sign_in(signing.name, request=good, **OUTSIDE)["state"]


def test_a_rotated_key_still_opens_what_was_encrypted_to_it(tmp_path: Path) -> None:
    with running(tmp_path, tmp_path / "keys", "memory") as served, Browser(served) as browser:
        assert {key["use"] for key in served.http.get("/.well-known/jwks.json").json()["keys"]} == {"sig"}
        signing = encrypts(Signing(served, kind="web"), "ECDH-ES", "A128GCM")
        before = key_of(served, "ECDH-ES")["kid"]
        request = to_server(served, signing.object(state="old"), "ECDH-ES", "A128GCM")
        keys: Any = served.house.outside.keys
        asyncio.run(keys.rotate("ECDH-ES"))
        served.clock.advance(2 * 3600)
        assert key_of(served, "ECDH-ES")["kid"] != before
        assert browser.sign_in(signing.name, request=request, **OUTSIDE)["state"] == "old"
        asyncio.run(keys.rotate("ECDH-ES", at_once=True))
        served.clock.advance(1)
        assert signing.ask(browser, request).answer["error"] == "invalid_request_object"


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
