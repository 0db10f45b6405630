"""RFC 8707 §2: a resource that no registered API is, and the policy that decides about it (examples/tenants.py)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detent.core.api import Api
from detent.core.changes import InsertClient
from detent.core.ids import Instant
from detent.registry.feature import Feature
from examples.tenants import SCOPES, feature
from tests.attacks.outcomes import assert_refused
from tests.browsing import Browser
from tests.mission.test_a_tokens import claims_of
from tests.serving import API, Detent, client, running

pytestmark = pytest.mark.quick

ACME, OTHER = "https://acme.apps.example/", "https://other.apps.example/"


class Spy:
    """A second policy, which is asked where the first has no answer."""

    name = "spy"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def api(self, identifier: str) -> Api | None:
        self.asked.append(identifier)
        told = Api("urn:spy:other-name", Instant(0), scopes={"read": "Read"}, clients=("web",), token_format="opaque")
        return told if identifier == "urn:spy" else None


@pytest.fixture
def tenants() -> set[str]:
    return {"acme"}


@pytest.fixture
def spy() -> Spy:
    return Spy()


@pytest.fixture
def detent(tmp_path: Path, keys_folder: Path, tenants: set[str], spy: Spy) -> Iterator[Detent]:
    own = (feature("apps.example", tenants), Feature("spy", (), resource_policies=(spy,)))
    with running(tmp_path, keys_folder, "memory", more=lambda house: own) as served:
        keys: Any = served.house.outside.keys
        for name in ("tenant-app", "stranger"):
            served.apply(InsertClient(client(name, "native", keys, scope=("read", *SCOPES), default_audience=None)))
        yield served


def test_rfc8707_2_without_a_policy_what_is_not_registered_is_refused(standing: Detent) -> None:
    with Browser(standing) as browser:
        assert browser.authorize("app", resource=ACME, scope="read").answer["error"] == "invalid_target"
    machine = standing.token("machine", grant_type="client_credentials", resource=ACME)
    assert_refused(machine, "invalid_target")


def test_rfc8707_2_what_the_policy_knows_is_as_if_it_were_registered(detent: Detent) -> None:
    with Browser(detent) as browser:
        page = browser.log_in(browser.authorize("tenant-app", resource=ACME, scope="openid tenant:read offline_access"))
        assert page.path == "/consent"
        assert SCOPES["tenant:read"] in page.text
        assert SCOPES["tenant:write"] not in page.text
        code = browser.allow(page).answer["code"]
        assert SCOPES["tenant:read"] in browser.open("/account").text
    tokens = detent.redeem("tenant-app", code).json()
    claims = claims_of(tokens["access_token"])
    assert claims["aud"] == [ACME, f"{detent.issuer}userinfo"]
    assert claims["scope"] == "openid tenant:read offline_access"
    assert tokens["expires_in"] == 600
    renewed = detent.refreshed("tenant-app", tokens["refresh_token"], resource=ACME)
    assert ACME in claims_of(renewed["access_token"])["aud"]


NO_TENANTS = (
    OTHER, "https://acme.apps.example", f"{ACME}x", "https://acme.apps.example.evil.example/", f"{ACME}#x",
    "http://acme.apps.example/", "https://ACME.apps.example/", "https://acme.apps.example:443/", "acme", "é", " ",
)  # fmt: skip


def test_rfc8707_2_all_else_is_refused(detent: Detent) -> None:
    with Browser(detent) as browser:
        for resource in NO_TENANTS:
            page = browser.authorize("tenant-app", resource=resource, scope="openid tenant:read")
            assert page.answer["error"] == "invalid_target", resource


def test_rfc8707_2_a_policy_is_asked_about_absolute_uris_that_nobody_registered_and_no_others(
    detent: Detent, spy: Spy
) -> None:
    with Browser(detent) as browser:
        for resource in (API, ACME, "no-uri", "https://x.example/#fragment", "urn:mine"):
            browser.authorize("tenant-app", resource=resource, scope="openid")
    assert spy.asked == ["urn:mine"]


def test_rfc8707_2_the_clients_and_the_scopes_of_the_answer_count(detent: Detent) -> None:
    with Browser(detent) as browser:
        page = browser.authorize("tenant-app", resource="urn:spy", scope="read")
        assert page.answer["error"] == "invalid_target", "it is for the client web alone"
        page = browser.authorize("stranger", resource=ACME, scope="read")
        assert page.answer["error"] == "invalid_scope"
    token = detent.sign_in("web", resource=("urn:spy",), scope="read")["access_token"]
    told = detent.introspect(token, "web")
    assert (told["active"], told["aud"]) == (True, ["urn:spy"]), "the name that was asked for, whatever the answer says"


def test_rfc8707_2_what_a_policy_takes_back_ends_at_the_next_refresh(detent: Detent, tenants: set[str]) -> None:
    tokens = detent.redeem("tenant-app", detent.code("tenant-app", "tenant:read", (ACME,))).json()
    detent.clock.advance(61)
    tokens = detent.refreshed("tenant-app", tokens["refresh_token"])
    tenants.clear()
    detent.clock.advance(61)
    refused = detent.refresh("tenant-app", tokens["refresh_token"], resource=ACME)
    assert_refused(refused, "invalid_target")
    assert_refused(detent.refresh("tenant-app", tokens["refresh_token"]), "invalid_target")
    tenants.add("acme")
    assert detent.refresh("tenant-app", tokens["refresh_token"]).status_code == 200, "a refused refresh ends nothing"
