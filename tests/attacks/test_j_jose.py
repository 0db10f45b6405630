"""Attacks on JOSE (rows J1 to J8, J13 to J16), over HTTP: at the demo API, at userinfo and at introspection.

What others sign (J9 to J12, J17, J19) is in test_j_from_others.py; what the verifier itself says of all of it
stands in tests/resource_server, and so do the times that rows J8 and J14 bound.
"""

import hashlib
import hmac
import json
import select
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from detent.resource_server import InvalidToken, VerificationKeys, Verifier
from detent.testing.server import Loopback
from tests.attacks.forging import Forge, accepted_everywhere, assert_refused_everywhere, base64url
from tests.serving import API, Detent

pytestmark = pytest.mark.slow

MIB = 1 << 20


@pytest.fixture(scope="module")
def forge(standing: Detent, keys_folder: Path) -> Forge:
    forge = Forge(standing, keys_folder)
    assert accepted_everywhere(standing, forge.genuine)
    assert accepted_everywhere(standing, forge.minted({"jti": "forged"})), "the forge signs as the server does"
    return forge


@pytest.fixture(scope="module")
def stranger() -> dict[str, Key]:
    """Keys that the server never heard of."""
    return {
        "RS256": RSAKey.generate_key(2048),
        "ES256": ECKey.generate_key("P-256"),
        "EdDSA": OKPKey.generate_key("Ed25519"),
    }


ALG_NONE = ["none", "None", "NONE", "nOnE", "none ", "", "RS256\u0000", "null", None, 0, [], ["RS256"]]


@pytest.mark.parametrize("alg", ALG_NONE, ids=repr)
def test_attack_j1_rfc8725_3_1_alg_none_is_refused_in_any_spelling(standing: Detent, forge: Forge, alg: object) -> None:
    unsigned = forge.minted(header={"alg": alg}).rpartition(".")[0] + "."
    assert_refused_everywhere(standing, unsigned)
    assert_refused_everywhere(standing, forge.minted(header={"alg": alg}))


def test_attack_j1_an_empty_signature_is_refused(standing: Detent, forge: Forge) -> None:
    assert_refused_everywhere(standing, forge.genuine.rpartition(".")[0] + ".")
    assert_refused_everywhere(standing, forge.genuine.rpartition(".")[0])


def hmac_signed(forge: Forge, alg: str, secret: bytes, **header: Any) -> str:
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
    front = forge.minted(header={"alg": alg, **header}).rpartition(".")[0]
    return f"{front}.{base64url(hmac.digest(secret, front.encode(), digest)).decode()}"


def spellings_of_the_public_key(standing: Detent, forge: Forge) -> dict[str, bytes]:
    private = forge.key.private_key
    assert isinstance(private, RSAPrivateKey)
    public = private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    published = standing.http.get("/.well-known/jwks.json").json()["keys"]
    [jwk] = [key for key in published if key["kid"] == forge.header["kid"]]
    return {
        "PEM": pem,
        "PEM without its last line break": pem.strip(),
        "PEM after blanks": b"  \n" + pem,
        "PEM with CRLF": pem.replace(b"\n", b"\r\n"),
        "PKCS #1": public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "SSH": public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "JWK": json.dumps(jwk).encode(),
        "JWK without spaces": json.dumps(jwk, separators=(",", ":")).encode(),
        "modulus": jwk["n"].encode(),
    }


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_attack_j2_rfc8725_2_1_a_public_key_is_never_a_shared_secret(standing: Detent, forge: Forge, alg: str) -> None:
    for secret in spellings_of_the_public_key(standing, forge).values():
        assert_refused_everywhere(standing, hmac_signed(forge, alg, secret))


