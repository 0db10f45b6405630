"""What the verifier accepts, and every way a token can be wrong.

Attack rows J1–J9, J11–J16, J19, X4; mission A4, A5, A12, A17.
"""

import base64
import hashlib
import hmac
import json
import time
from itertools import product
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from detent.resource_server import Audience, InvalidToken, UnknownKey, VerificationKeys, Verifier
from tests.resource_server.minting import (
    AUDIENCE,
    CLAIMS,
    ISSUER,
    NOW,
    VERIFIER,
    base64url,
    jwks,
    keys,
    minted,
    private_key,
    public_jwk,
    signed,
)

ALGORITHMS = ("RS256", "ES256", "EdDSA")
HEADER = json.dumps({"alg": "RS256", "typ": "at+jwt", "kid": "RS256"}).encode()
PAYLOAD = json.dumps(dict(CLAIMS)).encode()


def refused(token: str | bytes, verifier: Verifier = VERIFIER, *, now: float = NOW) -> str:
    with pytest.raises(InvalidToken) as caught:
        verifier.verify(token, keys(), now)
    return caught.value.reason


@pytest.mark.quick
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_rfc9068_4_a_good_access_token_yields_its_claims(alg: str) -> None:
    claims = VERIFIER.verify(minted({"auth_time": NOW - 5, "tenant": {"id": 7}}, key=alg), keys(), NOW)
    assert (claims.iss, claims.sub, claims.client_id, claims.jti) == (
        ISSUER,
        "alice",
        "testclient",
        "Y2hlZXJz",
    )
    assert claims.aud == (AUDIENCE, ISSUER + "userinfo")
    assert (claims.exp, claims.iat, claims.auth_time) == (NOW + 600, NOW, NOW - 5)
    assert claims.scope == {"openid", "read:secret"}
    assert claims.cnf is None
    assert claims.raw["tenant"] == {"id": 7}


@pytest.mark.quick
def test_claims_are_read_only() -> None:
    claims = VERIFIER.verify(minted(), keys(), NOW)
    with pytest.raises(AttributeError):
        claims.sub = "mallory"  # type: ignore[misc]
    with pytest.raises(TypeError):
        claims.raw["sub"] = "mallory"  # type: ignore[index]


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_mission_a5_every_flipped_bit_is_noticed(alg: str) -> None:
    token = bytearray(minted(key=alg).encode())
    known = keys()
    for bit in range(len(token) * 8):
        token[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InvalidToken):
            VERIFIER.verify(bytes(token), known, NOW)
        token[bit // 8] ^= 1 << bit % 8
    assert VERIFIER.verify(bytes(token), known, NOW).sub == "alice"


@pytest.fixture(scope="module")
def token() -> str:
    return minted(key="ES256")


@given(data=st.data())
def test_mission_a5_every_splice_is_noticed(token: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, len(token)))
    forged = token[:start] + data.draw(st.text(max_size=40)) + token[end:]
    if forged != token:
        refused(forged)


@given(st.binary(max_size=600) | st.text(max_size=600))
def test_noise_is_refused_and_nothing_else_happens(noise: bytes | str) -> None:
    refused(noise)


@pytest.mark.quick
@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "none ", "", None, 0, [], {}, ["RS256"]], ids=repr)
def test_j1_rfc8725_3_1_alg_none_is_refused_in_any_spelling(alg: Any) -> None:
    header = json.dumps({"alg": alg, "typ": "at+jwt", "kid": "RS256"}).encode()
    unsigned = base64url(header) + b"." + base64url(PAYLOAD) + b"."
    assert refused(unsigned) == "the algorithm is not accepted here"
    assert refused(signed(header, PAYLOAD)) == "the algorithm is not accepted here"


@pytest.mark.quick
def test_j1_an_empty_signature_is_refused() -> None:
    for alg in ALGORITHMS:
        assert refused(minted(key=alg).rpartition(".")[0] + ".") == "the signature does not verify"


def _public_spellings(name: str) -> list[bytes]:
    public = private_key(name).public_key
    assert not isinstance(public, bytes)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ssh = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    jwk = json.dumps(public_jwk(name)).encode()
    return [pem, pem.strip(), b"\n  " + pem, der, ssh, jwk, json.dumps(jwks()).encode()]


