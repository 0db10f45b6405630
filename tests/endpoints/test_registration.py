"""Clients that register themselves (RFC 7591) and mind their registration (RFC 7592): who may, and what counts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from detent.client_auth.flood import WINDOW
from detent.core.client import OPEN
from detent.core.ids import Seconds
from detent.core.policy import DAY
from detent.features.registration import AT_ONE_NETWORK
from detent.testing.server import ServerThread
from detent.web.outbound import LOOPBACK, Outbound
from tests.attacks.outcomes import assert_refused
from tests.browsing import Browser
from tests.published import Published, jwks, key, signed
from tests.serving import REDIRECT_URI, Detent, running

PATH = "/oidc/register"
WEB: dict[str, Any] = {"redirect_uris": ["https://app.example/cb"], "client_name": "An app"}
PUBLIC: dict[str, Any] = {"redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none"}
KEY = key("mine")


class Registering:
    def __init__(self, detent: Detent) -> None:
        self.detent = detent

    def token(self, **more: Any) -> str:
        made: str = self.detent.thread.call(self.detent.house.initial_tokens.add("somebody", **more))[1]
        return made

    def ask(self, metadata: Any, token: str | None = None, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.detent.http.post(PATH, json=metadata, headers=headers, **more)

    def register(self, token: str | None = None, /, **metadata: Any) -> dict[str, Any]:
        answer = self.ask(metadata, token)
        assert answer.status_code == 201, answer.text
        assert answer.headers["cache-control"] == "no-store"
        told: dict[str, Any] = answer.json()
        return told

    def manage(self, method: str, told: dict[str, Any], token: str = "", **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or told['registration_access_token']}"}
        return self.detent.http.request(method, told["registration_client_uri"], headers=headers, **more)

    def stored(self, told: dict[str, Any]) -> Any:
        return self.detent.thread.call(self.detent.store.client(told["client_id"]))


@pytest.fixture(scope="module")
def by_token(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Registering]:
    folder = tmp_path_factory.mktemp("by_token")
    with running(folder, keys_folder, registering="token", registration_scopes=("read",)) as served:
        yield Registering(served)


@pytest.fixture
def anybody(tmp_path: Path, keys_folder: Path) -> Iterator[Registering]:
    with running(tmp_path, keys_folder, registering="open", registration_scopes=("read",)) as served:
        yield Registering(served)


@pytest.mark.quick
def test_attack_m3_registration_is_off_unless_it_is_switched_on(standing: Detent) -> None:
    assert standing.http.post(PATH, json=WEB).status_code == 404
    assert "registration_endpoint" not in standing.http.get("/.well-known/openid-configuration").json()


@pytest.mark.quick
def test_rfc7591_3_an_initial_access_token_registers_as_often_as_it_may(by_token: Registering) -> None:
    token = by_token.token(uses=2)
    for _ in range(2):
        assert by_token.ask(WEB, token).status_code == 201
    assert_refused(by_token.ask(WEB, token), "invalid_token", 401)
    unlimited = by_token.token(uses=None)
    assert [by_token.ask(WEB, unlimited).status_code for _ in range(3)] == [201] * 3


@pytest.mark.quick
def test_rfc7591_3_without_a_good_token_nobody_registers(by_token: Registering) -> None:
    good = by_token.token()
    for bad in (None, "x", good[:-1], good + "x", good.replace("_", "-"), "dtit_", "dtit__", "dtit_a_b"):
        assert_refused(by_token.ask(WEB, bad), "invalid_token", 401)
    basic = by_token.detent.http.post(PATH, json=WEB, auth=("machine", "secret"))
    assert_refused(basic, "invalid_token", 401)
    assert by_token.ask(WEB, good).status_code == 201


def test_of_many_registrations_at_once_a_token_pays_for_one(by_token: Registering) -> None:
    token = by_token.token()
    statuses = [answer.status_code for answer in by_token.detent.at_once(6, lambda _: by_token.ask(WEB, token))]
    assert sorted(statuses) == [201] + [401] * 5


def test_a_refused_registration_does_not_use_the_token_up(by_token: Registering) -> None:
    token = by_token.token()
    assert_refused(by_token.ask({**WEB, "redirect_uris": ["http://app.example/"]}, token), "invalid_redirect_uri")
    assert by_token.ask(WEB, token).status_code == 201


def test_a_token_expires_and_can_be_revoked(anybody: Registering) -> None:
    detent = anybody.detent
    dated, revoked = anybody.token(life=Seconds(DAY)), anybody.token()
    tokens = detent.house.initial_tokens
    assert len(detent.thread.call(tokens.all())) == 2
    assert detent.thread.call(tokens.revoke(revoked.split("_")[1]))
    assert not detent.thread.call(tokens.revoke("unknown"))
    detent.clock.advance(DAY)
    for token in (dated, revoked):
        assert_refused(anybody.ask(WEB, token), "invalid_token", 401)
    assert detent.thread.call(tokens.all()) == []


KINDS: list[tuple[dict[str, Any], str]] = [
    (WEB, "web"),
    ({**WEB, "token_endpoint_auth_method": "client_secret_post"}, "web"),
    ({**WEB, "token_endpoint_auth_method": "client_secret_jwt"}, "web"),
    ({**WEB, "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks(KEY)}, "web"),
    ({**WEB, "token_endpoint_auth_method": "none"}, "browser"),
    ({**WEB, "token_endpoint_auth_method": "none", "application_type": "native"}, "native"),
    ({"redirect_uris": ["http://localhost/callback"], "token_endpoint_auth_method": "none"}, "native"),
    ({"redirect_uris": ["cursor://a/cb", "https://a.example/cb"], "token_endpoint_auth_method": "none"}, "native"),
    ({"grant_types": ["client_credentials"], "response_types": []}, "machine"),
]


@pytest.mark.quick
@pytest.mark.parametrize(("metadata", "kind"), KINDS)
def test_rfc7591_2_what_a_client_says_makes_it_a_kind(by_token: Registering, metadata: Any, kind: str) -> None:
    told = by_token.register(by_token.token(), **metadata)
    stored = by_token.stored(told)
    assert (stored.kind, stored.first_party, stored.require_pkce) == (kind, False, True)
    method = metadata.get("token_endpoint_auth_method", "client_secret_basic")
    assert ("client_secret" in told) is method.startswith("client_secret"), "a secret exactly where one is needed"
    assert stored.web_origins == (("https://app.example",) if kind == "browser" else ())


@pytest.mark.quick
def test_rfc7591_3_2_1_all_that_is_registered_is_told(by_token: Registering) -> None:
    whole = {
        **WEB,
        "post_logout_redirect_uris": ["https://app.example/out"],
        "client_uri": "https://app.example/",
        "logo_uri": "https://app.example/logo.png",
        "policy_uri": "https://app.example/policy",
        "tos_uri": "https://app.example/tos",
        "contacts": ["ops@app.example"],
        "software_id": "4NRB1-0XZABZI9E6-5SM3R",
        "software_version": "2.2",
        "jwks_uri": "https://app.example/jwks",
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "dpop_bound_access_tokens": True,
        "require_pushed_authorization_requests": True,
        "initiate_login_uri": "https://app.example/login",
        "backchannel_logout_uri": "https://app.example/backchannel?tenant=1",
        "backchannel_logout_session_required": True,
        "application_type": "web",
        "response_types": ["code"],
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": "openid read",
        "default_max_age": 600,
    }
    unknown = {"a_member_of_next_year": {"x": 1}, "client_name#fr": "Une app", "tos_uri#fr": None}
    told = by_token.register(by_token.token(), **whole, **unknown)
    assert {name: told[name] for name in whole} == whole
    assert told.keys() - whole.keys() == {
        "client_id", "client_id_issued_at", "registration_access_token", "registration_client_uri",
    }  # fmt: skip


def test_rfc7591_2_defaults_are_told_too(by_token: Registering) -> None:
    told = by_token.register(by_token.token(), **WEB)
    assert told["grant_types"] == ["authorization_code", "refresh_token"]
    assert told["response_types"] == ["code"]
    assert told["token_endpoint_auth_method"] == "client_secret_basic"
    assert (told["application_type"], told["client_secret_expires_at"]) == ("web", 0)
    assert set(told["scope"].split()) >= {"openid", "offline_access", "read"}


def test_attack_m3_no_scope_but_those_that_are_open(by_token: Registering) -> None:
    told = by_token.register(by_token.token(), **WEB, scope="openid read write admin")
    assert told["scope"] == "openid read"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"redirect_uris": None}, "invalid_redirect_uri"),
    ({"redirect_uris": []}, "invalid_redirect_uri"),
    ({"redirect_uris": "https://app.example/cb"}, "invalid_redirect_uri"),
    ({"redirect_uris": [7]}, "invalid_redirect_uri"),
    ({"redirect_uris": ["http://app.example/cb"]}, "invalid_redirect_uri"),
    ({"redirect_uris": ["https://app.example/#x"]}, "invalid_redirect_uri"),
    ({"redirect_uris": ["https://*.app.example/"]}, "invalid_redirect_uri"),
    ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
    ({"redirect_uris": ["app://cb"]}, "invalid_redirect_uri"),
    ({"redirect_uris": ["https://app.example/"] * 51}, "invalid_redirect_uri"),
    ({"post_logout_redirect_uris": ["http://app.example/"]}, "invalid_client_metadata"),
    ({"logo_uri": "http://app.example/logo.png"}, "invalid_client_metadata"),
    ({"initiate_login_uri": "http://localhost/login"}, "invalid_client_metadata"),
    ({"backchannel_logout_uri": "http://app.example/out"}, "invalid_client_metadata"),
    ({"backchannel_logout_uri": "http://127.0.0.1/out"}, "invalid_client_metadata"),
    ({"backchannel_logout_uri": "https://app.example/out#x"}, "invalid_client_metadata"),
    ({"backchannel_logout_uri": "/out"}, "invalid_client_metadata"),
    ({"backchannel_logout_session_required": "yes"}, "invalid_client_metadata"),
    ({"client_name": 7}, "invalid_client_metadata"),
    ({"client_name": "x" * 2001}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": "tls_client_auth"}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
    ({"grant_types": ["password"]}, "invalid_client_metadata"),
    ({"grant_types": ["implicit"]}, "invalid_client_metadata"),
    ({"grant_types": ["authorization_code", "urn:nobody"]}, "invalid_client_metadata"),
    ({"response_types": ["token"]}, "invalid_client_metadata"),
    ({"response_types": ["code", "code id_token"]}, "invalid_client_metadata"),
    ({"application_type": "service"}, "invalid_client_metadata"),
    ({"jwks": jwks(KEY), "jwks_uri": "https://app.example/jwks"}, "invalid_client_metadata"),
    ({"jwks": {"keys": [KEY.as_dict(private=True)]}}, "invalid_client_metadata"),
    ({"token_endpoint_auth_signing_alg": "none"}, "invalid_client_metadata"),
    ({"request_object_signing_alg": "none"}, "invalid_client_metadata"),
    ({"id_token_signed_response_alg": "none"}, "invalid_client_metadata"),
    ({"contacts": "me"}, "invalid_client_metadata"),
    ({"scope": ["openid"]}, "invalid_client_metadata"),
    ({"first_party": True}, "invalid_client_metadata"),
    ({"require_pkce": False}, "invalid_client_metadata"),
    ({"web_origins": ["https://evil.example"]}, "invalid_client_metadata"),
    ({"software_statement": 7}, "invalid_client_metadata"),
    ({"software_statement": "x"}, "invalid_software_statement"),
    ({"software_id": "x" * 40_000}, "invalid_client_metadata"),
]


@pytest.mark.parametrize(("change", "error"), BAD)
def test_rfc7591_3_2_2_what_cannot_be_is_refused_by_name(by_token: Registering, change: Any, error: str) -> None:
    assert_refused(by_token.ask({**WEB, **change}, by_token.token()), error)


@pytest.mark.quick
def test_rfc7591_3_1_only_a_json_object_is_read(by_token: Registering) -> None:
    token = by_token.token()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    for body in (b"", b"[]", b'"x"', b"{", b'{"a":1,"a":2}', b"\xff", b"{" * 2000):
        assert_refused(by_token.detent.http.post(PATH, content=body, headers=headers), "invalid_client_metadata")
    form = by_token.detent.http.post(PATH, data={"x": "y"}, headers={"Authorization": f"Bearer {token}"})
    assert_refused(form, "invalid_request", 415)


def test_attack_m3_anybody_registers_only_so_often_and_never_a_machine(anybody: Registering) -> None:
    assert_refused(anybody.ask({"grant_types": ["client_credentials"]}), "invalid_client_metadata")
    for _ in range(AT_ONE_NETWORK):
        assert anybody.ask(PUBLIC).status_code == 201
    flooded = anybody.ask(PUBLIC)
    assert_refused(flooded, "slow_down", 429)
    assert int(flooded.headers["retry-after"]) == WINDOW
    assert anybody.ask(PUBLIC, anybody.token()).status_code == 201, "a token is not anybody"
    anybody.detent.clock.advance(WINDOW)
    assert anybody.ask(PUBLIC).status_code == 201


@pytest.mark.parametrize("member", ["id_token_signed_response_alg", "userinfo_signed_response_alg"])
def test_a_client_that_nobody_vouched_for_brings_no_other_keys_into_the_set(tmp_path: Path, member: str) -> None:
    """auth0-python reads no key set that holds another key than RSA: anybody could keep everybody out."""
    with running(tmp_path, tmp_path / "keys", registering="open") as served:
        anybody = Registering(served)
        for change in ({member: "ES256"}, {"request_object_encryption_alg": "ECDH-ES"}):
            refused = anybody.ask({**WEB, **change})
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")
            assert "is not in use" in refused.json()["error_description"]
        assert {key["kty"] for key in served.http.get("/.well-known/jwks.json").json()["keys"]} == {"RSA"}

        assert anybody.ask({**WEB, member: "PS256"}).status_code == 201
        assert anybody.ask({**WEB, member: "ES256"}, anybody.token()).status_code == 201, "the operator's word"
        assert anybody.ask({**WEB, member: "ES256"}).status_code == 201, "now it is in use"


def test_a_client_that_registered_itself_signs_people_in_after_their_consent(anybody: Registering) -> None:
    told = anybody.register(None, **PUBLIC)
    with Browser(anybody.detent) as browser:
        page = browser.log_in(browser.authorize(told["client_id"], scope="openid profile"))
        assert page.path == "/consent"
        code = browser.allow(page).answer["code"]
    assert anybody.detent.redeem(told["client_id"], code).status_code == 200


def test_what_the_operator_alone_says_is_neither_told_nor_taken_away_by_a_change(
    tmp_path: Path, keys_folder: Path
) -> None:
    """Where clients may do without PKCE and nonce; a public one cannot."""
    lax: dict[str, Any] = {"registering": "token", "registration_pkce": False, "registration_nonce": False}
    with running(tmp_path, keys_folder, "memory", **lax) as served:
        registering = Registering(served)
        told = registering.register(registering.token(), **WEB)
        assert "require_nonce" not in told
        changed = registering.manage("PUT", told, json={**WEB, "client_id": told["client_id"], "client_name": "New"})
        assert changed.status_code == 200, changed.text
        stored = registering.stored(told)
        assert (stored.client_name, stored.require_pkce, stored.extra["require_nonce"]) == ("New", False, False)
        public = registering.stored(registering.register(registering.token(), **PUBLIC))
        assert public.require_pkce
        assert "require_nonce" not in public.extra


@pytest.mark.quick
def test_rfc7592_2_a_client_reads_changes_and_removes_its_registration(by_token: Registering) -> None:
    told = by_token.register(by_token.token(), **WEB, contacts=["a@app.example"], software_version="1")
    known = {name: value for name, value in told.items() if not name.startswith("client_secret")}
    assert by_token.manage("GET", told).json() == known
    change = {"client_id": told["client_id"], "redirect_uris": ["https://app.example/new"], "software_version": "2"}
    changed = by_token.manage("PUT", told, json=change)
    assert changed.status_code == 200, changed.text
    after = changed.json()
    assert (after["redirect_uris"], after["software_version"]) == (["https://app.example/new"], "2")
    assert "client_name" not in after, "what is left out is taken back"
    assert "contacts" not in after
    assert by_token.manage("GET", told).json() == after
    gone = by_token.manage("DELETE", told)
    assert (gone.status_code, gone.content) == (204, b"")
    assert_refused(by_token.manage("GET", told), "invalid_token", 401)


BAD_CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"client_id": None}, "invalid_client_metadata"),
    ({"client_id": "web"}, "invalid_client_metadata"),
    ({"registration_access_token": "x"}, "invalid_client_metadata"),
    ({"client_id_issued_at": 1}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": "none"}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": "client_secret_jwt"}, "invalid_client_metadata"),
    ({"redirect_uris": ["http://app.example/"]}, "invalid_redirect_uri"),
    ({"grant_types": ["password"]}, "invalid_client_metadata"),
    ({"first_party": True}, "invalid_client_metadata"),
]


@pytest.mark.parametrize(("change", "error"), BAD_CHANGES)
def test_rfc7592_2_2_a_change_is_judged_like_a_registration(by_token: Registering, change: Any, error: str) -> None:
    told = by_token.register(by_token.token(), **WEB)
    before = by_token.stored(told)
    refused = by_token.manage("PUT", told, json={"client_id": told["client_id"], **WEB, **change})
    assert_refused(refused, error)
    assert by_token.stored(told) == before


@pytest.mark.quick
def test_attack_m4_a_registration_access_token_is_good_for_its_client_alone(by_token: Registering) -> None:
    mine, other = (by_token.register(by_token.token(), **WEB) for _ in range(2))
    for method in ("GET", "PUT", "DELETE"):
        for bad in (other["registration_access_token"], "x", by_token.token(), mine["client_secret"]):
            assert_refused(by_token.manage(method, mine, bad, json=WEB), "invalid_token", 401)
        assert_refused(by_token.detent.http.request(method, mine["registration_client_uri"]), "invalid_token", 401)
    operators = {"registration_client_uri": f"{PATH}/web"}
    for bad in (mine["registration_access_token"], "x"):
        assert_refused(by_token.manage("GET", operators, bad), "invalid_token", 401)
    assert mine["registration_access_token"] not in repr(by_token.stored(mine)), "hashed at rest"
    assert by_token.manage("GET", mine).status_code == 200


def test_clients_that_anybody_registered_and_nobody_used_are_removed(anybody: Registering) -> None:
    detent = anybody.detent
    unused, used = anybody.register(None, **PUBLIC), anybody.register(None, **PUBLIC)
    trusted = anybody.register(anybody.token(), **PUBLIC)
    with Browser(detent) as browser:
        browser.tokens(used["client_id"], scope="openid offline_access")
    detent.clock.advance(30 * DAY)
    forget = detent.house.registrations.forget_unused(detent.house.outside.directory, OPEN, detent.clock.now())
    assert detent.thread.call(forget) == 1
    assert anybody.stored(unused) is None
    assert anybody.stored(used) is not None
    assert anybody.stored(trusted) is not None
    assert detent.thread.call(detent.store.client("app")) is not None


def test_rfc7591_2_3_a_software_statement_of_a_trusted_issuer_has_the_last_word(
    tmp_path: Path, keys_folder: Path
) -> None:
    issuer, signer, stranger = "https://directory.example", key("directory"), key("directory")
    document = Published(jwks(signer))
    with (
        ServerThread() as thread,
        running(
            tmp_path,
            keys_folder,
            "memory",
            outbound=Outbound(LOOPBACK),
            registering="open",
            software_statement_issuers={issuer: document.url},
        ) as served,
    ):
        thread.serve(document, document.at)
        anybody = Registering(served)
        said = {"iss": issuer, "software_id": "known", "client_name": "Vetted", "redirect_uris": [REDIRECT_URI]}
        statement = signed(signer, said)
        told = anybody.register(None, **{**WEB, "software_statement": statement})
        assert (told["client_name"], told["software_id"]) == ("Vetted", "known")
        assert told["redirect_uris"] == [REDIRECT_URI]
        assert told["software_statement"] == statement
        now = served.clock.now()
        for bad in (signed(stranger, said), signed(signer, {**said, "exp": now}), "eyJhbGciOiJub25lIn0.e30."):
            answer = anybody.ask({**WEB, "software_statement": bad})
            expected = "unapproved_software_statement" if bad.endswith(".") else "invalid_software_statement"
            assert_refused(answer, expected)
        foreign = signed(signer, {**said, "iss": "https://evil.example"})
        assert_refused(anybody.ask({**WEB, "software_statement": foreign}), "unapproved_software_statement")
        more = signed(signer, {**said, "first_party": True})
        assert_refused(anybody.ask({**WEB, "software_statement": more}), "invalid_client_metadata")


def test_the_metadata_names_the_endpoint_where_it_is_on(by_token: Registering) -> None:
    published = by_token.detent.http.get("/.well-known/openid-configuration").json()
    assert published["registration_endpoint"] == f"{by_token.detent.issuer}oidc/register"