@pytest.mark.parametrize("secret", [b"", b"\0", b"a", b"secret", bytes(32)], ids=repr)
def test_attack_j3_rfc8725_3_5_no_hmac_key_is_accepted_however_short(
    standing: Detent, forge: Forge, secret: bytes
) -> None:
    for kid in ({}, {"kid": ""}):
        assert_refused_everywhere(standing, hmac_signed(forge, "HS256", secret, **kid))


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_attack_j4_rfc8725_3_10_a_key_in_the_header_is_never_trusted(
    standing: Detent, forge: Forge, stranger: dict[str, Key], alg: str
) -> None:
    key = stranger[alg]
    jwk = {**key.as_dict(private=False), "kid": "mine", "alg": alg, "use": "sig"}
    for kid in (forge.header["kid"], "mine"):
        assert_refused_everywhere(standing, forge.minted(header={"alg": alg, "jwk": jwk, "kid": kid}, key=key, alg=alg))
    without_kid = forge.minted(header={"alg": alg, "jwk": jwk}, without=("kid",), key=key, alg=alg)
    assert_refused_everywhere(standing, without_kid)


@pytest.mark.parametrize("member", ["jku", "x5u", "x5c"])
def test_attack_j5_rfc8725_3_10_pointers_to_keys_are_ignored_and_nobody_is_called(
    standing: Detent, forge: Forge, stranger: dict[str, Key], member: str
) -> None:
    trap = Loopback()
    with trap.socket:
        pointer = [trap.url] if member == "x5c" else f"{trap.url}keys.json"
        for kid in (forge.header["kid"], "mine"):
            forged = forge.minted(header={member: pointer, "kid": kid}, key=stranger["RS256"])
            assert_refused_everywhere(standing, forged)
        assert accepted_everywhere(standing, forge.minted(header={member: pointer})), "ignored, not trusted"

        called, _, _ = select.select([trap.socket], [], [], 0.05)
        assert not called, "no request goes where a token points"


KIDS: list[object] = [
    "../../../etc/passwd",
    "/dev/null",
    "' OR '1'='1",
    "kid\u0000",
    "x" * 8_000,
    "",
    None,
    0,
    1.5,
    True,
    [],
    {},
]


@pytest.mark.parametrize("kid", KIDS, ids=lambda kid: repr(kid)[:20])
def test_attack_j6_rfc8725_3_10_a_kid_chooses_among_our_keys_and_nothing_else(
    standing: Detent, forge: Forge, kid: object
) -> None:
    assert_refused_everywhere(standing, forge.minted(header={"kid": kid}))


def test_attack_j6_without_a_kid_no_key_is_guessed(standing: Detent, forge: Forge) -> None:
    """Two RSA keys are published, the present one and the next."""
    assert_refused_everywhere(standing, forge.minted(without=("kid",)))


def test_attack_j6_a_kid_of_1_mb_or_twice_in_the_set_is_refused(standing: Detent, forge: Forge) -> None:
    published = standing.http.get("/.well-known/jwks.json").json()["keys"]
    verifier, now = Verifier(standing.issuer, API), standing.clock.now()
    assert verifier.verify(forge.genuine, VerificationKeys.from_jwks({"keys": published}), now).client_id
    twice = VerificationKeys.from_jwks({"keys": [{**key, "kid": forge.header["kid"]} for key in published]})
    with pytest.raises(InvalidToken):
        verifier.verify(forge.genuine, twice, now)
    assert standing.house.access.read(forge.minted(header={"kid": "k" * MIB}), now) is None


CRITICAL: list[dict[str, object]] = [
    {"crit": ["exp"], "exp": 1},
    {"crit": ["https://example.com/unknown"], "https://example.com/unknown": True},
    {"crit": ["kid"]},
    {"crit": []},
    {"crit": ["exp", "exp"], "exp": 1},
    {"crit": "exp"},
    {"crit": None},
    {"crit": ["b64"], "b64": False},
    {"crit": ["b64"], "b64": True},
    {"b64": False},
    {"b64": True},
]


