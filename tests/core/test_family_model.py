"""What owner, thief, network and time can and cannot do to a family: an exhaustive model, and the page that quotes it.

The page's figures are the model's (docs/family.md); the promises among them are asserted here by name.
"""

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detent.core.confirmation import BEARER
from detent.core.family import EQUAL_SUCCESSORS, Presented, Refuse, Surroundings, decide
from detent.core.ids import Instant
from detent.core.policy import Overrides, RefreshPolicy, effective_policy
from detent.testing.family_model import failover, world
from detent.testing.family_model.failover import Failover
from detent.testing.family_model.figures import NOT_ROTATING, OVERLAP, STRICT, SUSPECT, TABLES, with_figures
from detent.testing.family_model.row import FAMILY, NOW, ORIGINS, place, presented, reduced
from detent.testing.family_model.search import Graph, Move
from detent.testing.family_model.world import Keys, Scenario, is_noticed

PAGE = Path(__file__).parents[2] / "docs" / "family.md"
pytestmark = pytest.mark.slow  # every interleaving
TOLERANT = pytest.mark.parametrize("policy", [OVERLAP.policy, SUSPECT.policy], ids=["revoke", "suspect"])
EVERY_HABIT = pytest.mark.parametrize("keys", get_args(Keys))


def kills(scenario: Scenario) -> list[str] | None:
    """The shortest way in which honest clients have their family killed or suspected."""
    return world.explored(scenario).trace_to(is_noticed)


def most_turns(scenario: Scenario) -> int | None:
    return world.explored(scenario._replace(thief=True)).most_turns()


# The page


@pytest.mark.parametrize("table", TABLES)
def test_the_page_quotes_the_model(table: str) -> None:
    """`python -m detent.testing.family_model docs/family.md` writes the figures into the page."""
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(f"<!-- {table} -->\n") == 1
    assert with_figures(page, [table]) == page


# Honest clients


@TOLERANT
@EVERY_HABIT
@pytest.mark.parametrize("roams", [False, True])
def test_one_client_is_never_killed_whatever_is_lost_or_late(policy: RefreshPolicy, keys: Keys, roams: bool) -> None:
    assert kills(Scenario(policy, keys=keys, roams=roams)) is None


def test_a_strict_client_with_a_retry_key_is_never_killed_even_if_requests_arrive_twice() -> None:
    assert kills(Scenario(STRICT.policy, keys="pending", doubles=True)) is None
    assert kills(Scenario(STRICT.policy, keys="none")) is not None


@TOLERANT
@EVERY_HABIT
def test_tabs_are_never_killed_while_nothing_is_lost_and_nothing_spans_the_end_of_an_overlap(
    policy: RefreshPolicy, keys: Keys
) -> None:
    assert kills(Scenario(policy, tabs=2, keys=keys, loses=False, spans=False)) is None


@EVERY_HABIT
def test_neither_are_three_tabs_with_any_habit(keys: Keys) -> None:
    assert kills(Scenario(OVERLAP.policy, tabs=3, keys=keys, loses=False, spans=False)) is None


def test_lost_answers_can_kill_tabs_only_after_four_tolerated_generations_in_a_row() -> None:
    for tabs in (2, 3):
        trace = kills(Scenario(OVERLAP.policy, tabs=tabs, spans=False))
        assert trace
        assert any("an access token only" in told for told in trace)
        assert sum("the answer is lost" in told for told in trace) == 5


@TOLERANT
def test_tabs_that_rest_on_a_new_token_are_killed_only_if_four_more_answers_are_lost_at_once(
    policy: RefreshPolicy,
) -> None:
    trace = kills(Scenario(policy, tabs=3, spans=False, rests=True))
    assert trace
    first = next(number for number, told in enumerate(trace) if "an access token only" in told)
    assert sum("the answer is lost" in told for told in trace[first + 1 :]) == EQUAL_SUCCESSORS


def test_a_family_that_does_not_rotate_is_never_killed_by_its_own_clients() -> None:
    assert kills(Scenario(NOT_ROTATING.policy, tabs=3, strays=1, doubles=True, roams=True)) is None


# Owner and thief


@pytest.mark.parametrize(
    ("policy", "shadowing", "late"),
    [(STRICT.policy, 0, 0), (OVERLAP.policy, 12, 2), (SUSPECT.policy, 12, 2)],
    ids=["strict", "revoke", "suspect"],
)
def test_owner_and_thief_cannot_both_go_on(policy: RefreshPolicy, shadowing: int, late: int) -> None:
    assert most_turns(Scenario(policy)) == shadowing
    assert most_turns(Scenario(policy, apart=True)) == late


