"""A client_id that is an https URL, where the app says who it is (Client ID Metadata Documents): what is believed."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from detent.admin.registrations import ClientFields
from detent.features.client_id_metadata import AT_ONE_NETWORK, url_fault
from detent.testing.server import Loopback, ServerThread
from detent.web.outbound import LOOPBACK, Outbound
from tests.browsing import Browser, Page
from tests.published import Published, jwks, key
from tests.serving import API, REDIRECT_URI, Detent, running


class Vouched:
    """A house that believes documents, and somebody who publishes one."""

    def __init__(self, detent: Detent, document: Published) -> None:
        self.detent = detent
        self.document = document
        self.client_id = document.url
        self.body: dict[str, Any] = {
            "client_id": self.client_id,
            "client_name": "A tool",
            "redirect_uris": [REDIRECT_URI, "http://localhost/callback"],
        }
        document.body = self.body

    def publish(self, **change: Any) -> None:
        body = {**self.body, **change}
        self.document.body = {name: value for name, value in body.items() if value is not None}

    def ask(self, browser: Browser, **change: Any) -> Page:
        return browser.authorize(self.client_id, scope="openid read", resource=API, **change)

    def stored(self) -> Any:
        return self.detent.thread.call(self.detent.store.client(self.client_id))


@pytest.fixture
def vouched(tmp_path: Path, keys_folder: Path) -> Iterator[Vouched]:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "pem"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    document = Published(at=Loopback(certificate=tmp_path / "pem"))
    with (
        ServerThread() as thread,
        running(
            tmp_path,
            keys_folder,
            outbound=Outbound(LOOPBACK, trust=trusting),
            client_id_metadata_documents=True,
            registration_scopes=("read",),
        ) as served,
    ):
        thread.serve(document, document.at)
        yield Vouched(served, document)


def test_an_app_that_nobody_registered_signs_people_in_and_refreshes(vouched: Vouched) -> None:
    detent = vouched.detent
    with Browser(detent) as browser:
        tokens = browser.tokens(vouched.client_id, scope="openid read offline_access", resource=API)
    renewed = detent.refreshed(vouched.client_id, tokens["refresh_token"])
    assert renewed["access_token"]
    assert vouched.document.asked == 1, "a refresh fetches nothing"
    stored = vouched.stored()
    assert (stored.kind, stored.registered_by, stored.first_party, stored.secrets) == ("native", "document", False, ())
    assert detent.http.get("/.well-known/openid-configuration").json()["client_id_metadata_document_supported"] is True


def test_attack_m5_the_consent_page_says_whose_word_the_name_is_and_where_the_answer_goes(vouched: Vouched) -> None:
    vouched.publish(client_name="Your Bank \u202egnp.exe")
    with Browser(vouched.detent) as browser:
        page = browser.log_in(vouched.ask(browser))
        told = page.texts["stranger"]
        assert str(urlsplit(vouched.client_id).hostname) in told
        assert "on this device" in told
        assert "\u202e" not in page.text
        ours = browser.authorize("spa", prompt="consent")
        assert "stranger" not in ours.texts


def test_rfc8252_7_3_a_loopback_uri_may_have_any_port(vouched: Vouched) -> None:
    with Browser(vouched.detent) as browser:
        page = vouched.ask(browser, redirect_uri="http://localhost:51234/callback")
        assert page.path == "/login", page.texts


def test_a_document_is_believed_as_long_as_it_says_within_bounds(vouched: Vouched) -> None:
    clock = vouched.detent.clock
    vouched.document.headers["cache-control"] = "no-store, max-age=0"
    with Browser(vouched.detent) as browser:
        vouched.ask(browser)
        clock.advance(59)
        vouched.ask(browser)
        assert vouched.document.asked == 1, "at most once a minute"
        clock.advance(1)
        vouched.publish(redirect_uris=["https://app.example/only"], application_type="native")
        vouched.document.headers["cache-control"] = "max-age=31536000"
        assert vouched.ask(browser).error == "invalid_request", "what was taken out of the document is no longer good"
        clock.advance(86_399)
        vouched.ask(browser)
        assert vouched.document.asked == 2
        clock.advance(1)
        vouched.ask(browser)
        assert vouched.document.asked == 3, "and a day is the longest"


BAD: dict[str, dict[str, Any]] = {
    "another address": {"client_id": "https://other.example/x"},
    "none": {"client_id": None},
    "a secret": {"client_secret": "x"},
    "the end of a secret": {"client_secret_expires_at": 0},
    "a method with a secret": {"token_endpoint_auth_method": "client_secret_basic"},
    "a method without keys": {"token_endpoint_auth_method": "private_key_jwt"},
    "a machine": {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt"},
    "no redirect_uris": {"redirect_uris": None},
    "a bad redirect_uri": {"redirect_uris": ["javascript:alert(1)"]},
    "privileges": {"first_party": True},
    "more than five kilobytes": {"client_name": "x" * 6000},
}


def test_attack_s6_what_a_document_cannot_say(vouched: Vouched) -> None:
    with Browser(vouched.detent) as browser:
        for why, change in BAD.items():
            vouched.publish(**change)
            page = vouched.ask(browser)
            assert (page.status, page.error) == (400, "invalid_request"), why
        assert vouched.stored() is None
        vouched.publish()
        assert vouched.ask(browser).path == "/login", "no error is kept"


def test_attack_s6_a_document_that_cannot_be_read_is_no_app(vouched: Vouched) -> None:
    document = vouched.document
    with Browser(vouched.detent) as browser:
        for status, body in ((500, vouched.body), (302, b""), (404, b""), (200, b"[]"), (200, b"<html>")):
            document.status, document.body = status, body
            assert vouched.ask(browser).status == 400
        document.status = 200
        vouched.publish()
        for inside in ("https://10.0.0.1/app", "https://169.254.169.254/latest/meta-data", "https://nowhere.invalid/x"):
            assert browser.authorize(inside).status == 400


@pytest.mark.parametrize(
    "client_id",
    [
        "https://app.example", "https://app.example/", "https://app.example/#x", "https://a:b@app.example/x",
        "https://app.example/a/../b", "https://app.example/./b", "https://APP.example/x", "https://app.example/x y",
        "https://app.example/\\x", "https://app.example:99999/x", "https:///x", "https://äpp.example/x",
        "https://app.example/" + "x" * 300, "https://app.example/x\r\n",
    ],
)  # fmt: skip
def test_attack_s6_what_is_no_client_identifier(client_id: str) -> None:
    assert url_fault(client_id)
    assert not url_fault("https://app.example:8443/client.json?v=1")


def test_attack_s4_looking_up_apps_is_bounded(vouched: Vouched) -> None:
    with Browser(vouched.detent) as browser:
        vouched.publish(client_id="https://other.example/x")
        for _ in range(AT_ONE_NETWORK):
            assert vouched.ask(browser).status == 400
        assert vouched.ask(browser).status == 429
        assert vouched.document.asked == AT_ONE_NETWORK


def test_a_client_with_keys_authenticates_and_a_disabled_one_is_not_looked_up(vouched: Vouched) -> None:
    detent = vouched.detent
    vouched.publish(token_endpoint_auth_method="private_key_jwt", jwks=jwks(key("mine")))
    with Browser(detent) as browser:
        assert vouched.ask(browser).path == "/login"
        assert vouched.stored().kind == "web"
        vouched.publish()
        detent.clock.advance(301)
        assert vouched.ask(browser).status == 400, "a client does not become another kind"
        update = detent.house.registrations.update_client(vouched.client_id, ClientFields(enabled=False))
        detent.thread.call(update)
        asked = vouched.document.asked
        assert vouched.ask(browser).error == "invalid_request"
        assert vouched.document.asked == asked


def test_it_is_off_unless_it_is_switched_on(standing: Detent) -> None:
    with Browser(standing) as browser:
        assert browser.authorize("https://app.example/client.json").error == "invalid_request"
    published = standing.http.get("/.well-known/openid-configuration").json()
    assert "client_id_metadata_document_supported" not in published
