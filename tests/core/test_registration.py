"""What may be registered: redirect URIs, origins, kinds, policies, APIs. Refused here, no request ever meets it."""

from typing import Any

import msgspec
import pytest

from detent.core.api import Api, checked_api
from detent.core.client import Client, check_redirect_uri, check_web_origin, checked_client
from detent.core.errors import InvalidClientMetadata
from detent.core.ids import ClientId, Instant
from detent.core.policy import KINDS, ClientKind, Overrides, effective_policy

pytestmark = pytest.mark.quick

GRANTS = frozenset({"authorization_code", "refresh_token", "client_credentials"})
SPA = Client(
    ClientId("spa"),
    "browser",
    Instant(1),
    redirect_uris=("https://app.example/callback",),
    grant_types=("authorization_code", "refresh_token"),
)
MACHINE = Client(
    ClientId("machine"),
    "machine",
    Instant(1),
    grant_types=("client_credentials",),
    token_endpoint_auth_method="client_secret_basic",
)


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("https://app.example/callback", "web"),
        ("https://app.example/callback?tenant=1", "browser"),
        ("http://127.0.0.1:8000/cb", "browser"),
        ("http://localhost/cb", "native"),
        ("http://[::1]:9/cb", "cli"),
        ("com.example.app:/cb", "native"),
        ("cursor://callback", "cli"),
    ],
)
def test_rfc8252_7_a_sound_redirect_uri_is_taken(uri: str, kind: ClientKind) -> None:
    check_redirect_uri(uri, kind)


@pytest.mark.parametrize("kind", ["browser", "web", "native", "cli"])
@pytest.mark.parametrize(
    "uri",
    [
        "",
        "callback",
        "/callback",
        "//app.example/cb",
        "https://app.example/cb#part",
        "https://*.example/cb",
        "https://app.example/*",
        "http://app.example/cb",
        "http://localhost.evil/cb",
        "http://127.0.0.1.evil/cb",
        "https://user@app.example/cb",
        "https:///cb",
        "https://app.example\\@evil/cb",
        "https://app.example/c b",
        "https://app.example/\tcb",
        "https://app.example/\u0441b",
        "https://app.example:port/cb",
        "javascript:alert(1)",
        "data:text/html,hi",
        "vbscript:x",
        "file:///etc/passwd",
        "https://app.example/" + "a" * 3000,
    ],
)
def test_rfc9700_2_1_an_unsound_redirect_uri_is_refused_at_registration(uri: str, kind: ClientKind) -> None:
    with pytest.raises(InvalidClientMetadata):
        check_redirect_uri(uri, kind)


def test_rfc8252_7_1_private_schemes_are_for_native_apps_only() -> None:
    with pytest.raises(InvalidClientMetadata, match="native"):
        check_redirect_uri("com.example.app:/cb", "browser")


@pytest.mark.parametrize("origin", ["https://app.example", "http://localhost:3000", "http://127.0.0.1"])
def test_an_origin_is_scheme_host_and_port(origin: str) -> None:
    check_web_origin(origin)


@pytest.mark.parametrize(
    "origin", ["null", "*", "https://app.example/", "http://app.example", "https://a@b", "https://*.example", "app"]
)
def test_anything_else_is_no_origin(origin: str) -> None:
    with pytest.raises(InvalidClientMetadata):
        check_web_origin(origin)


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "a:b"},
        {"client_id": ""},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"grant_types": ("implicit",)},
        {"grant_types": ("client_credentials",)},
        {"redirect_uris": ("https://app.example/#x",)},
        {"web_origins": ("*",)},
        {"scope": ("a b",)},
        {"overrides": Overrides(rotating=False)},
        {"overrides": Overrides(rotating=True)},
    ],
)
def test_an_unsound_client_is_refused_with_a_sentence(change: dict[str, Any]) -> None:
    checked_client(SPA, GRANTS)
    with pytest.raises(InvalidClientMetadata) as refused:
        checked_client(msgspec.structs.replace(SPA, **change), GRANTS)
    assert len(refused.value.description) > 20


def test_a_machine_has_client_credentials_and_nothing_else() -> None:
    checked_client(MACHINE, GRANTS)
    for grants in (("client_credentials", "refresh_token"), ("authorization_code",), ()):
        with pytest.raises(InvalidClientMetadata):
            checked_client(msgspec.structs.replace(MACHINE, grant_types=grants), GRANTS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_sound_by_default_and_names_its_clause(kind: ClientKind) -> None:
    policy = effective_policy(kind, Overrides())
    assert policy.idle > 2 * policy.access_life
    assert policy.absolute >= policy.idle
    assert policy.access_life <= 3600, "mission E2"
    assert KINDS[kind].clause.startswith(("RFC", "OAuth"))


@pytest.mark.parametrize(
    "overrides",
    [
        Overrides(idle=7200, access_life=3600),
        Overrides(idle=3599, access_life=3600),
        Overrides(idle=3601, access_life=3600),
        Overrides(access_life=86400, absolute=86400),
        Overrides(absolute=100),
        Overrides(overlap=-1),
        Overrides(overlap=601),
        Overrides(access_life=0),
        Overrides(access_life=86401),
    ],
)
def test_an_unsafe_policy_is_refused(overrides: Overrides) -> None:
    with pytest.raises(InvalidClientMetadata):
        effective_policy("web", overrides)


@pytest.mark.parametrize(
    "change",
    [
        {"identifier": "not a uri"},
        {"identifier": "https://api.example/#x"},
        {"scopes": {"openid": "taken"}},
        {"scopes": {"a b": "two"}},
        {"token_format": "saml"},
        {"access_life": 0},
        {"access_life": 2**31},
    ],
)
def test_an_unsound_api_is_refused(change: dict[str, Any]) -> None:
    sound = Api("https://api.example/", Instant(1), scopes={"read": "Read"})
    checked_api(sound, frozenset({"jwt", "opaque"}))
    with pytest.raises(InvalidClientMetadata):
        checked_api(msgspec.structs.replace(sound, **change), frozenset({"jwt", "opaque"}))
