"""A1-A9: who passes for a client that it is not (RFC 6749 §2.3, RFC 7523 §3, RFC 7523bis §4)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import OctKey
from msgspec.structs import replace

from detent.client_auth import secret as secret_module
from detent.client_auth.assertion import AUDIENCE, SIGNING_ALG
from detent.client_auth.guesses import FAILURES
from detent.core.changes import ReplaceClient
from detent.profiles import OIDC
from detent.testing.server import ServerThread
from detent.web.outbound import LOOPBACK, Outbound
from tests.asserting import SIGNING_SECRET, Asserting
from tests.attacks.outcomes import assert_refused
from tests.published import Published, jwks, key, signed
from tests.serving import SECRET, Detent, running

DOORS = ("/oauth/token", "/oauth/revoke", "/oauth/introspect")
ALGS = ("RS256", "PS256", "ES256", "EdDSA")


@pytest.fixture(scope="module")
def asserting(standing: Detent) -> Asserting:
    return Asserting(standing)


@pytest.mark.parametrize("alg", ALGS)
def test_rfc7523_2_2_a_client_signs_who_it_is_with_any_key_of_its_own(standing: Detent, alg: str) -> None:
    signing = Asserting(standing, alg)
    assert signing.token().status_code == 200
    assert signing.post("/oauth/revoke", token="x").status_code == 200
    assert signing.post("/oauth/introspect", token="x").json() == {"active": False}


def test_rfc7523_2_2_a_secret_signs_without_being_sent(standing: Detent) -> None:
    signing = Asserting(standing, "HS256", "client_secret_jwt")
    assert signing.token().status_code == 200
    shown = standing.http.post(
        "/oauth/token", data={"grant_type": "client_credentials"}, auth=(signing.name, SIGNING_SECRET)
    )
    assert_refused(shown, "invalid_client", 401)


@pytest.mark.quick
@pytest.mark.parametrize("path", DOORS)
def test_attack_a1_two_ways_or_two_clients_are_refused(asserting: Asserting, path: str) -> None:
    form = {**asserting.form(), "token": "x", "grant_type": "client_credentials"}
    http = asserting.detent.http
    assert_refused(http.post(path, data=form, auth=("machine", SECRET)), "invalid_request")
    assert_refused(http.post(path, data={**form, "client_id": "machine"}), "invalid_request")
    assert_refused(http.post(path, data={**form, "client_secret": "x", "client_id": asserting.name}), "invalid_request")
    assert http.post(path, data={**form, "client_id": asserting.name}).status_code == 200


def test_attack_a2_an_empty_assertion_is_none_and_a_registered_method_is_not_bypassed(asserting: Asserting) -> None:
    http, form = asserting.detent.http, {"grant_type": "client_credentials"}
    for wrong in (
        {"client_assertion": ""},
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
        {"client_assertion_type": ""},
    ):
        assert_refused(http.post("/oauth/token", data={**asserting.form(), **form, **wrong}), "invalid_request")
    assert_refused(http.post("/oauth/token", data={**form, "client_id": asserting.name}), "invalid_client", 401)
    for secret in ("", "x", asserting.assertion()):
        assert_refused(http.post("/oauth/token", data=form, auth=(asserting.name, secret)), "invalid_client", 401)
    in_query = http.post("/oauth/token", params=asserting.form(), data=form)
    assert_refused(in_query, "invalid_request")


@pytest.mark.quick
@pytest.mark.parametrize("path", DOORS)
def test_attack_a5_an_assertion_counts_once_whatever_it_asked_for(asserting: Asserting, path: str) -> None:
    assertion = asserting.assertion()
    form = {"token": "x", "grant_type": "client_credentials"}
    assert asserting.post(path, assertion, **form).status_code == 200
    for other in DOORS:
        assert_refused(asserting.post(other, assertion, **form), "invalid_client", 401)


@pytest.mark.quick
def test_attack_a5_of_many_at_once_one_counts(standing: Detent, asserting: Asserting) -> None:
    assertion = asserting.assertion()
    statuses = [answer.status_code for answer in standing.at_once(8, lambda _: asserting.token(assertion))]
    assert sorted(statuses) == [200] + [401] * 7


def test_attack_a5_it_is_remembered_over_a_restart(tmp_path: Path, keys_folder: Path) -> None:
    with running(tmp_path, keys_folder) as served:
        before = Asserting(served, name="before")
        assertion = before.assertion(aud=f"{served.issuer}oauth/token")
        assert before.token(assertion).status_code == 200
        again = running(tmp_path, keys_folder, clock=served.clock, public=served.issuer)
        with again as second:
            form = {"grant_type": "client_credentials", **before.form(assertion)}
            assert_refused(second.http.post("/oauth/token", data=form), "invalid_client", 401)


def test_an_assertion_of_a_refused_request_is_not_spent(asserting: Asserting) -> None:
    assertion = asserting.assertion()
    assert_refused(asserting.token(assertion, scope="never-heard-of"), "invalid_scope")
    assert asserting.token(assertion).status_code == 200


def test_rfc7523_3_whom_an_assertion_may_name(standing: Detent, asserting: Asserting) -> None:
    """OpenID Connect Core §9: the token endpoint; RFC 7523bis: the issuer. Both are believed, together too."""
    issuer, endpoint = standing.issuer, f"{standing.issuer}oauth/token"
    for aud in (issuer, endpoint, [issuer], [issuer, endpoint]):
        assert asserting.token(asserting.assertion(aud=aud)).status_code == 200, aud
    at_revocation = asserting.assertion(aud=f"{issuer}oauth/revoke")
    assert asserting.post("/oauth/revoke", at_revocation, token="x").status_code == 200


FOREIGN = "https://other.example/"


@pytest.mark.quick
@pytest.mark.parametrize(
    "aud",
    [
        None, "", FOREIGN, [], "ISSUER/x", "issuer", ["ISSUER", FOREIGN], [["ISSUER"]], {"ISSUER": 1}, 1,
        "ISSUERoauth/token/",
    ],
)  # fmt: skip
def test_attack_a6_an_assertion_for_somebody_else_is_refused(asserting: Asserting, aud: Any) -> None:
    issuer = asserting.detent.issuer
    meant = aud.replace("ISSUER", issuer) if isinstance(aud, str) else aud
    if isinstance(aud, list):
        meant = [issuer if each == "ISSUER" else each for each in aud]
    assert_refused(asserting.token(asserting.assertion(aud=meant)), "invalid_client", 401)


def test_attack_a6_with_the_strict_rule_the_issuer_alone_as_one_string(
    tmp_path: Path, keys_folder: Path, standing: Detent
) -> None:
    """RFC 7523bis §4, FAPI 2.0 §5.3.2.1: no endpoint's URL, which a hostile server could have made the client sign."""
    strict = Asserting(standing, extra={AUDIENCE: "issuer"})
    assert strict.token().status_code == 200
    for aud in (f"{standing.issuer}oauth/token", [standing.issuer], [standing.issuer, FOREIGN]):
        assert_refused(strict.token(strict.assertion(aud=aud)), "invalid_client", 401)
    with running(tmp_path, keys_folder, "memory", profile=replace(OIDC, assertion_audience="issuer")) as served:
        usual, lax = Asserting(served), Asserting(served, extra={AUDIENCE: "endpoint"})
        endpoint = f"{served.issuer}oauth/token"
        assert_refused(usual.token(usual.assertion(aud=endpoint)), "invalid_client", 401)
        assert lax.token(lax.assertion(aud=endpoint)).status_code == 200


