"""No gap among the fault rows: each has a test, or says why it has none; and docs/reliability.md tells of each."""

import re

import pytest

from tests.faults.rows import ELSEWHERE, ROOT, ROWS, UNPROVED, missing, proved

pytestmark = pytest.mark.quick


def test_every_fault_row_has_a_test_or_says_why_not() -> None:
    found = proved()
    assert [row for row in ROWS if row not in found | ELSEWHERE.keys() | UNPROVED.keys()] == []
    assert [row for row in UNPROVED if row in found] == [], "it has a test now: take the reason away"
    assert missing() == []


def test_the_page_tells_of_every_fault_row_once() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text()
    assert re.findall(r"^\| (F\d+) \|", page, re.M) == list(ROWS)
