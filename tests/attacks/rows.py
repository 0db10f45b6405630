"""The attack rows in force and which test proves each. A row without one says why; nothing else may be without.

What a row means stands in the docstrings and names of its tests: `test_attack_<row>_…`.
"""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
COUNTS: Final = {"A": 9, "C": 14, "D": 12, "H": 14, "J": 19, "K": 12, "R": 19, "T": 27, "U": 6, "V": 7, "X": 12}
MORE: Final = (
    "M3", "M4", "M5", "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "F2", "F3", "F4", "F5", "F10", "F12", "F24",
    "L3", "L4", "L5", "L6", "L7", "L8", "L10",
)  # fmt: skip
ROWS: Final = (*(f"{letter}{n}" for letter, count in COUNTS.items() for n in range(1, count + 1)), *MORE)

ELSEWHERE: Final = {
    "L6": "F9 and F12: restored, cloned, promoted with loss",
    "L8": "tests/cli: test_l8_… of options, environment and core files",
    "T19": "D4: a bound token without proof, or with another key",
    "C8": "test_r_authorize.py, among the bad requests: every method but S256",
    "K10": "test_k_pages.py, with K4: nothing that a client or a person says is a template",
    "R5": "tests/cli/test_clients.py: an unsafe registration is refused with what to change",
    "X9": "X7: until the grant is there, nobody has it",
    "F2": "F3: of its images, all that arrived is what a killed process leaves",
}
UNPROVED: Final = {
    "D7": "clients have no certificates yet",
    "S8": "nobody signs in at another provider yet",
    "U6": "there is no second factor yet",
}


def proved() -> set[str]:
    found = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        found |= {name.upper() for name in re.findall(r"def test_attack_([a-z]\d+)_", file.read_text())}
    return found