WRONG: dict[str, dict[str, Any]] = {
    "another iss": {"iss": "machine"},
    "no iss": {"iss": None},
    "no sub": {"sub": None},
    "sub is a number": {"sub": 7},
    "no exp": {"exp": None},
    "exp as text": {"exp": "2100000000"},
    "expired": {"exp": 0},
    "exp in two hours": {"exp": 7200},
    "iat in the future": {"iat": 60},
    "nbf in the future": {"nbf": 60},
    "no jti": {"jti": None},
    "an empty jti": {"jti": ""},
    "a jti without end": {"jti": "x" * 257},
    "a jti that is a number": {"jti": 1},
}


@pytest.mark.parametrize("why", WRONG)
def test_attack_a7_what_an_assertion_must_say(asserting: Asserting, why: str) -> None:
    now = asserting.detent.clock.now()
    times = ("exp", "iat", "nbf")
    change: dict[str, Any] = {n: now + v if n in times and isinstance(v, int) else v for n, v in WRONG[why].items()}
    assert_refused(asserting.token(asserting.assertion(None, **change)), "invalid_client", 401)


@pytest.mark.quick
def test_attack_a7_another_clients_key_or_name_proves_nothing(standing: Detent, asserting: Asserting) -> None:
    other = Asserting(standing)
    as_other = asserting.claims(iss=other.name, sub=other.name)
    assert_refused(asserting.token(signed(asserting.key, as_other)), "invalid_client", 401)
    for unknown in ("nobody", "machine", "app"):
        as_unknown = asserting.claims(iss=unknown, sub=unknown)
        assert_refused(asserting.token(signed(asserting.key, as_unknown)), "invalid_client", 401)


