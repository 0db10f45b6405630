"""Scopes: RFC 6749 §3.3 and §6."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detent.core.errors import InvalidScope
from detent.core.scope import MAX_SCOPES, narrow, parse_scope

pytestmark = pytest.mark.quick

names = st.lists(st.sampled_from(["read", "write", "admin", "openid"]), max_size=6)


@given(names, names)
def test_rfc6749_6_narrowing_never_widens(asked: list[str], granted: list[str]) -> None:
    try:
        assert set(narrow(tuple(asked), tuple(granted))) <= set(granted)
    except InvalidScope:
        assert not set(asked) <= set(granted)


@given(names.filter(bool))
def test_a_scope_is_a_set_in_the_order_of_asking(asked: list[str]) -> None:
    assert parse_scope(" ".join(asked)) == tuple(dict.fromkeys(asked))


@pytest.mark.parametrize("text", ["", " ", 're"ad', "re\\ad", "réad", "read\twrite", "read\nwrite", "\x7f", "x" * 257])
def test_rfc6749_3_3_nothing_and_other_characters_are_refused(text: str) -> None:
    with pytest.raises(InvalidScope):
        parse_scope(text)


def test_too_many_scopes_are_refused_before_they_are_read() -> None:
    with pytest.raises(InvalidScope):
        parse_scope(" ".join(f"s{n}" for n in range(MAX_SCOPES + 1)))
