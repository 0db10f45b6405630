"""A store that fails in the middle of a rotation or a redemption (rows T8, X3, C12), and guessing (C14).

What the database does at each of its own failures is asked in tests/stores; here it is what the client is told.
"""

import os
from pathlib import Path
from typing import Literal

import pytest

from detent.core.changes import Changes, InsertFamily, ReplaceFamily
from detent.core.errors import StoreUnavailable
from detent.system import SystemEntropy
from tests.attacks.outcomes import active, assert_refused, signed_in
from tests.serving import Detent, running

Failed = Literal["before the commit", "after the commit"]
FAILURES: tuple[Failed, ...] = ("before the commit", "after the commit")
KEY = "retry-key-of-22-chars-"


def failing_once(detent: Detent, failed: Failed) -> None:
    """The next write of a family fails; after the commit only the database knows that it was carried out."""
    honest = detent.store.apply

    async def apply(changes: Changes) -> None:
        if not any(isinstance(part, InsertFamily | ReplaceFamily) for part in changes.parts):
            await honest(changes)
            return
        detent.store.apply = honest
        if failed == "after the commit":
            await honest(changes)
        raise StoreUnavailable("no answer from the disk")

    detent.store.apply = apply


@pytest.mark.parametrize("failed", FAILURES)
@pytest.mark.parametrize(("client", "key"), [("app", ""), ("web", ""), ("testclient", KEY)])
def test_attack_t8_rfc6749_5_2_a_write_that_failed_is_503_and_burns_nothing(
    detent: Detent, client: str, key: str, failed: Failed
) -> None:
    first = signed_in(detent, client)
    detent.clock.advance(1)
    failing_once(detent, failed)
    answer = detent.refresh(client, first["refresh_token"], retry_key=key)
    assert answer.status_code == 503
    assert "token" not in answer.json()
    second = detent.refreshed(client, first["refresh_token"], retry_key=key)
    detent.clock.advance(61)
    detent.refreshed(client, second["refresh_token"])
    assert active(detent, first, second) == [True, True]


@pytest.mark.parametrize("failed", FAILURES)
def test_attack_x3_rfc7009_2_2_1_a_revocation_that_was_not_written_is_never_called_done(
    detent: Detent, failed: Failed
) -> None:
    tokens = signed_in(detent, "web")
    failing_once(detent, failed)
    answer = detent.revoke(tokens["refresh_token"], "web")
    assert_refused(answer, "temporarily_unavailable", 503)
    assert int(answer.headers["retry-after"]) > 0
    assert active(detent, tokens) == [failed == "before the commit"]
    assert detent.revoke(tokens["refresh_token"], "web").status_code == 200
    assert active(detent, tokens) == [False]


@pytest.mark.sqlite
@pytest.mark.parametrize("failed", FAILURES)
def test_attack_c12_rfc6749_4_1_2_no_crash_makes_two_token_sets_of_one_code(
    tmp_path: Path, keys_folder: Path, failed: Failed
) -> None:
    with running(tmp_path, keys_folder, "sqlite") as before:
        code, clock = before.code("app"), before.clock
        failing_once(before, failed)
        assert before.redeem("app", code).status_code == 503
    with running(tmp_path, keys_folder, "sqlite", clock=clock) as after:
        answers = [after.redeem("app", code) for _ in range(2)]
        granted = [answer.json() for answer in answers if answer.status_code == 200]
        assert len(granted) == (failed == "before the commit")
        for answer in answers[len(granted) :]:
            assert_refused(answer)
        for tokens in granted:  # the second redemption ended what the first one began
            assert_refused(after.refresh("app", tokens["refresh_token"]))


def test_attack_c14_rfc6749_10_10_forked_workers_draw_no_number_twice() -> None:
    """A generator of the process's own would go on alike in each of them. 128 bits are the least that is drawn."""
    entropy, draws, drawn = SystemEntropy(), 2000, []
    entropy.token_bytes(16)
    for _ in range(4):
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.write(writing, b"".join(entropy.token_bytes(16) for _ in range(draws)))
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            drawn.append(pipe.read())
        os.wait()
    numbers = {each[at : at + 16] for each in drawn for at in range(0, len(each), 16)}
    assert len(numbers) == 4 * draws
