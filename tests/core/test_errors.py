"""The error tree says what the wire says: code, status, a description that RFC 6749 allows."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detent.core import errors
from detent.core.errors import OAuthError

pytestmark = pytest.mark.quick


def _tree(cls: type[OAuthError]) -> list[type[OAuthError]]:
    return [cls, *(below for each in cls.__subclasses__() for below in _tree(each))]


def test_the_drawing_in_the_docstring_is_the_tree_of_classes() -> None:
    drawn = re.findall(r"[├└] (\w+) +(\w+) +(\d{3}) ", errors.__doc__ or "")
    real = {each.__name__: (each.code, each.status) for each in _tree(OAuthError) if each.__module__ == errors.__name__}
    assert {name: (code, int(status)) for name, code, status in drawn}.items() <= real.items()
    of_http_alone = {
        name for name, cls in vars(errors).items() if getattr(cls, "__base__", None) is errors.InvalidRequest
    }
    assert real.keys() - {name for name, _, _ in drawn} == {"OAuthError", *of_http_alone}


@given(st.text())
def test_rfc6749_5_2_a_description_holds_allowed_characters_only(text: str) -> None:
    allowed = set(string.printable) - set('"\\\t\n\r\x0b\x0c')
    assert set(errors.InvalidRequest(text).description) <= allowed