@pytest.mark.quick
def test_attack_a7_no_alg_but_those_of_the_method(standing: Detent, asserting: Asserting) -> None:
    """RFC 8725 §3.1: `none`, a public key as a shared secret, and a secret where keys are registered."""
    unsigned = "eyJhbGciOiJub25lIn0." + asserting.assertion().split(".")[1] + "."
    assert_refused(asserting.token(unsigned), "invalid_client", 401)
    by_secret = Asserting(standing, "HS256", "client_secret_jwt")
    as_keyed = signed(by_secret.key, asserting.claims(), alg="HS256", kid=None)
    assert_refused(asserting.token(as_keyed), "invalid_client", 401)
    as_secret = signed(asserting.key, by_secret.claims())
    assert_refused(by_secret.token(as_secret), "invalid_client", 401)
    for typ in ("at+jwt", "dpop+jwt", "oauth-authz-req+jwt"):
        assert_refused(asserting.token(asserting.assertion({"typ": typ})), "invalid_client", 401)
    assert asserting.token(asserting.assertion({"typ": "client-authentication+jwt"})).status_code == 200


def test_rfc7591_2_a_client_that_registered_an_alg_is_kept_to_it(standing: Detent) -> None:
    only = Asserting(standing, "ES256", extra={SIGNING_ALG: "PS256"})
    assert_refused(only.token(), "invalid_client", 401)
    kept = Asserting(standing, "PS256", extra={SIGNING_ALG: "PS256"})
    assert kept.token().status_code == 200


@pytest.mark.parametrize("assertion", ["x", "a.b.c", "..", "e30.e30.", "x" * 20_000, "ä.ö.ü"])
def test_attack_a7_what_is_no_jwt_is_no_assertion(asserting: Asserting, assertion: str) -> None:
    assert_refused(asserting.token(assertion), "invalid_client", 401)


def test_attack_a9_a_rotated_secret_signs_no_more_after_its_overlap_nor_for_a_disabled_client(detent: Detent) -> None:
    signing = Asserting(detent, "HS256", "client_secret_jwt")
    stored = detent.thread.call(detent.store.client(signing.name))
    ends = tuple(replace(each, expires_at=detent.clock.now() + 60) for each in stored.secrets)
    detent.apply(ReplaceClient(replace(stored, secrets=ends, version=2)))
    assert signing.token().status_code == 200
    detent.clock.advance(60)
    assert_refused(signing.token(), "invalid_client", 401)
    detent.apply(ReplaceClient(replace(stored, enabled=False, version=3)))
    assert_refused(signing.token(), "invalid_client", 401)