@pytest.mark.quick
@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_j2_j3_rfc8725_2_1_a_public_key_is_never_a_shared_secret(alg: str, name: str) -> None:
    header = json.dumps({"alg": alg, "typ": "at+jwt", "kid": name}).encode()
    signing_input = base64url(header) + b"." + base64url(PAYLOAD)
    for secret in [*_public_spellings(name), b"", b"a"]:
        mac = hmac.digest(secret, signing_input, getattr(hashlib, "sha" + alg[2:]))
        assert refused(signing_input + b"." + base64url(mac)) == "the algorithm is not accepted here"


@pytest.mark.quick
@pytest.mark.parametrize("algorithms", [(), ("none",), ("HS256",), ("RS256", "HS256"), ("RSA1_5",), ("dir",)])
def test_j1_j2_a_verifier_for_such_algorithms_cannot_be_made(algorithms: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="algorithms must be"):
        Verifier(issuer=ISSUER, audience=AUDIENCE, algorithms=algorithms)


@pytest.mark.quick
def test_rfc8725_3_1_an_algorithm_that_is_not_listed_is_refused_though_the_key_is_known() -> None:
    narrow = Verifier(issuer=ISSUER, audience=AUDIENCE, algorithms=("ES256",))
    assert refused(minted(), narrow) == "the algorithm is not accepted here"


@pytest.mark.quick
def test_rfc8725_3_1_what_one_verifier_or_key_set_accepts_no_other_does_for_it() -> None:
    token = minted()
    elsewhere = Verifier(issuer=ISSUER, audience=AUDIENCE, types=("jwt",))
    narrow = Verifier(issuer=ISSUER, audience=AUDIENCE, algorithms=("ES256",))
    for _ in range(2):
        assert VERIFIER.verify(token, keys(), NOW).sub == "alice"
        assert refused(token, elsewhere) == "the token is of another type"
        assert refused(token, narrow) == "the algorithm is not accepted here"
        with pytest.raises(UnknownKey):
            VERIFIER.verify(token, keys("ES256"), NOW)
        impostor = VerificationKeys.from_jwks({"keys": [{**public_jwk("RS256-stranger"), "kid": "RS256"}]})
        with pytest.raises(InvalidToken, match="does not verify"):
            VERIFIER.verify(token, impostor, NOW)


@pytest.mark.quick
@pytest.mark.parametrize("kid", ["RS256", "RS256-stranger", None])
def test_j4_rfc8725_3_10_a_key_in_the_header_is_never_trusted(kid: str | None) -> None:
    header = {"jwk": public_jwk("RS256-stranger"), "kid": kid, "alg": "RS256"}
    refused(minted(key="RS256-stranger", header=header, without=() if kid else ("kid",)))


@pytest.mark.quick
@pytest.mark.parametrize("member", ["jku", "x5u", "x5c", "jwk"])
def test_j5_rfc8725_3_10_pointers_to_keys_are_ignored(member: str) -> None:
    pointers: dict[str, Any] = {
        "jku": "http://127.0.0.1:1/jwks",
        "x5u": "file:///etc/passwd",
        "x5c": ["MII="],
        "jwk": public_jwk("RS256-stranger"),
    }
    assert VERIFIER.verify(minted(header={member: pointers[member]}), keys(), NOW).sub == "alice"


@pytest.mark.quick
@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "rs256", "RS256 ", "", "x" * 256])
def test_j6_a_kid_that_is_not_in_the_set_may_be_asked_for_again(kid: str) -> None:
    with pytest.raises(UnknownKey):
        VERIFIER.verify(minted(header={"kid": kid}), keys(), NOW)


@pytest.mark.quick
@pytest.mark.parametrize("kid", [None, 0, 1.5, True, [], {}, "x" * 257])
def test_j6_a_kid_that_is_no_short_string_is_refused(kid: Any) -> None:
    assert refused(minted(header={"kid": kid})) == "the key id is malformed"
    assert refused(minted(header={"kid": "x" * 1_000_000})) == "the token is too long"


