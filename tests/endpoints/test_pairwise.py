"""Pairwise subjects (OpenID Connect Core §8.1): whose they are, that they stay, and that nothing says the other one."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detent.admin.registrations import ClientFields
from detent.core.changes import InsertClient
from detent.core.errors import InvalidClientMetadata
from detent.features.pairwise import Pairwise
from detent.keys.file import FileKeys
from detent.testing.clock import ManualClock
from detent.web.outbound import LOOPBACK, Outbound
from tests.browsing import Browser
from tests.mission.test_a_tokens import claims_of
from tests.published import Published
from tests.serving import RETURN_URI, START, VAULT, Detent, client, running

PAIRWISE = {"subject_type": "pairwise"}
HERE, THERE = "https://app.example/callback", "https://other.example/callback"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    with running(tmp_path_factory.mktemp("pairwise"), keys_folder, outbound=Outbound(LOOPBACK)) as served:
        keys: Any = served.house.outside.keys
        for name, uri in (("one", HERE), ("two", HERE), ("far", THERE)):
            served.apply(InsertClient(client(name, "web", keys, redirect_uris=(uri,), extra=PAIRWISE)))
        yield served


def tokens_of(detent: Detent, name: str, uri: str = HERE, **form: Any) -> dict[str, Any]:
    code = detent.code(name, scope="openid read offline_access", redirect_uri=uri, **form)
    tokens: dict[str, Any] = detent.redeem_as(name, code, redirect_uri=uri).json()
    return tokens


def refreshed(detent: Detent, name: str, token: str) -> dict[str, Any]:
    answer = detent.http.post(
        "/oauth/token", data={"grant_type": "refresh_token", "refresh_token": token}, auth=(name, "secret")
    )
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


def introspected(detent: Detent, name: str, token: str) -> dict[str, Any]:
    told: dict[str, Any] = detent.http.post("/oauth/introspect", data={"token": token}, auth=(name, "secret")).json()
    return told


def test_attack_x11_openid_core_8_1_one_subject_in_a_sector_another_in_the_next_and_none_says_who_it_is(
    house: Detent,
) -> None:
    subject = house.user("test").subject
    seen = {}
    for name, uri in (("one", HERE), ("two", HERE), ("far", THERE)):
        tokens = tokens_of(house, name, uri)
        told = set()
        for _ in range(3):
            bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
            answer = house.http.get("/userinfo", headers=bearer)
            introspections = [introspected(house, name, tokens[kind]) for kind in ("access_token", "refresh_token")]
            told |= {
                claims_of(tokens["id_token"])["sub"],
                claims_of(tokens["access_token"])["sub"],
                answer.json()["sub"],
                *(each["sub"] for each in introspections),
            }
            everything = json.dumps([claims_of(tokens["id_token"]), claims_of(tokens["access_token"]), introspections])
            assert subject not in everything + answer.text
            house.clock.advance(61)
            tokens = refreshed(house, name, tokens["refresh_token"])
        assert len(told) == 1, "refreshes, userinfo and introspection agree"
        seen[name] = told.pop()
    assert seen["one"] == seen["two"] != seen["far"]
    assert 1 <= len(seen["one"]) <= 255


def test_an_opaque_access_token_says_no_more_to_its_api(house: Detent) -> None:
    tokens = tokens_of(house, "one", resource=(VAULT,))
    assert house.introspect(tokens["access_token"], "demo-api")["sub"] == claims_of(tokens["id_token"])["sub"]


def test_two_people_are_two_and_the_subject_outlives_a_rotation_of_every_key(
    tmp_path: Path, house: Detent, keys_folder: Path
) -> None:
    clock = ManualClock(START)
    keys = FileKeys.open(tmp_path / "keys", clock)
    registered = house.thread.call(house.store.client("one"))
    pairwise = Pairwise(keys, house.house.outbound.fetch)
    people = [house.user(name).subject for name in ("test", "ada")]
    before = [pairwise.told(subject, registered) for subject in people]
    assert len(set(before)) == 2
    for _ in range(2):
        asyncio.run(keys.rotate("pepper"))
        clock.advance(100 * 86_400)
    assert [pairwise.told(subject, registered) for subject in people] == before
    another = Pairwise(FileKeys.open(keys_folder, clock), house.house.outbound.fetch)
    assert another.told(people[0], registered) not in before, "another installation, other subjects"


def test_openid_core_3_1_2_1_a_hint_and_a_wanted_sub_are_read_as_the_client_knows_them(house: Detent) -> None:
    document = Published(["http://127.0.0.1:7777/callback"])
    house.thread.serve(document, document.at)
    keys: Any = house.house.outside.keys
    extra = {**PAIRWISE, "sector_identifier_uri": document.url}
    house.apply(InsertClient(client("near", "browser", keys, extra=extra)))
    with Browser(house) as browser:
        tokens = browser.tokens("near")
        mine = claims_of(tokens["id_token"])["sub"]
        assert mine != house.user("test").subject
        asking = json.dumps({"id_token": {"sub": {"value": mine}}})
        assert "code" in browser.authorize("near", prompt="none", id_token_hint=tokens["id_token"]).answer
        assert "code" in browser.authorize("near", prompt="none", claims=asking).answer
        public = json.dumps({"id_token": {"sub": {"value": house.user("test").subject}}})
        assert browser.authorize("near", prompt="none", claims=public).answer["error"] == "login_required"
        hint = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": RETURN_URI}
        assert browser.open("/oidc/logout", params=hint).location == RETURN_URI, "and signs out by it"


def add(detent: Detent, metadata: dict[str, Any], **fields: Any) -> None:
    detent.thread.call(detent.house.registrations.add_client("web", ClientFields(metadata=metadata, **fields)))


@pytest.mark.parametrize(
    ("fields", "because"),
    [
        ({"redirect_uris": (HERE, THERE)}, "needs a sector_identifier_uri"),
        ({"redirect_uris": ("http://127.0.0.1/callback",)}, "needs a sector_identifier_uri"),
        ({"redirect_uris": ()}, "needs a sector_identifier_uri"),
        ({"redirect_uris": (HERE,), "refresh_strategy": "allowlist"}, "pairwise needs family"),
    ],
)
def test_openid_core_8_1_without_a_sector_of_its_own_there_is_nothing_to_be_pairwise_in(
    house: Detent, fields: dict[str, Any], because: str
) -> None:
    with pytest.raises(InvalidClientMetadata, match=because):
        add(house, PAIRWISE, **fields)


def test_attack_x11_dynamic_registration_5_the_sector_document_lists_every_redirect_uri(house: Detent) -> None:
    document = Published([HERE])
    house.thread.serve(document, document.at)
    metadata = {**PAIRWISE, "sector_identifier_uri": document.url}
    with pytest.raises(InvalidClientMetadata, match="does not list https://other"):
        add(house, metadata, redirect_uris=(HERE, THERE))
    document.body = [HERE, THERE, "https://more.example/"]
    add(house, metadata, redirect_uris=(HERE, THERE))
    for body, status in (({"a": 1}, 200), (b"{", 200), ([1], 200), (b"[" * 5000, 200), ([HERE, THERE], 404)):
        document.body, document.status = body, status
        with pytest.raises(InvalidClientMetadata, match="with a JSON array"):
            add(house, metadata, redirect_uris=(HERE, THERE))


@pytest.mark.parametrize(
    ("uri", "because"),
    [
        ("https://10.1.2.3/sector.json", "from a public address, with a JSON array"),
        ("https://169.254.169.254/latest", "from a public address, with a JSON array"),
        ("http://app.example/sector.json", "must be an https URL"),
        ("file:///etc/passwd", "must be an https URL"),
    ],
)
def test_attack_s1_the_sector_document_is_fetched_through_the_guard_and_the_answer_says_nothing_of_inside(
    house: Detent, uri: str, because: str
) -> None:
    with pytest.raises(InvalidClientMetadata, match=because):
        add(house, {**PAIRWISE, "sector_identifier_uri": uri}, redirect_uris=(HERE,))


def test_a_pairwise_client_is_told_no_other_subject_where_the_feature_was_taken_out(house: Detent) -> None:
    keys: Any = house.house.outside.keys
    house.apply(InsertClient(client("strange", "native", keys, extra={"subject_type": "ephemeral"})))
    refused = house.redeem("strange", house.code("strange", scope="openid"))
    assert (refused.status_code, refused.json()["error"]) == (400, "unauthorized_client")


def test_the_subject_is_no_digest_that_anybody_can_make(house: Detent) -> None:
    """192 bits under a key that is in no database."""
    sub = claims_of(tokens_of(house, "one")["id_token"])["sub"]
    assert len(base64.urlsafe_b64decode(sub)) == 24
