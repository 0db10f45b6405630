"""The promises of docs/honest.md: who keeps to a promised kind is never signed out."""

import os
from pathlib import Path

import pytest

from tests.honest.figures import GROUPS, PROMISED, Run

pytestmark = pytest.mark.slow
REFRESHES = int(os.environ.get("HONEST_REFRESHES", "10000"))

STRICT = "browser app (strict), unmodified SDK"


@pytest.fixture(scope="module")
def run() -> Run:
    return Run("detent", REFRESHES)


@pytest.mark.parametrize("group", PROMISED)
def test_rfc9700_4_14_2_with_overlap_or_retry_key_nobody_is_killed_and_every_lost_answer_is_made_good(
    run: Run, group: str
) -> None:
    assert run.told("lost", group) > 0
    assert (run.told("killed", group), run.told("not recovered", group)) == (0, 0)


def test_the_history_of_the_run_is_right(run: Run) -> None:
    assert [str(violation) for violation in run.violations] == []


def test_a_strict_browser_app_without_a_key_is_killed_and_signed_in_again_silently(run: Run) -> None:
    assert run.told("killed", STRICT) == run.told("silently again", STRICT) > 0


@pytest.mark.parametrize("policy", ["strict", "plain window"])
def test_the_same_clients_are_killed_by_other_policies(policy: str) -> None:
    """So the network of the simulation is as bad as it says; the history is right by that policy."""
    run = Run(policy, 1000)
    assert sum(run.told("killed", group) for group in PROMISED) > 0
    assert [str(violation) for violation in run.violations] == []


def test_the_page_shows_figures_of_every_kind() -> None:
    page = (Path(__file__).parents[2] / "docs" / "honest.md").read_text(encoding="utf-8")
    assert [group for group in GROUPS if f"| {group} | " not in page] == []
