"""ID tokens (OpenID Connect Core §2, §3.1.3, §12.2): one with every answer while `openid` was granted."""

import base64
import hashlib
import secrets
from typing import Any

import pytest

from detent.core.api import SIGNING_ALGS
from detent.core.authorization import Authorization
from detent.core.changes import Changes, InsertClient, InsertSession, SaveConsent
from detent.core.consent import Consent
from detent.core.ids import ClientId, Instant, SessionKey, placement_of
from detent.core.people import CLAIMS_OF_SCOPE
from detent.core.policy import ClientKind
from detent.core.session import Session, SessionPolicy, new_life
from detent.resource_server import VerificationKeys, Verifier
from tests.mission.test_a_tokens import claims_of
from tests.serving import API, Detent, client

UNCHANGED = ("iss", "sub", "aud", "azp", "auth_time", "amr", "acr", "sid")
SCOPE = "openid profile email offline_access read write"


def verified(detent: Detent, client: str, id_token: str, alg: str = "RS256") -> dict[str, Any]:
    """The claims of an ID token that verifies with the published keys, as a relying party reads them."""
    keys = VerificationKeys.from_jwks(detent.http.get("/.well-known/jwks.json").json())
    verifier = Verifier(detent.issuer, client, algorithms=(alg,), types=("jwt",), required=("sub",))
    return dict(verifier.verify(id_token, keys, detent.clock.now()).raw)


def code(detent: Detent, client: str, **change: Any) -> str:
    """The code of somebody who signed in a while ago, with two factors, in a session, and allowed the app."""
    now, subject, client_id = detent.clock.now(), detent.user("test").subject, ClientId(client)
    signed_in_at, amr, acr = Instant(now - 500), ("pwd", "otp"), "urn:example:2"
    key = SessionKey(placement_of(subject), secrets.token_bytes(16))
    life = new_life(SessionPolicy(), signed_in_at)
    session = Session(key, subject, secrets.token_bytes(32), signed_in_at, signed_in_at, amr, life, acr=acr)
    consent = Consent(subject, client_id, {}, now)
    detent.thread.call(detent.store.apply(Changes((InsertSession(session), SaveConsent(consent)))))
    authorization = Authorization(
        client_id, subject, tuple(SCOPE.split()), (API,), now,
        auth_time=signed_in_at, amr=amr, acr=acr, session_id=session.sid,
    )  # fmt: skip
    return detent.code(client, authorization=authorization, **change)


@pytest.mark.quick
@pytest.mark.parametrize("client", ["app", "spa", "web", "cli"])
def test_openid_core_12_2_an_id_token_on_every_refresh_unchanged_but_for_its_time(detent: Detent, client: str) -> None:
    first = detent.redeem(client, code(detent, client, nonce="n-0S6_WzA2Mj")).json()
    before = verified(detent, client, first["id_token"])
    assert before["nonce"] == "n-0S6_WzA2Mj"
    assert before["auth_time"] == detent.clock.now() - 500
    assert before.keys() >= set(UNCHANGED)
    assert (before["aud"], before["azp"]) == (client, client)

    token, last = first["refresh_token"], before
    for seconds in (1, 70, 300):
        detent.clock.advance(seconds)
        renewed = detent.refreshed(client, token)
        token = renewed["refresh_token"]
        claims = verified(detent, client, renewed["id_token"])
        assert {name: claims[name] for name in UNCHANGED} == {name: before[name] for name in UNCHANGED}
        assert "nonce" not in claims
        assert claims["iat"] == detent.clock.now()
        assert (claims["iat"], claims["exp"]) > (last["iat"], last["exp"])
        assert claims.keys() == before.keys() - {"nonce"}, "the person too: single-page apps read the newest one"
        last = claims


def test_a_repeat_and_a_kept_token_bring_an_id_token_too(detent: Detent) -> None:
    first = detent.redeem("app", code(detent, "app")).json()
    detent.clock.advance(1)
    second = detent.refreshed("app", first["refresh_token"])
    repeated = detent.refreshed("app", first["refresh_token"])
    kept = detent.refreshed("app", second["refresh_token"])
    assert repeated["refresh_token"] == second["refresh_token"] == kept["refresh_token"]
    for tokens in (repeated, kept):
        assert verified(detent, "app", tokens["id_token"])["sub"] == detent.user("test").subject


