"""Attacks on JOSE where others sign for us (rows J9 to J12, J17, J19): assertions, request objects, hints, proofs.

Every door that reads a JWT of somebody else is asked over HTTP; the doors for our own access tokens are asked by
test_j_jose.py. Proofs of possession have a file of their own, test_d_dpop.py.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey

from detent.core.changes import InsertClient
from tests.attacks.forging import Forge, assert_refused_everywhere, base64url
from tests.attacks.outcomes import assert_refused
from tests.browsing import Browser, request_of
from tests.encrypting import to_server
from tests.endpoints.test_jar import Signing, encrypts
from tests.mission.test_a_tokens import claims_of
from tests.serving import Detent, client, running

pytestmark = pytest.mark.slow

Door = Callable[[str], None]
ENCRYPTION = ("ECDH-ES", "A128CBC-HS256")


@pytest.fixture(scope="module")
def signing(standing: Detent) -> Signing:
    return encrypts(Signing(standing, kind="web"), *ENCRYPTION)


@pytest.fixture(scope="module")
def forge(standing: Detent, keys_folder: Path) -> Forge:
    return Forge(standing, keys_folder)


@pytest.fixture(scope="module")
def doors(standing: Detent, signing: Signing) -> Iterator[dict[str, Door]]:
    """Each takes a token that is no good, and asserts that it says so as it says of any other."""
    with Browser(standing) as browser:

        def request_object(token: str) -> None:
            given = browser.authorize(signing.name, "POST", request=token)
            assert given.answer["error"] == "invalid_request_object", given.text

        def pushed(token: str) -> None:
            answer = signing.post("/oauth/par", client_id=signing.name, request=token)
            assert_refused(answer, "invalid_request_object")

        def assertion(token: str) -> None:
            assert_refused(signing.token(token), "invalid_client", 401)

        def proof(token: str) -> None:
            form = {"grant_type": "client_credentials"}
            asked = standing.post("/oauth/token", "machine", {"DPoP": token}, **form)
            assert_refused(asked, "invalid_dpop_proof")

        def hint(token: str) -> None:
            """One that is not ours proves nothing, so nothing is answered without a person."""
            page = browser.authorize("spa", "POST", prompt="none", id_token_hint=token)
            assert page.answer["error"] in ("login_required", "invalid_request")

        yield {each.__name__: each for each in (request_object, pushed, assertion, proof, hint)}


def test_attack_j9_rfc8725_3_6_nothing_that_is_compressed_is_ever_inflated(
    standing: Detent, doors: dict[str, Door], forge: Forge
) -> None:
    """4 MB of zeros in 6 kB, to a key of ours that this client may encrypt to; and a signed token that says so."""
    bomb = to_server(standing, "0" * (4 << 20), *ENCRYPTION, zip="DEF")
    assert len(bomb) < 10_000
    assert_refused_everywhere(standing, bomb)
    assert_refused_everywhere(standing, forge.minted(header={"zip": "DEF", "crit": ["zip"]}))
    for refuse in doors.values():
        refuse(bomb)


@pytest.mark.parametrize("alg", ["PBES2-HS256+A128KW", "RSA1_5", "dir", "A256KW"])
def test_attack_j10_rfc7518_4_8_no_key_is_derived_however_often_and_no_padding_is_looked_at(
    standing: Detent, doors: dict[str, Door], alg: str
) -> None:
    """With 2^31 rounds this would not end: what a client did not register is not even tried."""
    header = {"alg": alg, "enc": "A128GCM", "p2c": 2**31 - 1, "p2s": "c2FsdA"}
    parts = (json.dumps(header).encode(), bytes(256), bytes(12), b"x", bytes(16))
    token = ".".join(base64url(part).decode() for part in parts)
    assert_refused_everywhere(standing, token)
    for refuse in doors.values():
        refuse(token)


def test_attack_j11_rfc8725_3_4_signatures_of_zeros_prove_nothing(signing: Signing, doors: dict[str, Door]) -> None:
    """CVE-2022-21449: r = s = 0; and the other values that are no number in the group."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    honest = {"assertion": signing.assertion(), "request_object": signing.object(), "pushed": signing.object()}
    for name, token in honest.items():
        front = token.rpartition(".")[0]
        for r, s in ((0, 0), (order, order), (0, 1), (1, 0)):
            forged = base64url(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode()
            doors[name](f"{front}.{forged}")


def number(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode()


EC: dict[str, Any] = ECKey.generate_key("P-256").as_dict(private=False)
RSA: dict[str, Any] = RSAKey.generate_key(2048).as_dict(private=False)
WEAK: dict[str, dict[str, Any]] = {
    "RSA of 512 bits": {**RSA, "n": number((1 << 511) + 1)},
    "RSA of 1024 bits for encryption": {**RSA, "n": number((1 << 1023) + 1), "use": "enc"},
    "e = 1": {**RSA, "e": number(1)},
    "e = 3": {**RSA, "e": number(3)},
    "a point off the curve": {**EC, "y": EC["x"]},
    "a curve that is another": {**EC, "crv": "P-384"},
    "half a point": {name: value for name, value in EC.items() if name != "y"},
    "no number": {**EC, "x": 7},
}


@pytest.fixture(scope="module")
def registering(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    with running(tmp_path_factory.mktemp("open"), keys_folder, "memory", registering="open") as served:
        yield served


def register(detent: Detent, *keys: dict[str, Any]) -> httpx.Response:
    metadata = {"redirect_uris": ["https://app.example/cb"], "jwks": {"keys": [*keys]}}
    return detent.http.post("/oidc/register", json={**metadata, "token_endpoint_auth_method": "private_key_jwt"})


@pytest.mark.filterwarnings("ignore:Key size should be")
def test_attack_j11_rfc8725_3_5_a_weak_key_is_not_registered(registering: Detent) -> None:
    for why, jwk in WEAK.items():
        refused = register(registering, EC, jwk)
        assert refused.json().get("error") == "invalid_client_metadata", why
    unknown = ({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}, {"kty": "EC", "crv": "secp256k1", "x": "A", "y": "A"})
    assert register(registering, EC, RSA, *unknown).status_code == 201, "what is unknown here is left (RFC 7517 §5)"


def test_attack_j12_rfc8725_3_8_names_are_compared_whole(
    standing: Detent, signing: Signing, forge: Forge, doors: dict[str, Door]
) -> None:
    """Issuer and audience by prefix, by a part, in another case, among others."""
    issuer, name = standing.issuer, signing.name
    for near in (issuer[:-1], f"{issuer}x", issuer.upper(), f" {issuer}", f"{issuer}\n", [issuer, issuer]):
        assert_refused_everywhere(standing, forge.minted({"iss": near}))
    for near in (name[:-1], f"{name}x", name.upper(), [name]):
        doors["assertion"](signing.assertion(iss=near))
        doors["request_object"](signing.object(iss=near))
    for aud in (issuer[:-1], f"{issuer}x", issuer.upper(), [issuer, "https://other.example/"]):
        doors["assertion"](signing.assertion(aud=aud))
    strange: tuple[Any, ...] = (
        issuer[:-1],
        f"{issuer}x",
        issuer.upper(),
        ["https://x.example/"],
        [[issuer]],
        {issuer: 1},
    )
    for named in strange:
        doors["request_object"](signing.object(aud=named))


def test_attack_j17_openid_3_1_3_6_at_hash_is_of_the_algorithm_that_signs(standing: Detent) -> None:
    """There is one for each algorithm that a client can register, and none can be registered beside them."""
    digests = {"RS256": hashlib.sha256, "PS256": hashlib.sha256, "ES256": hashlib.sha256, "EdDSA": hashlib.sha512}
    told = standing.http.get("/.well-known/openid-configuration").json()
    assert set(told["id_token_signing_alg_values_supported"]) == set(digests)
    keys: Any = standing.house.outside.keys
    for alg, digest in digests.items():
        extra = {"id_token_signed_response_alg": alg}
        standing.apply(InsertClient(client(f"hears-{alg}", "web", keys, extra=extra)))
        tokens = standing.redeem_as(f"hears-{alg}", standing.code(f"hears-{alg}", scope="openid read")).json()
        half = digest(tokens["access_token"].encode()).digest()
        expected = base64url(half[: len(half) // 2]).decode()
        assert claims_of(tokens["id_token"])["at_hash"] == expected, alg


TYPES = ("at+jwt", "dpop+jwt", "logout+jwt", "oauth-authz-req+jwt", "client-authentication+jwt", "secevent+jwt")
OWN = {"assertion": "client-authentication+jwt", "request_object": "oauth-authz-req+jwt"}


def test_attack_j19_rfc8725_3_11_no_kind_of_token_passes_for_another(
    standing: Detent, signing: Signing, forge: Forge, doors: dict[str, Door]
) -> None:
    for typ in TYPES:
        made = {"assertion": signing.assertion({"typ": typ}), "request_object": signing.object({"typ": typ})}
        for door, token in made.items():
            if typ != OWN[door]:
                doors[door](token)
        if typ != "at+jwt":
            assert_refused_everywhere(standing, forge.minted(header={"typ": typ}))
        if typ != "dpop+jwt":
            doors["proof"](forge.minted(header={"typ": typ}))
            doors["hint"](forge.minted(header={"typ": typ}))
    with Browser(standing) as browser:
        assert "code" in browser.sign_in(signing.name, request=signing.object({"typ": "oauth-authz-req+jwt"}))


def test_attack_d11_rfc9101_10_8_a_request_object_is_no_assertion_and_an_assertion_no_request(
    standing: Detent, signing: Signing, doors: dict[str, Door]
) -> None:
    """Both are signed by the client's key, for the same audience."""
    now = standing.clock.now()
    as_proof = {"sub": signing.name, "jti": "one-of-a-kind", "exp": now + 60, "iat": now}
    doors["assertion"](signing.object())
    doors["assertion"](signing.object({"typ": "oauth-authz-req+jwt"}, **as_proof))
    asking = request_of(signing.name)
    doors["request_object"](signing.assertion(**asking))
    doors["request_object"](signing.assertion({"typ": "client-authentication+jwt"}, **asking))
    doors["pushed"](signing.assertion(**asking))
