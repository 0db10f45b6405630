"""Rows T3 and T10: lost answers, tabs and sleep are no attack, and nobody is killed for them. Over HTTP.

They hold for kinds with an overlap; a strict kind has the retry key, which a client stores before it sends.
"""

import random

import httpx
import pytest

from tests.attacks.outcomes import (
    AFTER_EVERY_OVERLAP,
    assert_killed,
    assert_refused,
    assert_unharmed,
    chained,
    noticed,
    ongoing,
    signed_in,
)
from tests.serving import Detent

detent = ongoing

KEY = "retry-key-of-22-chars-"
KILLS = ("reuse_detected", "suspected", "revoked", "code_replayed")


@pytest.mark.quick
@pytest.mark.parametrize("seconds_later", [1, 30, 60, 61, 600])
@pytest.mark.parametrize("client", ["app", "cli"])
def test_attack_t3_fapi2_5_3_2_1_9_a_lost_answer_is_asked_for_again_with_the_old_token(
    detent: Detent, client: str, seconds_later: int
) -> None:
    """Within the overlap the very same successor comes again; later a new one, and the lost one is dead."""
    sent, lost = chained(detent, client, 2)
    detent.clock.advance(seconds_later)

    retried = detent.refreshed(client, sent["refresh_token"])

    assert (retried["refresh_token"] == lost["refresh_token"]) == (seconds_later <= 60)
    detent.clock.advance(AFTER_EVERY_OVERLAP)
    assert_unharmed(detent, client, [sent, lost, retried])
    assert noticed(detent, *KILLS) == []
    if seconds_later > 60:
        assert_refused(detent.refresh(client, lost["refresh_token"]))


@pytest.mark.quick
@pytest.mark.parametrize("seconds_later", [1, 30, 600])
@pytest.mark.parametrize("client", ["testclient", "spa"])
def test_attack_t3_fapi2_5_3_2_1_9_a_strict_kind_retries_with_its_key(
    detent: Detent, client: str, seconds_later: int
) -> None:
    sent = signed_in(detent, client)
    lost = detent.refreshed(client, sent["refresh_token"], retry_key=KEY)
    detent.clock.advance(seconds_later)

    retried = detent.refreshed(client, sent["refresh_token"], retry_key=KEY)

    assert retried["refresh_token"] == lost["refresh_token"]
    detent.refreshed(client, retried["refresh_token"])
    assert noticed(detent, *KILLS) == []


@pytest.mark.quick
@pytest.mark.parametrize(("key", "on_retry"), [("", ""), ("", KEY), (KEY, ""), (KEY, KEY[::-1]), (KEY[:21], KEY[:21])])
def test_attack_t3_rfc9700_4_14_a_strict_kind_without_the_right_key_of_22_characters_is_killed(
    detent: Detent, key: str, on_retry: str
) -> None:
    sent = signed_in(detent, "testclient")
    answered = detent.refreshed("testclient", sent["refresh_token"], retry_key=key)
    assert_refused(detent.refresh("testclient", sent["refresh_token"], retry_key=on_retry))
    assert_killed(detent, "testclient", [sent, answered])


@pytest.mark.quick
def test_attack_t3_rfc9700_4_14_a_constant_key_is_no_second_password(detent: Detent) -> None:
    chain = [signed_in(detent, "testclient")]
    for _ in range(2):
        chain.append(detent.refreshed("testclient", chain[-1]["refresh_token"], retry_key=KEY))
    assert_refused(detent.refresh("testclient", chain[1]["refresh_token"], retry_key=KEY))
    assert_killed(detent, "testclient", chain)


class Installation:
    """One honest client with one token store: it writes blindly what an answer brings, and else keeps what it has."""

    def __init__(self, detent: Detent, client: str, chance: random.Random) -> None:
        self.detent = detent
        self.client = client
        self.chance = chance
        self.token = signed_in(detent, client)["refresh_token"]

    def tabs(self, tabs: int, loss: float) -> None:
        """Every tab sends what the store holds, some go on at once; any of the answers may be lost."""
        sent = self.token
        goes_on = [self.chance.random() < 0.3 for _ in range(tabs)]

        def tab(index: int) -> httpx.Response:
            answer = self.detent.refresh(self.client, sent)
            if goes_on[index]:
                return self.detent.refresh(self.client, answer.json().get("refresh_token", sent))
            return answer

        answers = self.detent.at_once(tabs, tab)
        self.chance.shuffle(answers)
        for answer in answers:
            assert answer.status_code == 200, answer.text
            if self.chance.random() >= loss:
                self.token = answer.json().get("refresh_token", self.token)

    def single_flight(self, loss: float) -> None:
        """One request at a time, with a key of its own that is stored before it is sent, until an answer arrives."""
        key = f"{self.chance.getrandbits(128):032x}"
        while True:
            answer = self.detent.refresh(self.client, self.token, retry_key=key)
            assert answer.status_code == 200, answer.text
            if self.chance.random() >= loss:
                self.token = answer.json()["refresh_token"]
                return
            self.detent.clock.advance(self.chance.choice((1, 30, 61, 600)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_attack_t10_a_swarm_of_honest_clients_is_never_killed(detent: Detent, seed: int) -> None:
    """Retries, up to three tabs on one store, sleeps and lost answers; database faults (T8) come with fault injection.

    Every third round nothing is lost: four repeated generations in a row are the limit that docs/family.md names.
    """
    chance = random.Random(seed)  # noqa: S311
    swarm = [Installation(detent, client, chance) for client in ("app", "cli", "app", "web")]
    for round_ in range(24):
        quiet = round_ % 3 == 2
        detent.clock.advance(AFTER_EVERY_OVERLAP if quiet else chance.choice((0, 1, 30, 59, 61, 3600, 86400)))
        for installation in swarm:
            installation.tabs(1 if quiet else chance.choice((1, 1, 2, 3)), 0 if quiet else 0.4)
    assert noticed(detent, *KILLS) == []
    assert len(noticed(detent, "replay_tolerated")) > 3
    assert noticed(detent, "superseded"), "the swarm did lose answers"


@pytest.mark.parametrize("seed", [1, 2])
def test_attack_t10_strict_clients_with_a_retry_key_are_never_killed(detent: Detent, seed: int) -> None:
    """Strict kinds make no promise to two tabs at once, nor to a client that sends no key."""
    chance = random.Random(seed)  # noqa: S311
    swarm = [Installation(detent, client, chance) for client in ("testclient", "spa", "other")]
    for _ in range(20):
        detent.clock.advance(chance.choice((0, 1, 61, 3600)))
        for installation in swarm:
            installation.single_flight(0.4)
    assert noticed(detent, *KILLS) == []
    assert len(noticed(detent, "replay_tolerated")) > 10