@pytest.mark.quick
def test_j6_without_kid_the_one_key_of_the_algorithm_is_taken() -> None:
    token = minted(without=("kid",))
    assert VERIFIER.verify(token, keys(), NOW).sub == "alice"
    with pytest.raises(InvalidToken, match="no single key"):
        VERIFIER.verify(token, keys("RS256", "RS256-next"), NOW)
    with pytest.raises(InvalidToken, match="no single key"):
        VERIFIER.verify(token, keys("ES256"), NOW)


def test_j7_rfc7515_4_1_11_crit_and_b64_are_refused_whatever_they_hold() -> None:
    values: list[Any] = [["exp"], [], ["b64"], ["alg", "alg"], "b64", None, {}]
    for crit in values:
        assert "not supported" in refused(minted(header={"crit": crit}))
        assert "not supported" in refused(minted(header={"crit": crit, "b64": False, "exp": 1}))
    for b64 in [False, True, None, "false"]:
        assert "not supported" in refused(minted(header={"b64": b64}))


@pytest.mark.parametrize("megabytes", [1, 16])
@pytest.mark.parametrize("segment", [0, 1, 2])
def test_j8_a_huge_segment_is_refused_before_it_is_decoded(segment: int, megabytes: int) -> None:
    parts = minted().split(".")
    parts[segment] = "A" * (megabytes << 20)
    token = ".".join(parts)
    started = time.thread_time()
    assert refused(token) == refused(token.encode()) == "the token is too long"
    assert time.thread_time() - started < 0.1


@pytest.mark.quick
def test_j9_a_compressed_payload_is_refused() -> None:
    assert "not supported" in refused(minted(header={"zip": "DEF"}))


@pytest.mark.quick
def test_j11_an_ecdsa_signature_of_zeros_is_refused() -> None:
    front = minted(key="ES256").rpartition(".")[0]
    for signature in [
        bytes(64),
        bytes(63) + b"\1",
        b"\xff" * 64,
        bytes(96),
        bytes(1),
        b"\x30\x06\2\1\0\2\1\0",
    ]:
        assert refused(f"{front}.{base64url(signature).decode()}") == "the signature does not verify"


@pytest.mark.quick
def test_j11_the_curve_must_be_the_algorithms_own() -> None:
    p384 = Verifier(issuer=ISSUER, audience=AUDIENCE, algorithms=("ES256", "ES384"))
    with pytest.raises(InvalidToken, match="no single key"):
        p384.verify(minted(key="ES256", header={"alg": "ES384"}), keys("ES256"), NOW)
    with pytest.raises(InvalidToken, match="no single key"):
        p384.verify(minted(key="ES384", header={"alg": "ES256"}), keys("ES384"), NOW)
    assert p384.verify(minted(key="ES384"), keys("ES384"), NOW).sub == "alice"


WRONG_ISSUERS = [
    "https://id.example",
    ISSUER + "x",
    "https://id.example.evil/",
    "HTTPS://ID.EXAMPLE/",
    " " + ISSUER,
]


@pytest.mark.quick
@pytest.mark.parametrize("iss", [*WRONG_ISSUERS, [ISSUER], {"iss": ISSUER}, None, "", 7])
def test_j12_rfc8725_3_8_the_issuer_is_compared_exactly(iss: Any) -> None:
    refused(minted({"iss": iss}))


WRONG_AUDIENCES = [
    "https://api.example/",
    "https://api.exampl",
    "https://api.example.evil",
    "HTTPS://API.EXAMPLE",
    "",
]


@pytest.mark.quick
@pytest.mark.parametrize("aud", [*WRONG_AUDIENCES, [], None, 7, {AUDIENCE: True}, f"{AUDIENCE} other"])
def test_j12_rfc8725_3_9_the_audience_is_compared_exactly(aud: Any) -> None:
    refused(minted({"aud": aud}))
    if isinstance(aud, str):
        refused(minted({"aud": [aud, "other"]}))


@pytest.mark.quick
@pytest.mark.parametrize("extra", [None, 7, [AUDIENCE], {}, ""])
def test_j12_an_audience_that_holds_something_else_than_names_is_refused(extra: Any) -> None:
    assert refused(minted({"aud": [AUDIENCE, extra]})) == "a claim is malformed"


