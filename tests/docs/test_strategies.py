"""docs/strategies.md compares the refresh strategies by measurement: its tables are those of a run of today."""

import re
from pathlib import Path

import pytest

from detent.core.policy import DAY, HOUR, MINUTE, Overrides, effective_policy
from detent.testing.strategies.figures import tables, with_figures

pytestmark = pytest.mark.quick

PAGE = Path(__file__).parents[2] / "docs" / "strategies.md"


@pytest.mark.slow
def test_the_page_quotes_the_measurement() -> None:
    """`python -m detent.testing.strategies docs/strategies.md` writes the figures into the page."""
    page, measured = PAGE.read_text(encoding="utf-8"), tables()
    for name, table in measured.items():
        assert page.count(f"<!-- {name} -->\n") == 1
        assert with_figures(page, {name: table}) == page


def test_the_page_names_every_strategy_with_its_lives() -> None:
    told = re.findall(r"^\| `(\w+)` \|.*\| ([^|]*; [^|]*) \|$", PAGE.read_text(encoding="utf-8"), re.M)
    assert [name for name, _ in told] == [
        "family", "allowlist", "denylist", "unique_claim", "short_lived", "user_secret",
    ]  # fmt: skip
    for strategy, lives in told:
        policy = effective_policy("web", Overrides(), strategy)
        assert lives == f"{_length(policy.access_life)}; {_length(policy.idle)}, {_length(policy.absolute)}"


def _length(seconds: int) -> str:
    unit, name = next((unit, name) for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")) if seconds >= unit)
    return f"{seconds // unit} {name}"