@pytest.mark.parametrize("members", CRITICAL, ids=str)
def test_attack_j7_rfc7515_4_1_11_what_is_critical_is_refused(
    standing: Detent, forge: Forge, members: dict[str, object]
) -> None:
    assert_refused_everywhere(standing, forge.minted(header=members))


def test_attack_j7_rfc7797_a_detached_payload_that_is_not_encoded_is_refused(standing: Detent, forge: Forge) -> None:
    header = base64url(json.dumps({**forge.header, "crit": ["b64"], "b64": False}).encode())
    payload = json.dumps({**forge.claims, "iss": "x"}).encode().replace(b".", b"")
    assert_refused_everywhere(standing, forge.signed(header, payload))


@pytest.mark.parametrize("segment", [0, 1, 2])
@pytest.mark.parametrize("size", [12_000, 60_000])
def test_attack_j8_a_large_segment_is_refused_and_no_answer_carries_it(
    standing: Detent, forge: Forge, size: int, segment: int
) -> None:
    segments = forge.genuine.split(".")
    segments[segment] += "A" * size
    token = ".".join(segments)
    assert_refused_everywhere(standing, token)
    at_api = standing.secret(token)
    assert (at_api.status_code, at_api.json()["error"]) == (401, "invalid_token")
    assert "A" * 100 not in at_api.text


@pytest.mark.parametrize("segment", [0, 1, 2])
def test_attack_j8_a_segment_of_1_mb_never_reaches_a_parser(standing: Detent, forge: Forge, segment: int) -> None:
    segments = forge.genuine.split(".")
    segments[segment] += "A" * MIB
    token = ".".join(segments)
    in_header = standing.http.get("/userinfo", headers={"Authorization": f"Bearer {token}"})
    in_body = standing.post("/oauth/introspect", "testclient", token=token)
    for answer, status in ((in_header, 431), (in_body, 413)):
        assert (answer.status_code, answer.json()["error"]) == (status, "invalid_request")
        assert answer.json()["support_id"] in answer.json()["error_description"]
        assert "A" * 100 not in answer.text


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [1, 16, 500])
def test_attack_j8_no_door_of_the_server_decodes_a_huge_token(standing: Detent, forge: Forge, megabytes: int) -> None:
    front, payload, signature = forge.genuine.split(".")
    now = standing.clock.now()
    for token in (f"{front}.{payload}{'A' * megabytes * MIB}.{signature}", "dtat_" + "A" * megabytes * MIB):
        assert standing.house.access.read(token, now) is None
        del token


NO_INSTANT: list[object] = [
    str(1_790_000_000), "soon", "", None, True, False, [], {}, [1_790_003_600], -1, -0.5, 2**63, 10**19, 1e300, 1e308,
]  # fmt: skip


@pytest.mark.parametrize("value", NO_INSTANT, ids=repr)
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_attack_j13_rfc7519_2_an_instant_that_is_no_number_in_range_is_refused(
    standing: Detent, forge: Forge, name: str, value: object
) -> None:
    assert_refused_everywhere(standing, forge.minted({name: value}))


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e400", "01790003600", "0x6AB2A5D0", "+1", "1_0"])
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_attack_j13_rfc8259_6_an_instant_that_json_does_not_know_is_refused(
    standing: Detent, forge: Forge, name: str, literal: str
) -> None:
    body = json.dumps({**forge.claims, name: "@"}).replace('"@"', literal)
    assert_refused_everywhere(standing, forge.raw(json.dumps(forge.header).encode(), body.encode()))


def test_attack_j13_exp_and_iat_are_required_and_nbf_is_not(standing: Detent, forge: Forge) -> None:
    assert "nbf" not in forge.claims
    for name in ("exp", "iat"):
        assert_refused_everywhere(standing, forge.minted(without=(name,)))


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_attack_j13_fapi2_5_3_2_1_a_clock_8_s_ahead_is_fine_and_one_61_s_ahead_never(
    standing: Detent, forge: Forge, name: str
) -> None:
    now = standing.clock.now()
    assert accepted_everywhere(standing, forge.minted({name: now + 8}))
    assert accepted_everywhere(standing, forge.minted({name: now + 7.5})), "RFC 7519 §2: fractions are allowed"
    assert_refused_everywhere(standing, forge.minted({name: now + 61}))


