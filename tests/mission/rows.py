"""The rows of the mission, and which test proves each. A row without one says why; nothing else may be without.

The behaviours stand in README.md, which tests/docs/test_readme.py compares with what is found here.
"""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
COUNTS: Final = {"A": 19, "B": 21, "C": 10, "E": 12}
ROWS: Final = tuple(f"{letter}{number}" for letter, count in COUNTS.items() for number in range(1, count + 1))

UNPROVED: Final = {
    "B20": "the switches are commands until there is a dashboard",
    "E4": "sign-in with external providers is not built yet",
}


def proofs() -> dict[str, set[str]]:
    """The files in which a test is named after the row. Chromium proves in tests/browser what only it can."""
    found: dict[str, set[str]] = {}
    for room in ("mission", "browser"):
        for file in (ROOT / "tests" / room).glob("test_*.py"):
            for name in re.findall(r"^(?:async )?def test_([a-e]\d+(?:_to_[a-e]\d+)?)_", file.read_text(), re.M):
                first, _, last = name.partition("_to_")
                for number in range(int(first[1:]), int((last or first)[1:]) + 1):
                    found.setdefault(f"{first[0].upper()}{number}", set()).add(str(file.relative_to(ROOT)))
    return found