@pytest.mark.quick
@pytest.mark.parametrize("scope", ["read", "openid", "openid read", "write"])
def test_a_narrowed_refresh_brings_an_id_token_since_openid_was_granted(standing: Detent, scope: str) -> None:
    first = standing.sign_in("web", scope=SCOPE)
    narrow = standing.refreshed("web", first["refresh_token"], scope=scope)
    assert verified(standing, "web", narrow["id_token"])["sub"] == standing.user("test").subject


@pytest.mark.parametrize("client", ["testclient", "app"])
def test_openid_core_3_1_2_1_without_openid_there_is_no_id_token(standing: Detent, client: str) -> None:
    first = standing.sign_in(client, scope="read write")
    assert "id_token" not in first
    assert "id_token" not in standing.refreshed(client, first["refresh_token"])
    assert "id_token" not in standing.token("machine", grant_type="client_credentials").json()


@pytest.mark.parametrize("scope", ["openid", "openid profile", "openid email", "openid profile email"])
def test_openid_core_5_4_a_scope_asks_for_its_claims_and_no_more(standing: Detent, scope: str) -> None:
    tokens = standing.sign_in("app", scope=scope, resource=())
    asked = {claim for name in scope.split() for claim in CLAIMS_OF_SCOPE.get(name, ())}
    known = {"preferred_username", "name", "email", "picture", "updated_at"}
    personal = {claim for claims in CLAIMS_OF_SCOPE.values() for claim in claims}

    in_id_token = verified(standing, "app", tokens["id_token"]).keys() & personal
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    at_userinfo = standing.http.get("/userinfo", headers=bearer).json()

    assert not in_id_token, "the access token leads to userinfo"
    assert at_userinfo.keys() == (asked & known) | {"sub"}
    assert not claims_of(tokens["access_token"]).keys() & personal, "mission B19"


@pytest.mark.parametrize(
    ("name", "chosen", "told"), [("spa", None, True), ("quiet", False, False), ("loud", True, True)]
)
def test_a_client_that_reads_the_id_token_alone_is_told_there_too(
    standing: Detent, name: str, chosen: bool | None, told: bool
) -> None:
    """Browser apps do unless they say otherwise, others where they say so."""
    if chosen is not None:
        kind: ClientKind = "browser" if name == "quiet" else "native"
        keys: Any = standing.house.outside.keys
        standing.apply(InsertClient(client(name, kind, keys, extra={"scope_claims_in_id_token": chosen})))
    tokens = standing.sign_in(name, scope="openid email")
    assert (claims_of(tokens["id_token"]).get("email") == "test@example.com") is told
    assert ("email" in claims_of(standing.refreshed(name, tokens["refresh_token"])["id_token"])) is told


@pytest.mark.parametrize("alg", SIGNING_ALGS)
def test_openid_core_3_1_3_6_at_hash_is_of_the_access_token_beside_it(standing: Detent, alg: str) -> None:
    keys: Any = standing.house.outside.keys
    name = f"signed-{alg}"
    standing.apply(InsertClient(client(name, "native", keys, extra={"id_token_signed_response_alg": alg})))
    first = standing.sign_in(name, scope="openid")
    standing.clock.advance(61)
    second = standing.refreshed(name, first["refresh_token"])
    for tokens in (first, second):
        digest = (hashlib.sha512 if alg == "EdDSA" else hashlib.sha256)(tokens["access_token"].encode()).digest()
        half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")
        assert verified(standing, name, tokens["id_token"], alg)["at_hash"] == half


def test_the_issuer_is_one_string_that_ends_with_a_slash_everywhere(standing: Detent) -> None:
    tokens = standing.sign_in("web", scope=SCOPE)
    published = standing.http.get("/.well-known/openid-configuration").json()["issuer"]
    assert published.endswith("/")
    assert {
        claims_of(tokens["access_token"])["iss"],
        claims_of(tokens["id_token"])["iss"],
        standing.introspect(tokens["access_token"], "web")["iss"],
        published,
    } == {standing.issuer}


def test_openid_core_5_3_2_the_subject_is_one_everywhere(standing: Detent) -> None:
    first = standing.sign_in("web", scope=SCOPE)
    second = standing.refreshed("web", first["refresh_token"])
    subjects = {standing.user("test").subject}
    for tokens in (first, second):
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        subjects |= {
            claims_of(tokens["id_token"])["sub"],
            claims_of(tokens["access_token"])["sub"],
            standing.http.get("/userinfo", headers=bearer).json()["sub"],
            standing.introspect(tokens["access_token"], "web")["sub"],
        }
    assert len(subjects) == 1
