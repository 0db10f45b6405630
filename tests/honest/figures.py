"""The figures of docs/honest.md: runs of the simulation, and the way to put them into the page."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from detent.testing.history.check import Violation
from tests.honest.installation import KINDS
from tests.honest.policies import POLICIES
from tests.honest.world import World

SHIFT: Final = 100_000  # refreshes of one world; more are more worlds, so that a history fits into memory
RESTARTS: Final = 5
GROUPS: Final = tuple(dict.fromkeys(kind.group for kind in KINDS))
DETENT: Final = ("refreshes", "lost", "recovered", "not recovered", "killed", "silently again", "lives over")
PROMISED: Final = tuple(dict.fromkeys(kind.group for kind in KINDS if kind.promised))
OTHERS: Final = tuple(group for group in GROUPS if group not in PROMISED)
HEADS: Final = {
    "lost": "answers lost",
    "recovered": "made good by a retry",
    "not recovered": "not made good: killed",
    "killed": "families killed",
    "silently again": "of these, signed in again silently",
    "lives over": "families that outlived their life",
}
COMPARED: Final = (
    "refreshes",
    "answers lost",
    "not made good",
    "killed: clients that detent makes a promise to",
    "killed: strict clients, unmodified SDKs",
    "of all killed, signed in again silently",
)


class Run:
    """One policy, in as many worlds as it takes."""

    def __init__(self, policy: str, refreshes: int, seed: int = 1) -> None:
        self.violations: list[Violation] = []
        self._told: list[dict[tuple[str, str | None], int]] = []
        with tempfile.TemporaryDirectory() as keys:
            for number, start in enumerate(range(0, refreshes, SHIFT)):
                self._world(policy, min(SHIFT, refreshes - start), seed + number, Path(keys) / "keys")

    def told(self, what: str, group: str | None = None) -> int:
        return sum(told[what, group] for told in self._told)

    def _world(self, policy: str, refreshes: int, seed: int, keys: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder), keys, policy, seed)
            world.run(refreshes, RESTARTS)
        self.violations += world.violations()
        self._told.append({(what, group): world.told(what, group) for what in DETENT for group in (None, *GROUPS)})


def write_page(page: Path, refreshes: int, compared: int) -> Sequence[Violation]:
    """Run every policy and write both tables; returns what the history checker found, which ought to be nothing."""
    runs = {policy: Run(policy, refreshes if policy == "detent" else compared) for policy in POLICIES}
    small = runs["detent"] if refreshes == compared else Run("detent", compared)
    text = page.read_text(encoding="utf-8")
    heads = [HEADS.get(what, what) for what in DETENT]
    groups = {group: [runs["detent"].told(what, group) for what in DETENT] for group in GROUPS}
    text = _filled(text, "installations", _table(heads, groups))
    policies = {name: _compared(small if name == "detent" else run) for name, run in runs.items()}
    page.write_text(_filled(text, "policies", _table(COMPARED, policies)), encoding="utf-8")
    return [violation for run in (*runs.values(), small) for violation in run.violations]


def _filled(page: str, name: str, table: str) -> str:
    return re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", rf"\g<1>{table}\n\g<2>", page, count=1, flags=re.DOTALL)


def _compared(run: Run) -> list[int]:
    killed = (sum(run.told("killed", group) for group in groups) for groups in (PROMISED, OTHERS))
    return [run.told("refreshes"), run.told("lost"), run.told("not recovered"), *killed, run.told("silently again")]


def _table(columns: Sequence[str], rows: dict[str, list[int]]) -> str:
    heads = ["", *columns]
    lines = [heads, ["---"] * len(heads), *([name, *(f"{cell:,}" for cell in cells)] for name, cells in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
