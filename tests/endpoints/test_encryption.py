"""Encrypted ID tokens and userinfo (RFC 7516, OpenID Connect Core §10.2): for whom, with which key, and when not."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from detent.core.client import Client
from detent.core.encryption import ALGS, ENCS
from detent.core.errors import InvalidClientMetadata
from detent.features.encryption import check, key_for
from detent.registry.joined import Registry
from detent.resource_server.errors import UnknownKey
from detent.resource_server.keys import VerificationKeys
from detent.web.outbound import LOOPBACK, Outbound
from tests import decrypting
from tests.decrypting import jwks_of, opened
from tests.endpoints.test_id_tokens import verified
from tests.published import Published
from tests.serving import Detent, client, running

ID_ALG, ID_ENC = "id_token_encrypted_response_alg", "id_token_encrypted_response_enc"
USERINFO_ALG, USERINFO_ENC = "userinfo_encrypted_response_alg", "userinfo_encrypted_response_enc"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    with running(tmp_path_factory.mktemp("encryption"), keys_folder, outbound=Outbound(LOOPBACK)) as served:
        yield served


def userinfo(detent: Detent, tokens: dict[str, Any]) -> httpx.Response:
    return detent.http.get("/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"})


@pytest.mark.parametrize("alg", ALGS)
@pytest.mark.parametrize("enc", ENCS)
def test_openid_core_10_2_signed_then_encrypted_to_the_client(house: Detent, alg: str, enc: str) -> None:
    name, key = f"{alg} {enc}".replace(" ", "."), decrypting.key_for(alg)
    extra = {ID_ALG: alg, ID_ENC: enc, USERINFO_ALG: alg, USERINFO_ENC: enc, "jwks": jwks_of(key)}
    decrypting.register(house, name, **extra)
    first = house.sign_in(name, scope="openid email")
    house.clock.advance(61)
    for tokens in (first, house.refreshed(name, first["refresh_token"])):
        header, inside = opened(tokens["id_token"], key)
        assert (header["alg"], header["enc"], header["cty"], header["kid"]) == (alg, enc, "JWT", "mine")
        assert verified(house, name, inside)["sub"] == house.user("test").subject
        told = userinfo(house, tokens)
        assert told.headers["content-type"] == "application/jwt"
        header, inside = opened(told.text, key)
        assert (header["alg"], header["enc"], header["cty"]) == (alg, enc, "JWT")
        assert inside.count(".") == 2


def test_a_key_that_the_client_rotates_at_its_address_is_used(house: Detent) -> None:
    old, new = decrypting.key_for("ECDH-ES", "old"), decrypting.key_for("ECDH-ES", "new")
    document = Published(jwks_of(old))
    house.thread.serve(document, document.at)
    decrypting.register(house, "rotates", jwks_uri=document.url, **{ID_ALG: "ECDH-ES"})
    assert opened(house.sign_in("rotates", scope="openid")["id_token"], old)[0]["enc"] == "A128CBC-HS256"
    document.body = jwks_of(new)
    house.clock.advance(301)
    assert opened(house.sign_in("rotates", scope="openid")["id_token"], new)[0]["kid"] == "new"
    assert document.asked == 2


def test_keys_that_do_not_fit_are_asked_for_once_more_and_then_told_of(house: Detent) -> None:
    document = Published(jwks_of(decrypting.key_for("RSA-OAEP-256")))
    house.thread.serve(document, document.at)
    decrypting.register(house, "late", jwks_uri=document.url, **{ID_ALG: "ECDH-ES"})
    code = house.code("late", scope="openid")
    refused = house.redeem("late", code)
    assert (refused.status_code, refused.json()["error"]) == (400, "unauthorized_client")
    key = decrypting.key_for("ECDH-ES")
    document.body = jwks_of(key)
    house.clock.advance(59)
    assert house.redeem("late", code).status_code == 400, "at most once a minute"
    house.clock.advance(1)
    code = house.code("late", scope="openid")
    tokens = house.redeem("late", code).json()
    assert opened(tokens["id_token"], key)


def test_while_its_keys_cannot_be_had_nothing_is_spent_and_nothing_leaves_in_the_clear(house: Detent) -> None:
    key = decrypting.key_for("ECDH-ES")
    document = Published(jwks_of(key))
    document.status = 500
    house.thread.serve(document, document.at)
    decrypting.register(house, "away", jwks_uri=document.url, **{ID_ALG: "ECDH-ES", USERINFO_ALG: "ECDH-ES"})
    code = house.code("away", scope="openid")
    refused = house.redeem("away", code)
    assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
    assert int(refused.headers["retry-after"]) > 0
    document.status = 200
    house.clock.advance(10)
    first = house.redeem("away", code)
    assert first.status_code == 200, "the code was not spent"
    document.status = 500
    house.clock.advance(86_400)
    token = first.json()["refresh_token"]
    assert house.refresh("away", token).status_code == 503
    document.status = 200
    house.clock.advance(61)
    assert opened(house.refreshed("away", token)["id_token"], key), "and the family had not moved"


@pytest.mark.filterwarnings("ignore:Key size should be")
@pytest.mark.parametrize(
    "jwk",
    [
        RSAKey.generate_key(2048, {"use": "sig"}).as_dict(private=False),
        RSAKey.generate_key(2048, {"key_ops": ["verify"]}).as_dict(private=False),
        RSAKey.generate_key(2048, {"alg": "RS256"}).as_dict(private=False),
        {"kty": "RSA", "n": urlsafe_b64encode(b"\xb7" * 128).decode().rstrip("="), "e": "AQAB"},
        RSAKey.generate_key(2048).as_dict(private=True),
        ECKey.generate_key("P-256").as_dict(private=False),
        {"kty": "RSA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "key_ops": 7},
        {"kty": ["RSA"], "use": "enc"},
        {"kty": "oct", "k": "AAAA"},
    ],
)
def test_attack_j18_a_key_is_used_for_what_it_is_for_alone(jwk: dict[str, Any]) -> None:
    with pytest.raises(UnknownKey):
        key_for("RSA-OAEP-256", VerificationKeys.from_jwks({"keys": [jwk]}))


def test_the_key_for_encryption_is_taken_before_one_for_anything() -> None:
    anything, meant = ECKey.generate_key("P-256"), OKPKey.generate_key("X25519", {"use": "enc", "kid": "meant"})
    signing = OKPKey.generate_key("Ed25519", {"use": "enc"})
    keys = VerificationKeys.from_jwks(jwks_of(signing, anything, meant))
    assert key_for("ECDH-ES", keys).kid == "meant"


def registered(detent: Detent, **extra: Any) -> Client:
    keys: Any = detent.house.outside.keys
    return client("anybody", "native", keys, extra=extra)


@pytest.mark.parametrize(
    ("extra", "because"),
    [
        ({ID_ENC: "A128GCM"}, "says nothing without id_token_encrypted_response_alg"),
        ({ID_ALG: "ECDH-ES"}, "register jwks or jwks_uri"),
        ({USERINFO_ALG: "ECDH-ES", "jwks_uri": "https://app.example/jwks"}, "needs userinfo_signed_response_alg"),
        ({ID_ALG: "RSA-OAEP", "jwks": jwks_of(decrypting.key_for("ECDH-ES"))}, "no key that RSA-OAEP can encrypt to"),
    ],
)
def test_dynamic_registration_2_what_could_not_be_encrypted_is_not_registered(
    house: Detent, extra: dict[str, Any], because: str
) -> None:
    registry: Registry = house.house.registry
    assert check in registry.client_checks
    with pytest.raises(InvalidClientMetadata, match=because):
        house.thread.call(check(registered(house, **extra)))


@pytest.mark.parametrize("alg", ["RSA1_5", "dir", "A128KW", "PBES2-HS256+A128KW", "none"])
def test_attack_j10_weak_and_symmetric_algorithms_are_unknown(alg: str) -> None:
    assert alg not in ALGS