def test_owner_and_thief_can_both_go_on_where_nothing_rotates_so_the_search_does_find_cycles() -> None:
    assert most_turns(Scenario(NOT_ROTATING.policy)) is None


def test_a_thief_of_the_retry_key_is_found_as_well() -> None:
    assert most_turns(Scenario(STRICT.policy, keys="pending", steals_key=True)) == 2
    assert most_turns(Scenario(STRICT.policy, keys="constant", steals_key=True)) == 2


def test_a_web_client_that_was_switched_to_rotation_is_as_good_as_a_native_one() -> None:
    web = effective_policy("web", Overrides(rotating=True))
    assert web.rotating(BEARER)
    assert (web.overlap, web.on_reuse) == (OVERLAP.policy.overlap, OVERLAP.policy.on_reuse)
    assert (kills(Scenario(web)), most_turns(Scenario(web))) == (None, most_turns(Scenario(OVERLAP.policy)))


def test_a_thief_between_two_tabs_whose_requests_span_overlaps_is_found_as_well() -> None:
    assert most_turns(Scenario(OVERLAP.policy, tabs=2)) == 16
    assert most_turns(Scenario(OVERLAP.policy, thief_is_elsewhere=True, roams=True)) == 12


# A store that was rolled back


@TOLERANT
def test_one_client_survives_a_failover_with_advance(policy: RefreshPolicy) -> None:
    graph = failover.explored(Failover(policy, "advance"))
    assert graph.trace_to(lambda state: state.owner_is_refused or failover.is_killed(state)) is None


@pytest.mark.parametrize("policy", [STRICT.policy, OVERLAP.policy, SUSPECT.policy], ids=["strict", "revoke", "suspect"])
def test_no_consumed_token_is_answered_after_a_restore_that_refuses(policy: RefreshPolicy) -> None:
    graph = failover.explored(Failover(policy, "refuse", thief=True))
    assert graph.trace_to(lambda state: state.last_answered != "") is None


@pytest.mark.parametrize("policy", [STRICT.policy, OVERLAP.policy, SUSPECT.policy], ids=["strict", "revoke", "suspect"])
def test_advance_answers_owner_or_thief_after_a_restore_but_never_both(policy: RefreshPolicy) -> None:
    graph = failover.explored(Failover(policy, "advance", thief=True, in_overlap=False))
    assert graph.trace_to(lambda state: state.last_answered == "thief"), "the thief does get answers"
    assert graph.trace_to(lambda state: state.last_answered == "owner")
    assert graph.most_turns() == 0


# The model itself


@given(
    policy=st.sampled_from([STRICT.policy, OVERLAP.policy, SUSPECT.policy, NOT_ROTATING.policy]),
    steps=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 1), st.sampled_from((1, 59, 61, 100_000))),
        max_size=30,
    ),
)
@settings(settings.get_profile("ci"), max_examples=300)
def test_the_reduced_row_is_decided_as_the_full_one(
    policy: RefreshPolicy, steps: list[tuple[int, int, int, int]]
) -> None:
    """Any life of a real family, with real generations and times, step by step beside the model's row.

    No two steps in one second: then a family that does not rotate is not written again, which only spares a write.
    """
    family, now = FAMILY, NOW
    for back, retry_key, origin, seconds in steps:
        now = Instant(now + seconds)
        generation = max(0, family.generation - back)
        what = Presented(generation, 0, bytes([retry_key]) if retry_key else None, ORIGINS[origin])
        decision = decide(family, what, policy, Surroundings(), now)
        outcome = presented(reduced(family, policy, now), policy, place(generation, family), retry_key, origin)
        assert outcome.decision.split(" ")[0] == type(decision).__name__
        family = (None if isinstance(decision, Refuse) else decision.after) or family
        assert outcome.row == reduced(family, policy, now)


def test_the_search_counts_turns_and_tells_endless_runs_from_bounded_ones() -> None:
    def line(state: int) -> list[Move[int]]:
        return [Move("on", state + 1, is_turn=state % 2 == 0)] if state < 5 else []

    def ring(state: int) -> list[Move[int]]:
        return [Move("round", (state + 1) % 3, is_turn=state == 2)]

    assert Graph(0, line).most_turns() == 3
    assert Graph(0, line).trace_to(lambda state: state == 2) == ["on", "on"]
    assert Graph(0, line).trace_to(lambda state: state == 7) is None
    assert Graph(0, ring).most_turns() is None
