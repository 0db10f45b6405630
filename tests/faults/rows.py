"""The fault rows F1 to F24 and which test proves each. A row without one says why; nothing else may be without."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
ROWS: Final = tuple(f"F{number}" for number in range(1, 25))

ELSEWHERE: Final = {  # file, and what the test in it says
    "F8": (
        "faults/test_nodes.py",
        "test_a_database_that_crashes_and_comes_back_loses_nothing",
    ),
    "F9": ("faults/test_failover.py", "test_with_synchronous_standbys_no_failover_loses_what_was_acknowledged"),
    "F14": ("stores/test_sqlite_opening.py", "test_a_process_killed_at_any_statement_of_the_opening_can_be_followed"),
    "F15": ("cli/test_up.py", "test_a_signal_ends_it_with_0_once_the_requests_under_way_are_answered"),
    "F23": ("webhooks/", "test_an_endpoint_that_does_not_answer_2xx_gets_the_event_again_later"),
}
UNPROVED: Final = {
    "F21": "a soak takes days",
}


def proved() -> set[str]:
    found = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        found |= {f"F{n}" for n in re.findall(r"def test_(?:attack_|fault_)?f(\d+)_", file.read_text())}
    return found


def missing() -> list[str]:
    """Of `ELSEWHERE`, what is not there."""
    gone = []
    for row, (where, name) in ELSEWHERE.items():
        place = ROOT / "tests" / where
        files = [place] if place.is_file() else place.glob("test_*.py")
        if not any(f"def {name}" in file.read_text() for file in files):
            gone.append(row)
    return gone
