"""What is different in a profile beside its metadata, which test_metadata.py drives."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from detent.core.changes import InsertClient
from detent.profiles import PROFILES, ProfileName
from tests.asserting import Asserting
from tests.attacks.outcomes import assert_refused
from tests.browsing import Browser
from tests.mission.test_a_tokens import claims_of
from tests.serving import API, Detent, client, running

pytestmark = pytest.mark.quick


@contextmanager
def served(name: ProfileName, folder: Path, keys_folder: Path) -> Iterator[Detent]:
    with running(folder, keys_folder, "memory", profile=PROFILES[name]) as detent:
        yield detent


def test_what_a_profile_leaves_out_is_there_without_it(standing: Detent) -> None:
    registry = standing.house.registry
    features = {feature.name for feature in registry.features}
    there = features | {*registry.grants, *registry.client_auth, *registry.response_modes, *registry.routes}
    for profile in PROFILES.values():
        assert profile.leaves_out <= there, profile.name


@pytest.mark.parametrize(("name", "exempt"), [("oidc", True), ("auth0", True), ("mcp", False), ("oauth21", False)])
def test_oauth21_7_5_1_an_exempted_client_does_without_pkce_only_where_the_profile_lets_it(
    name: ProfileName, exempt: bool, tmp_path: Path, keys_folder: Path
) -> None:
    with served(name, tmp_path, keys_folder) as detent, Browser(detent) as browser:
        keys: Any = detent.house.outside.keys
        detent.apply(InsertClient(client("exempt", "web", keys, require_pkce=False)))
        scope = "openid read" if exempt else "read"
        page = browser.authorize("exempt", scope=scope, code_challenge=None, code_challenge_method=None)
        assert page.path == "/login" if exempt else page.answer["error"] == "invalid_request"


@pytest.mark.parametrize(("name", "strict"), [("oidc", False), ("auth0", False), ("mcp", True), ("oauth21", True)])
def test_rfc7523bis_4_whom_an_assertion_must_name_where_the_client_does_not_say(
    name: ProfileName, strict: bool, tmp_path: Path, keys_folder: Path
) -> None:
    with served(name, tmp_path, keys_folder) as detent:
        signing = Asserting(detent)
        assert signing.token().status_code == 200
        answer = signing.token(signing.assertion(aud=f"{detent.issuer}oauth/token"))
        if strict:
            assert_refused(answer, "invalid_client", 401)
        else:
            assert answer.status_code == 200


def test_auth0_a_refresh_token_takes_offline_access_and_the_id_token_of_every_app_says_who_signed_in(
    tmp_path: Path, keys_folder: Path, standing: Detent
) -> None:
    with served("auth0", tmp_path, keys_folder) as detent, Browser(detent) as browser:
        without = detent.redeem("web", browser.sign_in("web", scope="openid email read", audience=API)["code"]).json()
        assert "refresh_token" not in without
        assert claims_of(without["access_token"])["aud"][0] == API
        asked = browser.sign_in("web", scope="openid email read offline_access", prompt="consent")
        tokens = detent.redeem("web", asked["code"]).json()
        renewed = detent.refreshed("web", tokens["refresh_token"])
        for each in (without, tokens, renewed):
            assert claims_of(each["id_token"])["email"] == "test@example.com"
        assert "offline_access" in renewed["scope"].split()
    usual = standing.sign_in("web", scope="openid email read")
    assert usual["refresh_token"]
    assert "email" not in claims_of(usual["id_token"])


def test_auth0_its_errors_and_its_sign_out_are_there(tmp_path: Path, keys_folder: Path) -> None:
    with served("auth0", tmp_path, keys_folder) as detent:
        tokens = detent.sign_in("app", scope="read offline_access")
        body = {"client_id": "app", "token": tokens["refresh_token"], "token_type_hint": "refresh_token"}
        assert detent.http.post("/oauth/revoke", json=body).status_code == 200
        refused = detent.refresh("app", tokens["refresh_token"])
        assert refused.json()["error"] == "invalid_grant"
        assert "invalid refresh token" in refused.json()["error_description"].lower(), "by this its SDKs know it"
        with Browser(detent) as browser:
            browser.sign_in()
            assert browser.open("/v2/logout", params={"client_id": "spa"}).path == "/logout"


def test_mcp_a_public_client_names_its_api_and_gets_a_token_for_it_alone(tmp_path: Path, keys_folder: Path) -> None:
    """RFC 8707 in every step; RFC 9207 in every answer."""
    with served("mcp", tmp_path, keys_folder) as detent, Browser(detent) as browser:
        answer = browser.sign_in("app", scope="read offline_access", resource=API)
        assert answer["iss"] == detent.issuer
        tokens = detent.redeem("app", answer["code"], resource=API).json()
        renewed = detent.refreshed("app", tokens["refresh_token"], resource=API)
        for each in (tokens, renewed):
            assert claims_of(each["access_token"])["aud"] == [API]
            assert each["token_type"] == "Bearer"
        elsewhere = detent.refresh("app", renewed["refresh_token"], resource="https://elsewhere.example/")
        assert elsewhere.json()["error"] == "invalid_target"
