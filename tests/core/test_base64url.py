"""base64url as tokens and ids are spelt: RFC 7515 §2, RFC 4648 §5."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detent.core.base64url import base64url, from_base64url

pytestmark = pytest.mark.quick


@given(st.binary(max_size=80))
def test_rfc7515_2_bytes_come_back_and_are_spelt_as_others_spell_them(raw: bytes) -> None:
    assert base64url(raw) == base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert from_base64url(base64url(raw)) == raw


@given(st.text("AQgwz09-_+/= \n*", max_size=12))
def test_rfc4648_3_5_there_is_one_spelling_of_each_value(text: str) -> None:
    raw = from_base64url(text)
    assert raw is None or base64url(raw) == text


@pytest.mark.parametrize(
    "text",
    ["YQ==", "YR", "Y", "YWI=", "+w", "/w", "Y W", "YW\n", "YQ=", "====", "YWJj=", "YWJj====", "ÄÖÜß", "*", "a.b"],
)
def test_rfc4648_3_3_other_characters_padding_and_spare_bits_are_refused(text: str) -> None:
    assert from_base64url(text) is None