def test_attack_a4_an_unknown_client_costs_the_hash_of_a_known_one(
    standing: Detent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not timed: a loaded machine says nothing of a microsecond."""
    hashes: list[str] = []

    def counted(secret: str, key: bytes) -> bytes:
        hashes.append(secret)
        return honest(secret, key)

    honest = secret_module._digest
    monkeypatch.setattr(secret_module, "_digest", counted)
    for name in ("machine", "nobody", "app", "x" * 256):
        hashes.clear()
        shown = standing.http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(name, "wrong"))
        assert_refused(shown, "invalid_client", 401)
        assert hashes == ["wrong"], name


@pytest.fixture
def guessed(tmp_path: Path, keys_folder: Path) -> Iterator[Detent]:
    """Behind a proxy that tells whence a request comes."""
    with running(tmp_path, keys_folder, "memory", proxies=1) as served:
        yield served


THIEF, HONEST = {"x-forwarded-for": "203.0.113.66"}, {"x-forwarded-for": "198.51.100.7"}


def guess(detent: Detent, whence: dict[str, str], secret: str = "a guess", name: str = "machine") -> httpx.Response:
    form = {"grant_type": "client_credentials", "token": "x"}
    return detent.http.post("/oauth/token", data=form, auth=(name, secret), headers=whence)


def test_attack_a8_rfc6749_10_10_guessing_a_secret_is_429_and_the_honest_client_goes_on(guessed: Detent) -> None:
    statuses = [guess(guessed, THIEF).status_code for _ in range(FAILURES + 20)]
    assert statuses == [401] * FAILURES + [429] * 20
    slow = guess(guessed, THIEF, SECRET)
    assert_refused(slow, "slow_down", 429)
    assert 0 < int(slow.headers["retry-after"]) <= 60, "not even the right one would be heard there"
    assert guess(guessed, HONEST, SECRET).status_code == 200, "nobody else is locked out"
    assert guess(guessed, THIEF, SECRET, "other").status_code != 429, "nor another client at that address"
    guessed.clock.advance(60)
    assert guess(guessed, THIEF, SECRET).status_code == 200


def test_attack_a8_at_every_door_and_by_assertion_too(guessed: Detent) -> None:
    signing = Asserting(guessed, "HS256", "client_secret_jwt")
    bad = signed(OctKey.import_key("another secret of thirty-two characters"), signing.claims(), alg="HS256", kid=None)
    for _ in range(FAILURES):
        form = {"token": "x", **signing.form(bad)}
        assert guessed.http.post("/oauth/introspect", data=form, headers=THIEF).status_code == 401
    for path in DOORS:
        form = {"token": "x", "grant_type": "client_credentials", **signing.form()}
        assert guessed.http.post(path, data=form, headers=THIEF).status_code == 429
        form = {"token": "x", "grant_type": "client_credentials", **signing.form()}
        assert guessed.http.post(path, data=form, headers=HONEST).status_code == 200


def test_attack_a8_right_proofs_and_public_clients_do_not_count(guessed: Detent) -> None:
    for _ in range(FAILURES + 1):
        assert guess(guessed, THIEF, SECRET).status_code == 200
    for _ in range(FAILURES - 1):
        guess(guessed, THIEF)
    assert guess(guessed, THIEF, SECRET).status_code == 200
    assert guess(guessed, THIEF).status_code == 401
    assert guess(guessed, THIEF, SECRET).status_code == 429


def test_rfc7591_2_a_jwks_uri_is_asked_again_for_a_new_kid_and_its_failure_is_503(
    tmp_path: Path, keys_folder: Path
) -> None:
    first, second = key("first"), key("second")
    document = Published(jwks(first))
    with ServerThread() as thread, running(tmp_path, keys_folder, "memory", outbound=Outbound(LOOPBACK)) as served:
        thread.serve(document, document.at)
        signing = Asserting(served, extra={"jwks": None, "jwks_uri": document.url})
        document.status = 500
        failed = signing.token(signed(first, signing.claims()))
        assert_refused(failed, "temporarily_unavailable", 503)
        document.status = 200
        served.clock.advance(10)
        assert signing.token(signed(first, signing.claims())).status_code == 200
        document.body = jwks(first, second)
        served.clock.advance(60)
        assert signing.token(signed(second, signing.claims())).status_code == 200


def test_a_secret_that_signs_is_sealed_and_no_other_is(standing: Detent) -> None:
    signing = Asserting(standing, "HS256", "client_secret_jwt")
    stored = standing.thread.call(standing.store.client(signing.name))
    assert all(each.sealed and SIGNING_SECRET.encode() not in each.sealed for each in stored.secrets)
    assert SIGNING_SECRET not in repr(stored)
    for name in ("web", "machine", "testclient"):
        assert not any(each.sealed for each in standing.thread.call(standing.store.client(name)).secrets)
