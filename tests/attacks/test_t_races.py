"""Races for one family (rows T2, T16, T17), over HTTP. One node; several come with a store that nodes share."""

from collections import Counter

import pytest

from tests.attacks.outcomes import (
    AFTER_EVERY_OVERLAP,
    Race,
    asking,
    assert_killed,
    assert_refused,
    assert_unharmed,
    chained,
    noticed,
    ongoing,
    race,
    refreshing,
    signed_in,
)
from tests.serving import Detent

pytestmark = pytest.mark.slow

detent = ongoing
__all__ = ["race"]

ROUNDS = 8


@pytest.mark.parametrize("ways", [2, 8, 64])
def test_attack_t2_rfc9700_4_14_a_token_presented_at_once_has_one_successor(
    detent: Detent, race: Race, ways: int
) -> None:
    first = signed_in(detent, "app")

    answers = race([refreshing(detent, "app", first["refresh_token"]) for _ in range(ways)])

    assert Counter(answer.status_code for answer in answers) == {200: ways}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    assert detent.family(first["refresh_token"], "app").generation == 2
    detent.clock.advance(AFTER_EVERY_OVERLAP)
    assert_unharmed(detent, "app", [answer.json() for answer in answers])
    assert noticed(detent, "reuse_detected", "superseded") == []


@pytest.mark.parametrize("ways", [2, 8, 64])
@pytest.mark.parametrize("client", ["testclient", "spa"])
def test_attack_t2_rfc9700_4_14_a_strict_kind_answers_one_of_them_and_ends_the_family(
    detent: Detent, race: Race, client: str, ways: int
) -> None:
    first = signed_in(detent, client)

    answers = race([refreshing(detent, client, first["refresh_token"]) for _ in range(ways)])

    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: ways - 1}
    for answer in answers:
        if answer.status_code == 400:
            assert_refused(answer)
    [tokens] = [answer.json() for answer in answers if answer.status_code == 200]
    assert_killed(detent, client, [first, tokens])
    assert len(noticed(detent, "reuse_detected")) == 1


@pytest.mark.parametrize("ways", [2, 8, 64])
def test_attack_t2_rfc9700_4_14_a_kind_that_does_not_rotate_answers_all_with_the_same_token(
    detent: Detent, race: Race, ways: int
) -> None:
    first = signed_in(detent, "web")
    detent.clock.advance(AFTER_EVERY_OVERLAP)

    answers = race([refreshing(detent, "web", first["refresh_token"]) for _ in range(ways)])

    assert Counter(answer.status_code for answer in answers) == {200: ways}
    assert {answer.json()["refresh_token"] for answer in answers} == {first["refresh_token"]}
    assert_unharmed(detent, "web", [answer.json() for answer in answers])


@pytest.mark.parametrize(("client", "refreshes"), [("testclient", 1), ("app", 3), ("web", 3)])
@pytest.mark.parametrize("revoked_by", ["head", "ancestor"])
def test_attack_t16_rfc7009_2_1_after_the_200_of_revoke_no_head_lives(
    detent: Detent, race: Race, client: str, refreshes: int, revoked_by: str
) -> None:
    """The logout half of T16 comes with logout."""
    for round_ in range(ROUNDS):
        chain = chained(detent, client, 2)
        detent.clock.advance(AFTER_EVERY_OVERLAP)
        requests = [refreshing(detent, client, chain[-1]["refresh_token"]) for _ in range(refreshes)]
        revoked = chain[-1 if revoked_by == "head" else 0]["refresh_token"]
        turn = round_ % (refreshes + 1)  # first, last and between
        requests.insert(turn, asking(detent, "/oauth/revoke", client, token=revoked))

        answers = race(requests)

        assert answers.pop(turn).status_code == 200
        assert_killed(detent, client, [*chain, *(answer.json() for answer in answers if answer.status_code == 200)])


@pytest.mark.parametrize(("client", "refreshes"), [("testclient", 1), ("app", 3)])
def test_attack_t17_rfc9700_4_14_a_kill_beats_the_rotation_under_way(
    detent: Detent, race: Race, client: str, refreshes: int
) -> None:
    for round_ in range(ROUNDS):
        chain = chained(detent, client, 3)
        detent.clock.advance(AFTER_EVERY_OVERLAP)
        requests = [refreshing(detent, client, chain[-1]["refresh_token"]) for _ in range(refreshes)]
        turn = round_ % (refreshes + 1)
        requests.insert(turn, refreshing(detent, client, chain[0]["refresh_token"]))

        answers = race(requests)

        assert_refused(answers.pop(turn))
        assert_killed(detent, client, [*chain, *(answer.json() for answer in answers if answer.status_code == 200)])
        assert len(noticed(detent, "reuse_detected")) == round_ + 1
