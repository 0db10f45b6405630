"""No gap in the mission: every row has a test named after it, or says why it has none yet."""

import pytest

from tests.mission.rows import ROWS, UNPROVED, proofs

pytestmark = pytest.mark.quick


def test_every_row_has_a_test_or_says_why_not() -> None:
    proved = proofs()
    assert [row for row in ROWS if row not in proved and row not in UNPROVED] == []
    assert [row for row in UNPROVED if row in proved] == [], "it has a test now: take the reason away"
    assert proved.keys() | UNPROVED.keys() == set(ROWS), "a test is named after a row that there is not"
    assert all(UNPROVED.values())