@pytest.mark.quick
def test_j12_any_audience_must_be_asked_for_by_name() -> None:
    anyone = Verifier(issuer=ISSUER, audience=Audience.ANY)
    assert anyone.verify(minted({"aud": "https://other.example"}), keys(), NOW).aud == ("https://other.example",)
    for issuer, audience in [("", AUDIENCE), (ISSUER, "")]:
        with pytest.raises(ValueError, match="issuer and an audience"):
            Verifier(issuer=issuer, audience=audience)


@pytest.mark.quick
@pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "iat", "client_id", "jti"])
def test_mission_a4_rfc9068_2_2_every_required_claim_is_required(name: str) -> None:
    refused(minted(without=(name,)))
    values: list[Any] = [None, "", 7 if name not in ("exp", "iat") else "7", [], {}, True]
    for value in values:
        refused(minted({name: value}))


@pytest.mark.parametrize("name", ["exp", "nbf", "iat", "auth_time"])
@pytest.mark.parametrize("value", ["1800000000", True, False, None, [], {}, -1, 2**53, 2**53 + 1, 1e308, 1e16])
def test_j13_an_instant_that_is_no_number_in_range_is_refused(name: str, value: Any) -> None:
    assert refused(minted({name: value})) == "a claim is malformed"


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e400", "01", "1.", "0x1", "1" * 30])
def test_j13_rfc8259_6_an_instant_that_json_does_not_know_is_refused(name: str, literal: str) -> None:
    payload = json.dumps({**CLAIMS, name: 12345}).replace("12345", literal).encode()
    assert refused(signed(HEADER, payload)) == "the payload is not a plain JSON object"


def test_j13_an_instant_may_have_a_fraction() -> None:
    assert VERIFIER.verify(minted({"exp": NOW + 0.5}), keys(), NOW).exp == NOW + 0.5


@pytest.mark.parametrize("name", ["iat", "nbf"])
def test_j13_fapi2_5_3_2_1_a_clock_8_seconds_ahead_is_fine_and_one_61_ahead_never(name: str) -> None:
    assert VERIFIER.verify(minted({name: NOW + 8}), keys(), NOW).sub == "alice"
    assert refused(minted({name: NOW + 11})) == "the token is not valid yet"
    most_patient = Verifier(issuer=ISSUER, audience=AUDIENCE, leeway_seconds=60)
    assert refused(minted({name: NOW + 61}), most_patient) == "the token is not valid yet"
    for leeway in [61, -1, float("nan"), float("inf")]:
        with pytest.raises(ValueError, match="leeway_seconds"):
            Verifier(issuer=ISSUER, audience=AUDIENCE, leeway_seconds=leeway)


@pytest.mark.quick
def test_mission_a12_rfc7519_4_1_4_a_token_is_dead_from_the_second_it_expires() -> None:
    token = minted()
    assert VERIFIER.verify(token, keys(), NOW + 599.9).sub == "alice"
    assert refused(token, now=NOW + 600) == "the token has expired"


NOT_PLAIN_JSON = {
    "duplicate member": b'{"iss":"a","iss":"b"}',
    "nested duplicate": b'{"a":{"b":1,"b":2}}',
    "escaped duplicate": b'{"iss":"a","\\u0069ss":"b"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "UTF-16 without mark": "{}".encode("utf-16-le"),
    "UTF-32": "{}".encode("utf-32"),
    "Latin-1": b'{"a":"\xe9"}',
    "overlong UTF-8": b'{"a":"\xc0\xaf"}',
    "raw surrogate": b'{"a":"\xed\xa0\x80"}',
    "lone surrogate": b'{"a":"\\ud800"}',
    "lone surrogate in a name": b'{"\\uDfff":1}',
    "deep arrays": b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "deep objects": b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
    "deep but not too deep for the interpreter": b'{"a":' + b"[" * 600 + b"]" * 600 + b"}",
    "deep and unclosed": b"[" * 12_000,
    "long integer": b'{"a":' + b"1" * 12_000 + b"}",
    "control character": b'{"a":"\n"}',
    "trailing text": b"{} {}",
    "comment": b"{}//",
    "single quotes": b"{'a':1}",
    "array": b"[]",
    "string": b'"a"',
    "null": b"null",
    "nothing": b"",
}


