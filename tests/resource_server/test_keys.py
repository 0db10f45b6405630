"""Which published keys may verify anything: attack rows J2, J6, J11, J18."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from detent.resource_server import InvalidToken, VerificationKey, VerificationKeys, Verifier
from tests.resource_server.minting import (
    AUDIENCE,
    ISSUER,
    NOW,
    VERIFIER,
    jwks,
    minted,
    private_key,
    public_jwk,
)

pytestmark = pytest.mark.quick

RSA_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


def algorithms(jwk: dict[str, Any]) -> set[str] | None:
    key = VerificationKey.from_jwk(jwk)
    return set(key.algorithms) if key else None


def bare(key: Key) -> dict[str, Any]:
    jwk: dict[str, Any] = key.as_dict(private=False)
    return jwk


def test_rfc8725_3_1_a_key_says_what_it_may_verify() -> None:
    assert algorithms(public_jwk("RS256")) == {"RS256"}
    assert algorithms(bare(private_key("RS256"))) == RSA_ALGORITHMS
    assert algorithms(bare(private_key("ES256"))) == {"ES256"}
    assert algorithms(bare(private_key("ES384"))) == {"ES384"}
    assert algorithms(bare(private_key("EdDSA"))) == {"EdDSA", "Ed25519"}


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "HS256", "none", "RSA-OAEP", 256, None])
def test_j18_a_key_whose_alg_does_not_fit_its_kind_is_dropped(alg: Any) -> None:
    assert algorithms(public_jwk("RS256", alg=alg)) is None


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"use": "SIG"},
        {"use": ["sig"]},
        {"use": None},
        {"key_ops": ["encrypt"]},
        {"key_ops": ["sign"]},
        {"key_ops": []},
        {"key_ops": [["verify"]]},
        {"key_ops": {"verify": 1}},
        {"use": "enc", "key_ops": ["verify"]},
    ],
    ids=repr,
)
def test_j18_rfc7517_4_2_a_key_that_is_not_for_verifying_is_dropped(members: dict[str, Any]) -> None:
    assert algorithms(public_jwk("RS256", **members)) is None


def test_j18_rfc7517_4_3_a_key_for_verifying_is_taken() -> None:
    assert algorithms(public_jwk("RS256", key_ops=["verify"])) == {"RS256"}


@pytest.mark.parametrize("name", ["RS256", "ES256", "EdDSA"])
def test_j18_a_published_private_key_is_dropped(name: str) -> None:
    assert algorithms({**private_key(name).as_dict(private=True), "kid": name}) is None
    assert algorithms(public_jwk(name, d="")) is None


def test_j2_j18_a_published_symmetric_key_is_dropped() -> None:
    secret = OctKey.generate_key(256)
    assert algorithms(secret.as_dict(private=True)) is None
    assert algorithms({"kty": "oct", "alg": "RS256"}) is None


@pytest.mark.parametrize("crv", ["Ed448", "X25519", "X448"])
def test_rfc8037_3_1_only_ed25519_is_eddsa_here(crv: Any) -> None:
    assert algorithms(bare(OKPKey.generate_key(crv))) is None


@pytest.mark.parametrize("bits", [512, 1024, 2047])
def test_j11_rfc7518_3_3_a_short_rsa_key_is_dropped(bits: int) -> None:
    public = RSAPublicNumbers(65_537, (1 << bits - 1) + 1).public_key()
    with pytest.warns(SecurityWarning):
        assert algorithms(bare(RSAKey.import_key(public))) is None


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 17, 65_536, 2**64 + 1, 2**2046 + 1])
def test_j11_an_rsa_key_with_a_strange_exponent_is_dropped(exponent: int) -> None:
    octets = exponent.to_bytes(max(1, (exponent.bit_length() + 7) // 8), "big")
    encoded = base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
    assert algorithms(public_jwk("RS256", e=encoded)) is None


def test_j11_an_oversized_rsa_key_is_dropped() -> None:
    assert algorithms(bare(RSAKey.import_key(RSAPublicNumbers(65_537, (1 << 9_000) + 1).public_key()))) is None


def test_j11_a_point_off_the_curve_is_dropped() -> None:
    jwk = bare(private_key("ES256"))
    assert algorithms({**jwk, "y": jwk["x"]}) is None
    assert algorithms({**jwk, "crv": "P-384"}) is None
    assert algorithms({**jwk, "crv": "P-257"}) is None
    assert algorithms(bare(ECKey.generate_key("secp256k1"))) is None


@pytest.mark.parametrize("missing", ["kty", "n", "e"])
def test_rfc7517_4_a_broken_key_is_dropped(missing: str) -> None:
    whole = public_jwk("RS256")
    assert algorithms({name: value for name, value in whole.items() if name != missing}) is None
    broken: list[Any] = ["", "!", "AQ==", None, 7, [], {}, "A" * 5_000]
    for value in broken:
        assert algorithms({**whole, missing: value}) is None


def test_j6_a_key_whose_kid_is_no_short_string_is_dropped() -> None:
    broken: list[Any] = [7, None, [], "x" * 257]
    for kid in broken:
        assert algorithms(public_jwk("RS256", kid=kid)) is None


def test_j5_certificates_and_links_in_a_key_are_left_behind() -> None:
    linked = public_jwk("RS256", x5u=7, x5c="no list", x5t={}, extra="x" * 10_000)
    assert algorithms(linked) == {"RS256"}


def test_rfc7517_5_unknown_and_broken_members_do_not_spoil_the_set() -> None:
    good = jwks("RS256")["keys"]
    bad_ones: list[Any] = [
        {"kty": "AKP", "alg": "ML-DSA-44"},
        {},
        None,
        7,
        [],
        "RS256",
        {"kty": ["RSA"]},
        {"kty": {}},
    ]
    for bad in bad_ones:
        assert [key.kid for key in VerificationKeys.from_jwks({"keys": [bad, *good, bad]}).keys] == ["RS256"]


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": "x"}, {"keys": [{}] * 65}])
def test_rfc7517_5_what_is_no_key_set_is_an_error(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="JWK Set"):
        VerificationKeys.from_jwks(document)


def test_j6_of_two_keys_with_one_kid_the_algorithm_decides() -> None:
    twins = [public_jwk("RS256", kid="twin"), public_jwk("ES256", kid="twin")]
    both = VerificationKeys.from_jwks({"keys": twins})
    for name in ("RS256", "ES256"):
        assert VERIFIER.verify(minted(key=name, header={"kid": "twin"}), both, NOW).sub == "alice"
    same = VerificationKeys.from_jwks({"keys": [*twins, public_jwk("RS256-other", kid="twin")]})
    with pytest.raises(InvalidToken, match="no single key"):
        VERIFIER.verify(minted(header={"kid": "twin"}), same, NOW)


def test_j18_a_key_is_used_with_its_own_algorithm_only() -> None:
    verifier = Verifier(issuer=ISSUER, audience=AUDIENCE, algorithms=("RS256", "RS512"))
    only_rs256 = VerificationKeys.from_jwks(jwks("RS256"))
    with pytest.raises(InvalidToken, match="no single key"):
        verifier.verify(minted(header={"alg": "RS512"}), only_rs256, NOW)
    key = only_rs256.select("RS256", "RS256")
    assert not key.verifies("RS512", b"", b"")
