"""No gap among the attack rows: each has a test named after it, or says where it is or why it has none yet."""

import pytest

from tests.attacks.rows import ELSEWHERE, ROWS, UNPROVED, proved

pytestmark = pytest.mark.quick


def test_every_attack_row_has_a_test_or_says_why_not() -> None:
    found = proved()
    assert [row for row in ROWS if row not in found | ELSEWHERE.keys() | UNPROVED.keys()] == []
    assert [row for row in UNPROVED if row in found] == [], "it has a test now: take the reason away"