@pytest.mark.parametrize("raw", NOT_PLAIN_JSON.values(), ids=NOT_PLAIN_JSON.keys())
def test_j14_rfc8725_3_7_json_that_could_be_read_in_two_ways_is_refused_at_once(raw: bytes) -> None:
    known = keys()
    for token in [signed(raw, PAYLOAD), signed(HEADER, raw)]:
        seconds = []
        for _ in range(3):
            started = time.thread_time()
            with pytest.raises(InvalidToken, match=r"too long|not a plain JSON object"):
                VERIFIER.verify(token, known, NOW)
            seconds.append(time.thread_time() - started)
        assert min(seconds) < 0.010


def test_j14_depth_and_digits_of_any_size_are_refused() -> None:
    for raw in [b"[" * 100_000, b'{"exp":' + b"9" * 100_000 + b"}"]:
        assert refused(signed(HEADER, raw)) == refused(signed(raw, PAYLOAD)) == "the token is too long"


@pytest.mark.quick
def test_rfc8259_8_a_whole_surrogate_pair_is_a_character() -> None:
    for ascii_only in (True, False):
        payload = json.dumps({**CLAIMS, "sub": "🎈"}, ensure_ascii=ascii_only).encode()
        assert VERIFIER.verify(signed(HEADER, payload), keys(), NOW).sub == "🎈"


@pytest.mark.quick
def test_rfc8259_2_blanks_and_escapes_change_nothing_of_what_a_token_says() -> None:
    claims: dict[str, Any] = {"sub": "é/🎈", "auth_time": NOW - 5, "tenant": {"ids": [7, 1.5, None, True, ""]}}
    plain = VERIFIER.verify(minted(claims), keys(), NOW)
    for indent, ascii_only in product((None, 2), (True, False)):
        payload = json.dumps({**CLAIMS, **claims}, indent=indent, ensure_ascii=ascii_only).encode()
        assert VERIFIER.verify(signed(HEADER, payload), keys(), NOW) == plain


def test_j15_rfc7515_2_base64url_has_one_spelling() -> None:
    header, payload, signature = minted(key="ES256").split(".")
    spare = signature[:-1] + chr(ord(signature[-1]) + 1)  # 64 bytes leave four spare bits in the last character
    assert base64.urlsafe_b64decode(spare + "==") == base64.urlsafe_b64decode(signature + "==")
    spellings = [
        f"{header}=.{payload}.{signature}",
        f"{header}.{payload}==.{signature}",
        f"{header}.{payload}.{signature}==",
        f"{header}.{payload}.{spare}",
        f"{header}.{payload}.{signature[:4]}\n{signature[4:]}",
        f" {header}.{payload}.{signature}",
        f"{header}.{payload}.{signature} ",
        f"{header}.{payload}.{signature}\n",
        f"{header}.{payload}.{signature}AAA",
        f"{header}.{payload[:-1]}é.{signature}",
        f"{header}.{payload}.\x00{signature}",
    ]
    for spelling in spellings:
        assert refused(spelling) == "a segment of the token is not base64url"


def test_j15_the_plain_base64_alphabet_is_refused() -> None:
    token = next(t for n in range(99) if set("-_") & set((t := minted({"jti": f"j{n}"})).rpartition(".")[2]))
    front, _, signature = token.rpartition(".")
    plain = signature.replace("-", "+").replace("_", "/")
    assert refused(f"{front}.{plain}") == "a segment of the token is not base64url"


@pytest.mark.quick
def test_j16_rfc7515_7_2_other_serialisations_are_refused() -> None:
    header, payload, signature = minted().split(".")
    flattened = {"payload": payload, "protected": header, "signature": signature}
    general = {"payload": payload, "signatures": [{"protected": header, "signature": signature}] * 2}
    for document in [flattened, general]:
        refused(json.dumps(document))
        refused(base64url(json.dumps(document).encode()))
    for token in [
        f"{header}.{payload}",
        f"{header}.{payload}.{signature}.",
        f"{header}.a.{payload}.b.{signature}",
    ]:
        assert refused(token) == "the token is not a compact JWS"


