"""One way to read each text: the quick readers of JSON and base64url take nothing that the strict ones would not.

RFC 8725 §3.7, RFC 7515 §2; attack rows J14, J15.
"""

import base64
import json
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detent.resource_server import InvalidToken
from detent.resource_server.compact import _canonical, _strict, base64url, load_object
from tests.resource_server.minting import CLAIMS

CHARACTERS = st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\/\b\n\x00\x1f\x7f\u2028😀-0159')
TEXT = st.text(CHARACTERS, max_size=8)
NUMBERS = (
    st.integers(-(10**22), 10**22)
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([-0.0, 1e16, 1e-7, 5e-324, 2.0**53, 10**19, 10**20 - 1, -(10**18), -(10**19)])
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
PIECES = rb'" \ \u0069 \ud800 , : { } [ ] 0 - + . e5 "a":1, "a":1,"a":1, NaN Infinity null true'.split()
PIECES += [b" ", b"\n", b"9" * 20, b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf"]


def assert_read_alike(raw: bytes) -> None:
    """`repr` tells 1 from 1.0 and from True, -0.0 from 0.0, and one order of members from another."""
    quickly = _canonical(raw)
    assert quickly is None or repr(quickly) == repr(_strict(raw))


@given(VALUES)
def test_j14_rfc8725_3_7_canonical_json_says_the_same_to_both_readers(value: Any) -> None:
    raw = msgspec.json.encode(value)
    assert_read_alike(raw)
    assert_read_alike(json.dumps(value).encode())
    strictly = _strict(raw)
    assert strictly == value or strictly is None, "an integer of more than 20 digits"


@given(value=st.dictionaries(TEXT, VALUES, max_size=5), data=st.data())
def test_j14_rfc8725_3_7_no_change_to_canonical_json_is_read_in_two_ways(value: Any, data: st.DataObject) -> None:
    raw = msgspec.json.encode(value)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)) | st.just(1))
        end = min(len(raw), start + data.draw(st.integers(0, 4)))
        raw = raw[:start] + data.draw(st.sampled_from([b"", raw[start:end] * 2, *PIECES])) + raw[end:]
        assert_read_alike(raw)


@pytest.mark.quick
def test_j14_every_short_text_is_read_alike() -> None:
    for letters in product((b'"', b"\\", b"[", b"]", b",", b"0", b"1", b"-", b".", b"e", b" "), repeat=4):
        text = b"".join(letters)
        assert_read_alike(text)
        assert_read_alike(b'{"a":' + text + b"}")


@pytest.mark.quick
@pytest.mark.parametrize("digits", [1, 19, 20, 21, 30, 4_000, 5_000])
@pytest.mark.parametrize("frame", [b'{"a":%b}', b'{"a":-%b}', b'{"a":[{"b":%b}]}', b'{"a":%b.0}', b'{"a":"%b"}'])
def test_j14_long_integers_are_bounded_on_either_way(frame: bytes, digits: int) -> None:
    raw = frame % (b"1" * digits)
    assert_read_alike(raw)
    assert (load_object(raw) is None) == (_strict(raw) is None)


@pytest.mark.quick
@pytest.mark.parametrize(
    "raw", [b'{"a":1,"a":1}', b'{"a":{"b":[],"b":[]}}', b'{"a":1,"\\u0061":1}', b'{"a":[{"":0,"":0}]}']
)
def test_j14_rfc8259_4_a_member_that_stands_there_twice_is_refused_on_either_way(raw: bytes) -> None:
    assert _canonical(raw) is _strict(raw) is load_object(raw) is None


@pytest.mark.quick
def test_what_an_issuer_writes_plainly_goes_the_quick_way() -> None:
    assert _canonical(msgspec.json.encode(dict(CLAIMS))) == CLAIMS
    assert _canonical(json.dumps(dict(CLAIMS), separators=(",", ":")).encode()) == CLAIMS
    assert _canonical(json.dumps(dict(CLAIMS)).encode()) is None
    assert load_object(json.dumps(dict(CLAIMS)).encode()) == CLAIMS


def assert_spelt_one_way(segment: bytes) -> None:
    """It is read where, and only where, it is what the bytes in it encode to."""
    try:
        leniently = base64.urlsafe_b64decode(segment + b"==")
    except ValueError:
        leniently = None
    canonical = leniently is not None and base64.urlsafe_b64encode(leniently).rstrip(b"=") == segment
    if canonical:
        assert base64url(segment) == leniently
    else:
        with pytest.raises(InvalidToken):
            base64url(segment)


@pytest.mark.quick
def test_j15_rfc7515_2_every_short_segment_has_one_spelling() -> None:
    for size in range(5):
        for letters in product(b"ABQg_-+/=\n *", repeat=size):
            assert_spelt_one_way(bytes(letters))


@given(st.binary(max_size=40), st.binary(max_size=3), st.integers(0, 54))
def test_j15_rfc7515_2_a_segment_that_was_changed_has_one_spelling(raw: bytes, change: bytes, at: int) -> None:
    segment = base64.urlsafe_b64encode(raw).rstrip(b"=")
    assert base64url(segment) == raw
    assert_spelt_one_way(segment[:at] + change + segment[at + len(change) :])