def test_attack_j13_rfc7519_4_1_4_a_token_is_dead_in_the_second_it_expires(standing: Detent, forge: Forge) -> None:
    now = standing.clock.now()
    assert accepted_everywhere(standing, forge.minted({"exp": now + 1}))
    assert_refused_everywhere(standing, forge.minted({"exp": now}))
    assert_refused_everywhere(standing, forge.minted({"exp": now - 0.001}))


def not_plain(document: bytes) -> dict[str, bytes]:
    """One JSON object, spelt so that two parsers could read it differently, or one of them for very long."""
    text, rest = document.decode(), document[1:]
    name = next(iter(json.loads(document)))
    return {
        "duplicate member": b'{"' + name.encode() + b'":"x",' + rest,
        "duplicate member, escaped": f'{{"\\u{ord(name[0]):04x}{name[1:]}":"x",'.encode() + rest,
        "duplicate member, inside": b'{"x":{"a":1,"a":2},' + rest,
        "byte order mark": b"\xef\xbb\xbf" + document,
        "UTF-16": text.encode("utf-16"),
        "UTF-16 without mark": text.encode("utf-16-le"),
        "UTF-32": text.encode("utf-32"),
        "lone surrogate": b'{"x":"\\ud800",' + rest,
        "lone surrogate in a name": b'{"\\udfff":1,' + rest,
        "raw surrogate": b'{"x":"\xed\xa0\x80",' + rest,
        "invalid UTF-8": b'{"x":"\xff",' + rest,
        "overlong UTF-8": b'{"x":"\xc0\xaf",' + rest,
        "depth": b'{"x":' + b"[" * 3_000 + b"]" * 3_000 + b"," + rest,
        "depth, of objects": b'{"x":' + b'{"x":' * 1_000 + b"1" + b"}" * 1_000 + b"," + rest,
        "long integer": b'{"x":' + b"1" * 6_000 + b"," + rest,
        "NaN": b'{"x":NaN,' + rest,
        "comment": document + b"//",
        "two objects": document + b"{}",
        "trailing comma": document[:-1] + b",}",
        "control character": b'{"x":"\n",' + rest,
        "array": b"[" + document + b"]",
        "string": json.dumps(text).encode(),
    }


@pytest.mark.parametrize("how", not_plain(b'{"a":1}'))
@pytest.mark.parametrize("segment", ["header", "payload"])
def test_attack_j14_rfc8725_3_7_json_that_can_be_read_in_two_ways_is_refused(
    standing: Detent, forge: Forge, segment: str, how: str
) -> None:
    header, payload = json.dumps(forge.header).encode(), json.dumps(forge.claims).encode()
    if segment == "header":
        assert_refused_everywhere(standing, forge.raw(not_plain(header)[how], payload))
    else:
        assert_refused_everywhere(standing, forge.raw(header, not_plain(payload)[how]))


@pytest.mark.parametrize("segment", [0, 1])
@pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"exp":' + b"9" * 100_000 + b"}"], ids=["depth", "digits"])
def test_attack_j14_depth_and_digits_of_10_to_the_5_are_refused(
    standing: Detent, forge: Forge, raw: bytes, segment: int
) -> None:
    documents = [json.dumps(forge.header).encode(), json.dumps(forge.claims).encode()]
    documents[segment] = raw
    assert standing.house.access.read(forge.raw(*documents), standing.clock.now()) is None