@pytest.mark.quick
def test_j16_rfc7519_5_2_a_nested_token_is_refused() -> None:
    inner = minted().encode()
    for cty in ["JWT", "jwt", "application/jwt", ""]:
        header = json.dumps({"alg": "RS256", "typ": "at+jwt", "kid": "RS256", "cty": cty}).encode()
        assert "not supported" in refused(signed(header, inner))
        assert "not supported" in refused(signed(header, PAYLOAD))
    assert refused(signed(HEADER, inner)) == "the payload is not a plain JSON object"


@pytest.mark.quick
@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_rfc9068_4_the_type_is_a_media_type(typ: str) -> None:
    assert VERIFIER.verify(minted(header={"typ": typ}), keys(), NOW).sub == "alice"


OTHER_TYPES = [
    "dpop+jwt",
    "logout+jwt",
    "oauth-authz-req+jwt",
    "client-authentication+jwt",
    "token-introspection+jwt",
]


@pytest.mark.quick
@pytest.mark.parametrize("typ", [*OTHER_TYPES, "JWT", "", "at+jwt ", "x/at+jwt", "application/", None, 1, ["at+jwt"]])
def test_j19_x4_a17_rfc8725_3_11_a_token_of_another_type_is_refused(typ: Any) -> None:
    assert refused(minted(header={"typ": typ})) == "the token is of another type"


@pytest.mark.quick
def test_x4_a17_rfc9068_4_a_token_without_type_is_refused() -> None:
    assert refused(minted(without=("typ",))) == "the token is of another type"


@pytest.mark.quick
def test_a17_a_verifier_of_id_tokens_refuses_access_tokens_and_takes_its_own() -> None:
    of_id_tokens = Verifier(issuer=ISSUER, audience="testclient", types=("", "jwt"), required=())
    assert refused(minted({"aud": "testclient"}), of_id_tokens) == "the token is of another type"
    id_token = minted({"aud": "testclient"}, without=("client_id", "jti", "typ"))
    claims = of_id_tokens.verify(id_token, keys(), NOW)
    assert (claims.sub, claims.client_id, claims.jti) == ("alice", None, None)


@pytest.mark.quick
@pytest.mark.parametrize("cnf", [None, "", "jkt", [], 7, False])
def test_rfc7800_3_1_a_binding_that_cannot_be_read_does_not_pass_for_none(cnf: Any) -> None:
    assert refused(minted({"cnf": cnf})) == "a claim is malformed"
    bound = VERIFIER.verify(minted({"cnf": {}}), keys(), NOW)
    assert bound.cnf is not None


@pytest.mark.quick
@pytest.mark.parametrize(
    ("scope", "expected"),
    [("", set()), ("a", {"a"}), ("a  b a", {"a", "b"}), ("a\u00a0b", {"a\u00a0b"}), ("a\tb", {"a\tb"})],
)
def test_rfc6749_3_3_scopes_are_parted_by_spaces_alone(scope: str, expected: set[str]) -> None:
    assert VERIFIER.verify(minted({"scope": scope}), keys(), NOW).scope == expected


@pytest.mark.quick
@pytest.mark.parametrize("scope", [None, ["read:secret"], 7, {}])
def test_rfc9068_2_2_3_a_scope_that_is_no_string_is_refused(scope: Any) -> None:
    assert refused(minted({"scope": scope})) == "a claim is malformed"


def test_j8_no_error_carries_any_part_of_the_token() -> None:
    secret = "s3cr3t-c4nary"
    canary = json.dumps({"canary": secret}).encode()
    tokens = [
        secret,
        f"{secret}.{secret}.{secret}",
        signed(canary[:-1], PAYLOAD),
        signed(HEADER, canary[:-1]),
        signed(HEADER, canary),
        minted(header={"kid": secret}),
        minted(header={"alg": secret}),
        minted({"aud": secret}),
        minted({"iss": secret}),
        minted({"exp": secret}),
        "é" + secret,
    ]
    for token in tokens:
        with pytest.raises(InvalidToken) as caught:
            VERIFIER.verify(token, keys(), NOW)
        error: BaseException | None = caught.value
        assert secret not in str(error) + repr(error)
        assert error is not None
        assert error.__cause__ is None
        assert error.__context__ is None
