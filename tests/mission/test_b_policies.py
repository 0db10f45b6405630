"""Mission B8, B17 and B19: what a policy may be, and the practices that are enforced. Registered with the command that
an operator types, and over HTTP."""

from typing import Any

import pytest

from detent.core.changes import InsertClient
from detent.core.policy import MINUTE, Overrides
from tests.cli.conftest import Cli
from tests.mission.test_a_tokens import claims_of
from tests.proving import Holder
from tests.serving import VAULT, Detent, client

pytestmark = pytest.mark.quick

BROWSER_APP = ("client", "add", "--kind", "browser", "--redirect-uri", "https://app.example/callback")


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("options", "because"),
    [
        (("--no-rotating",), "a public client always rotates unless its tokens are bound to a key"),
        (("--refresh-strategy", "allowlist"), "only family detects reuse, which a public client needs"),
        (("--refresh-strategy", "short_lived"), "only family detects reuse, which a public client needs"),
        (("--overlap", "601"), "overlap must be between 0 and 600 seconds"),
        (("--idle", "1200"), "must be longer than twice access_life"),
        (("--grant", "client_credentials"), "is for confidential clients"),
    ],
)
def test_b8_a_browser_app_without_rotation_or_binding_is_refused_at_registration(
    cli: Cli, options: tuple[str, ...], because: str
) -> None:
    code, told = cli.refused(*BROWSER_APP, *options)
    assert (code, because in told) == ("invalid_client_metadata", True), told
    assert cli.json("client", "list") == []
    client_id = cli.json(*BROWSER_APP)["client_id"]
    assert cli.refused("client", "update", client_id, *options)[1] == told, "nor does a change lead there"
    assert cli.json("client", "show", client_id)["policy"]["rotates"]["value"] == "unbound"


def test_b8_a_browser_apps_refresh_token_turns_or_is_bound_to_a_key(detent: Detent) -> None:
    bearer = detent.sign_in("spa")
    turned = detent.refreshed("spa", bearer["refresh_token"])
    assert turned["refresh_token"] != bearer["refresh_token"]
    assert detent.refresh("spa", bearer["refresh_token"]).json()["error"] == "invalid_grant"

    holder = Holder(detent)
    bound = holder.sign_in("spa")
    kept = holder.refresh("spa", bound["refresh_token"])
    assert (kept.status_code, kept.json()["refresh_token"]) == (200, bound["refresh_token"])
    assert detent.refresh("spa", bound["refresh_token"]).status_code == 400, "worth nothing without the key"


@pytest.mark.sqlite
def test_b17_the_refresh_tokens_life_can_be_limited_to_the_access_tokens(cli: Cli) -> None:
    added = cli.json(*BROWSER_APP, "--idle", "600")
    policy = {name: knob["value"] for name, knob in added["policy"].items()}
    assert (policy["access_life"], policy["idle"]) == (10 * MINUTE, 10 * MINUTE)
    for other in ("599", "601"):
        code, told = cli.refused(*BROWSER_APP, "--idle", other)
        assert (code, "set idle to access_life itself" in told) == ("invalid_client_metadata", True)


@pytest.mark.parametrize("late", [False, True])
def test_b17_an_app_that_refreshes_in_time_goes_on_and_one_that_is_late_signs_in_again(
    detent: Detent, late: bool
) -> None:
    keys: Any = detent.house.outside.keys
    detent.apply(InsertClient(client("short", "browser", keys, overrides=Overrides(idle=10 * MINUTE))))
    tokens = detent.sign_in("short")
    for _ in range(6):
        assert tokens["expires_in"] == 10 * MINUTE
        detent.clock.advance(tokens["expires_in"] - 1)
        assert detent.secret(tokens["access_token"]).status_code == 200
        tokens = detent.refreshed("short", tokens["refresh_token"])
    detent.clock.advance(tokens["expires_in"] - (not late))
    ended = (400, "invalid_grant") if late else (200, None)
    assert detent.secret(tokens["access_token"]).status_code == (401 if late else 200), "both at one moment"
    answer = detent.refresh("short", tokens["refresh_token"])
    assert (answer.status_code, answer.json().get("error")) == ended


@pytest.mark.parametrize("name", ["spa", "app", "cli", "web"])
def test_b19_every_token_ends_and_no_access_token_says_who_the_person_is(detent: Detent, name: str) -> None:
    tokens = detent.sign_in(name, scope="openid profile email read")
    access, identity = claims_of(tokens["access_token"]), claims_of(tokens["id_token"])
    assert access["exp"] == detent.clock.now() + tokens["expires_in"]
    assert identity["exp"] > detent.clock.now()
    family = detent.family(tokens["refresh_token"], name)
    assert detent.clock.now() < family.idle_until <= family.absolute_until
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert detent.http.get("/userinfo", headers=bearer).json()["email"] == "test@example.com", "userinfo says it"
    assert ("email" in identity) is (name == "spa"), "a browser app reads the ID token alone"
    personal = {"name", "email", "picture", "preferred_username"}
    assert personal.isdisjoint(access)
    assert not any(str(value) in str(access) for value in ("test@example.com", "Test Person"))


def test_b19_an_opaque_token_and_a_machines_end_too(detent: Detent) -> None:
    now = detent.clock.now()
    opaque = detent.introspect(detent.sign_in(resource=VAULT)["access_token"], "demo-api")
    assert now < opaque["exp"] <= now + 3600
    machine = detent.token("machine", grant_type="client_credentials").json()
    assert claims_of(machine["access_token"])["exp"] == now + machine["expires_in"]


@pytest.mark.sqlite
def test_b19_an_http_issuer_is_served_on_loopback_only(cli: Cli) -> None:
    code, told = cli.refused("serve", "--issuer", "http://id.example/", "--port", "0")
    assert code == "invalid_settings"
    assert "must be https" in told
