"""The line to PostgreSQL breaks, or goes silent, at each question of an operation: done, or 503 and nothing guessed.

Fault row F8. An answer that is cut after the commit leaves an outcome that detent cannot know: it gives no tokens and
does not ask a second time, since it would find its own first time and take it for somebody else's.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from detent.core.changes import Changes
from detent.core.errors import StoreUnavailable
from detent.stores.postgres import PostgresStore
from tests.faults.line import CUTS, Cut, Line, line_to
from tests.faults.nodes import Crowd, Installation, nodes
from tests.history.recorded import Recorded
from tests.postgres import database_of, running_cluster
from tests.serving import REDIRECT_URI, VAULT, VERIFIER, running

pytestmark = pytest.mark.slow
KEY = "retry-key-of-22-chars-"
Cutting = AbstractContextManager[None]
PATIENCE = 0.4  # seconds of silence until an outcome counts as unknown
OPERATIONS = ("rotation_with_a_key", "rotation_with_nothing", "redemption", "revocation", "kill")
UNDER_LOAD = int(os.environ.get("FAULTS_CUTS", "5"))
MOST = 40  # questions of an operation


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with line_to(database_of(tmp_path_factory.mktemp("cuts"))) as line:
        yield line


@pytest.fixture(scope="module")
def run(line: Line, tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Recorded]:
    async def opened() -> PostgresStore:
        return await PostgresStore.open(line.conninfo, connections=3, patience=PATIENCE)

    with running(tmp_path_factory.mktemp("cut"), keys_folder, opened) as detent:
        yield Recorded(detent)


class Operations:
    """What is asked while the line breaks: each asks until it is answered, and says what must hold then."""

    def __init__(self, run: Recorded) -> None:
        self.run = run

    def certainly(self, path: str, client: str, *, promised: bool = False, **form: str) -> list[httpx.Response]:
        """All answers, until one is no "try again"."""
        answers = []
        for _ in range(100):
            answers.append(self.run.ask(path, client, promised=promised, **form))
            if answers[-1].status_code != 503:
                return answers
            assert answers[-1].json()["error"] == "temporarily_unavailable"
            assert int(answers[-1].headers["Retry-After"]) > 0
        raise AssertionError(answers[-1].text)

    def signed_in(self) -> str:
        people: dict[str, Any] = {"username": "test", "password": "test", "resource": VAULT}
        answers = self.certainly("/oauth/token", "testclient", grant_type="password", **people)
        return str(answers[-1].json()["refresh_token"])

    def refreshed(self, token: str, *, promised: bool = False, **form: str) -> list[httpx.Response]:
        form |= {"grant_type": "refresh_token", "refresh_token": token}
        return self.certainly("/oauth/token", "testclient", promised=promised, **form)

    def successor(self, token: str, *, promised: bool = False, **form: str) -> str:
        answer = self.refreshed(token, promised=promised, **form)[-1]
        assert answer.status_code == 200, answer.text
        return str(answer.json()["refresh_token"])

    def is_dead(self, token: str) -> bool:
        return self.refreshed(token)[-1].status_code == 400

    # Each prepares, asks while the line is cut, and proves what must hold.

    def rotation_with_a_key(self, cut: Cutting) -> None:
        token = self.signed_in()
        with cut:
            second = self.successor(token, promised=True, retry_key=KEY)
        assert self.successor(second, promised=True)
        assert self.run.detent.family(second).generation == 3

    def rotation_with_nothing(self, cut: Cutting) -> None:
        """Strict: the app's second attempt may be taken for a thief's, but never detent's own."""
        token = self.signed_in()
        with cut:
            answer = self.run.ask("/oauth/token", "testclient", grant_type="refresh_token", refresh_token=token)
        assert answer.status_code in (200, 503)
        self.refreshed(self.signed_in())  # whatever was left in the pool is gone
        family = self.run.detent.family(token)
        assert (family.status, family.generation in (1, 2)) == ("live", True)
        if family.generation == 1:
            assert answer.status_code == 503
            assert self.successor(token)

    def redemption(self, cut: Cutting) -> None:
        code = self.run.detent.code("app")
        fields: dict[str, Any] = {"redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER, "code": code}
        with cut:
            answers = self.certainly("/oauth/token", "app", grant_type="authorization_code", **fields)
        assert answers[-1].status_code == 200 or len(answers) > 1
        if answers[-1].status_code == 400:  # it was redeemed, and nobody has its tokens: the app asks for another
            assert answers[-1].json()["error"] == "invalid_grant"

    def revocation(self, cut: Cutting) -> None:
        token = self.signed_in()
        with cut:
            assert self.certainly("/oauth/revoke", "testclient", token=token)[-1].status_code == 200
        assert self.is_dead(token)

    def kill(self, cut: Cutting) -> None:
        """Somebody has the token of before: whoever is told so finds the family dead."""
        stolen = self.signed_in()
        head = self.successor(stolen)
        with cut:
            assert self.refreshed(stolen)[-1].status_code == 400
        assert self.is_dead(head)


def questions_cut(run: Recorded, line: Line, operation: str, how: Cut) -> int:
    """Cuts at the first question, the second …, until the operation has no more. The answer is how many it had."""
    operations = Operations(run)
    for number in range(1, MOST):
        getattr(operations, operation)(line.cut_at(number, how))
        if not line.happened:
            return number - 1
    raise AssertionError("an operation without an end")


@pytest.mark.parametrize("how", CUTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_fault_f8_a_line_that_breaks_at_any_question_leaves_it_done_or_undone_and_nobody_is_told_else(
    run: Recorded, line: Line, operation: str, how: Cut
) -> None:
    assert questions_cut(run, line, operation, how) >= 2
    assert [str(violation) for violation in run.violations()] == []


def test_fault_f8_connections_cut_under_load_lose_nothing_and_sign_nobody_out(tmp_path: Path) -> None:
    with running_cluster() as cluster, line_to(cluster.new_database()) as line:
        installation = Installation(tmp_path, line.conninfo)
        with nodes(installation, 2) as started:
            crowd = Crowd(installation)
            crowd.urls = [node.url for node in started]

            async def story() -> None:
                running = asyncio.create_task(crowd.run(16))
                for _ in range(UNDER_LOAD):
                    await crowd.go_on(16)
                    line.cut_all()
                crowd.stop()
                await running

            asyncio.run(asyncio.wait_for(story(), 300 + 20 * UNDER_LOAD))
    assert (crowd.refused, crowd.violations()) == ([], [])


def success_is_guessed(run: Recorded, patch: pytest.MonkeyPatch) -> None:
    honest = run.detent.store.apply

    async def hopeful(changes: Changes) -> None:
        with suppress(StoreUnavailable):
            await honest(changes)

    patch.setattr(run.detent.store, "apply", hopeful)


def an_unknown_write_is_done_again(run: Recorded, patch: pytest.MonkeyPatch) -> None:
    honest = run.detent.store.apply

    async def insistent(changes: Changes) -> None:
        try:
            await honest(changes)
        except StoreUnavailable:
            await honest(changes)

    patch.setattr(run.detent.store, "apply", insistent)


@pytest.mark.parametrize(
    ("sabotage", "how"), [(success_is_guessed, "unsent"), (an_unknown_write_is_done_again, "unanswered")]
)
def test_fault_f8_a_store_that_guesses_or_asks_twice_is_found(
    run: Recorded,
    line: Line,
    monkeypatch: pytest.MonkeyPatch,
    sabotage: Callable[[Recorded, pytest.MonkeyPatch], None],
    how: Cut,
) -> None:
    """What the server asks by itself meanwhile can take the place of a question that is to be cut: so a few rounds."""

    def rounds() -> None:
        for _ in range(5):
            questions_cut(run, line, "rotation_with_nothing", how)

    sabotage(run, monkeypatch)
    with pytest.raises(AssertionError):
        rounds()