def misspelt(segment: bytes) -> dict[str, bytes]:
    return {
        "padding": segment + b"=" * (-len(segment) % 4 or 1),
        "space in front": b" " + segment,
        "space within": segment[:8] + b" " + segment[8:],
        "line break within": segment[:8] + b"\n" + segment[8:],
        "control character": segment + b"\x01",
        "plus": segment[:8] + b"+" + segment[9:],
        "slash": segment[:8] + b"/" + segment[9:],
        "percent": segment[:8] + b"%2D" + segment[9:],
    }


@pytest.mark.parametrize("how", misspelt(b"segment"))
@pytest.mark.parametrize("at", [0, 1])
def test_attack_j15_rfc7515_2_a_signed_segment_has_one_spelling(
    standing: Detent, forge: Forge, at: int, how: str
) -> None:
    segments = [base64url(json.dumps(part).encode()) for part in (forge.header, forge.claims)]
    segments[at] = misspelt(segments[at])[how]
    assert_refused_everywhere(standing, forge.signed(segments[0], segments[1]))


def test_attack_j15_a_signature_has_one_spelling(standing: Detent, forge: Forge) -> None:
    front, _, signature = forge.genuine.rpartition(".")
    assert len(signature) % 4 == 2, "256 bytes leave four bits to spare in the last character"
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = [signature[:-1] + alphabet[alphabet.index(signature[-1]) + bits] for bits in range(1, 16)]
    assert_refused_everywhere(standing, f"{front}.{spare[0]}")
    for misspelt_signature in (*spare, *(each.decode() for each in misspelt(signature.encode()).values())):
        assert standing.introspect(f"{front}.{misspelt_signature}") == {"active": False}


def test_attack_j15_the_plain_base64_alphabet_is_refused(standing: Detent, forge: Forge) -> None:
    tokens = (forge.minted({"jti": f"j{number}"}) for number in range(99))
    front, _, signature = next(token for token in tokens if set("-_") & set(token.rpartition(".")[2])).rpartition(".")
    assert accepted_everywhere(standing, f"{front}.{signature}")
    plain = signature.replace("-", "+").replace("_", "/")
    assert_refused_everywhere(standing, f"{front}.{plain}")


def test_attack_j16_rfc7515_7_2_other_serialisations_are_refused(standing: Detent, forge: Forge) -> None:
    header, payload, signature = forge.genuine.split(".")
    one = {"protected": header, "signature": signature}
    documents: list[dict[str, Any]] = [
        {"payload": payload, **one},
        {"payload": payload, **one, "header": {"crit": ["x"], "x": 1}},
        {"payload": payload, "signatures": [one]},
        {"payload": payload, "signatures": [one] * 2},
        {"payload": payload, "signatures": [{"header": {"alg": "none"}, "signature": ""}, one]},
    ]
    for document in documents:
        text = json.dumps(document)
        assert_refused_everywhere(standing, text)
        assert_refused_everywhere(standing, base64url(text.encode()).decode())


def test_attack_j16_other_counts_of_segments_are_refused(standing: Detent, forge: Forge) -> None:
    header, payload, signature = forge.genuine.split(".")
    for token in (
        header,
        f"{header}.{payload}",
        f"{header}.{payload}.{signature}.",
        f".{header}.{payload}.{signature}",
        f"{header}.{payload}.{signature}.{signature}",
        f"{header}.a.{payload}.b.{signature}",
        f"{header}..{signature}",
        "..",
        ".",
    ):
        assert_refused_everywhere(standing, token)


@pytest.mark.parametrize("cty", ["JWT", "jwt", "application/jwt", "at+jwt", "", None])
def test_attack_j16_rfc7519_5_2_a_nested_token_is_refused(standing: Detent, forge: Forge, cty: str | None) -> None:
    header = json.dumps({**forge.header, "cty": cty}).encode()
    assert_refused_everywhere(standing, forge.raw(header, forge.genuine.encode()))
    assert_refused_everywhere(standing, forge.raw(header, json.dumps(forge.claims).encode()))
    assert_refused_everywhere(standing, forge.raw(json.dumps(forge.header).encode(), forge.genuine.encode()))
