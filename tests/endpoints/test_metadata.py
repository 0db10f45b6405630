"""Discovery (RFC 8414, OpenID Connect Discovery §3) in every profile: whatever is promised is driven, nothing routed is
left out, and what a profile does not promise is refused.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from detent.endpoints.metadata import WELL_KNOWN
from detent.profiles import NAMES, PROFILES
from detent.settings.reading import load
from detent.web.outbound import LOOPBACK, Outbound
from tests.endpoints.promises import DRIVEN, document, endpoints
from tests.endpoints.refusals import REFUSED
from tests.serving import Detent, running

PARAMS = [pytest.param(name, marks=[pytest.mark.slow] if name != "oidc" else []) for name in NAMES]


@pytest.fixture(scope="module", params=PARAMS)
def profiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, keys_folder: Path
) -> Iterator[Detent]:
    """A house as its profile makes it, for tests that leave it as they found it."""
    folder = tmp_path_factory.mktemp(request.param)
    settings = load({"data": str(folder), "profile": request.param}, {})
    profile = PROFILES[settings.profile]
    documents = settings.client_id_metadata_documents
    outbound = Outbound(LOOPBACK)  # to apps on loopback, as in development
    with running(
        folder, keys_folder, profile=profile, client_id_metadata_documents=documents, outbound=outbound, sign_up=True
    ) as served:
        yield served


@pytest.mark.quick
def test_rfc8414_3_both_documents_are_one(profiled: Detent) -> None:
    oauth = profiled.http.get(WELL_KNOWN[1])
    assert oauth.headers["content-type"] == "application/json"
    assert None not in oauth.json().values()
    assert [] not in oauth.json().values(), "RFC 8414 §3.2: a member without a value is left out"
    openid = profiled.http.get(WELL_KNOWN[0])
    if "openid" in oauth.json()["scopes_supported"]:
        assert openid.content == oauth.content
    else:
        assert openid.status_code == 404


@pytest.mark.quick
def test_no_route_that_has_a_name_is_missing_and_none_is_invented(profiled: Detent) -> None:
    routes = profiled.house.registry.routes.values()
    named = {route.metadata: profiled.issuer + route.path.removeprefix("/") for route in routes if route.metadata}
    assert endpoints(document(profiled)) == named
    assert named.keys() >= {"token_endpoint", "revocation_endpoint", "introspection_endpoint", "jwks_uri"}
    unnamed = {route.path for route in routes if not route.metadata}
    for_people = {route.path for route in routes if route.page or route.path.startswith("/static/")}
    assert (
        unnamed - for_people == {"/health", "/oauth/status-lists/{}", *WELL_KNOWN} - profiled.house.profile.leaves_out
    )


@pytest.mark.quick
def test_every_member_has_somebody_who_drives_it(profiled: Detent) -> None:
    told = document(profiled).keys()
    assert told <= DRIVEN.keys()
    assert DRIVEN.keys() - told <= REFUSED.keys(), "what is not promised is driven too: it is refused"


@pytest.mark.parametrize("member", DRIVEN)
def test_what_is_promised_works_and_what_is_not_is_refused(profiled: Detent, member: str) -> None:
    promised = document(profiled)
    if member in promised:
        DRIVEN[member](profiled, promised[member])
    else:
        REFUSED[member](profiled)
