"""Owner and thief in every order, over HTTP: each answer is what the model of docs/family.md says.

Each presents the newest token it has, or the thief always his copy; before every step an overlap may end. Orders that
differ only after the family's end, or in overlaps that did not run, are one. The steps of all runs with the same ends
of overlaps are sent together, so the clock moves for all of them alike.
"""

import asyncio
from collections.abc import Sequence
from itertools import permutations, product
from typing import Any, Literal

import httpx
import pytest

from detent.core.policy import RefreshPolicy
from detent.testing.family_model.row import HEAD, NO_KEY, Outcome, Row, presented
from detent.testing.history.check import check
from detent.testing.history.record import Recorder
from tests.attacks.outcomes import AFTER_EVERY_OVERLAP, Tokens, asking, ongoing
from tests.serving import REDIRECT_URI, VAULT, VERIFIER, Detent

detent = ongoing

Thief = Literal["goes on", "keeps to his copy"]


class Model:
    """The family's row, and what each one's token is to it."""

    def __init__(self, policy: RefreshPolicy, thief: Thief) -> None:
        self.policy, self.thief = policy, thief
        self.row = Row()
        self.places = {"O": HEAD, "T": HEAD}

    def step(self, who: str, end: bool) -> tuple[str, Outcome]:
        """What presenting does, and the step in letters: the end of an overlap only where one runs."""
        ended = end and self.row.rotated == "young"
        if ended:
            self.row = self.row._replace(rotated="old")
        said = presented(self.row, self.policy, self.places[who], NO_KEY, 0)
        self.row = said.row
        self.places = {name: said.renamed[place] for name, place in self.places.items()}
        if said.answer and self.stores(who):
            self.places[who] = said.answer
        return "~" * ended + who, said

    def stores(self, who: str) -> bool:
        return who == "O" or self.thief == "goes on"

    def trace(self, order: str, ends: Sequence[bool]) -> str:
        """The steps up to the family's end; runs with one trace are one run."""
        told = ""
        for who, end in zip(order, ends, strict=True):
            if not self.row.is_over:
                told += self.step(who, end)[0]
        return told


class Run:
    """One family and one order of steps, beside the model."""

    def __init__(self, order: str, model: Model, tokens: Tokens) -> None:
        self.order, self.model = order, model
        self.newest: str = tokens["refresh_token"]
        self.tokens = {"O": self.newest, "T": self.newest}
        self.access_token = tokens["access_token"]
        self.wrong: list[str] = []

    def compare(self, step: int, end: bool, answer: httpx.Response) -> None:
        """The answer with the model's; then both go on."""
        who = self.order[step]
        _, said = self.model.step(who, end)
        told = answer.json()
        brought = told.get("refresh_token", "")
        if (answer.status_code == 200, bool(brought)) != (said.is_answered, bool(said.answer)):
            self.wrong.append(f"{self.order} step {step}: {said.decision}, but {answer.text}")
        if brought and (brought == self.newest) != _repeats_head(said):
            self.wrong.append(f"{self.order} step {step}: {said.decision}, but another successor")
        self.newest = brought or self.newest
        if brought and self.model.stores(who):
            self.tokens[who] = brought
        self.access_token = told.get("access_token", self.access_token)


def _repeats_head(said: Outcome) -> bool:
    """Whether the answer's refresh token is the one that was the newest before."""
    return said.renamed[HEAD] == HEAD


class Stage:
    """Sends a step of many runs together, and records it."""

    def __init__(self, detent: Detent, client: str) -> None:
        self.detent, self.client = detent, client
        self.policy: RefreshPolicy = detent.thread.call(detent.store.client(client)).policy
        self.recorder = Recorder(detent.clock)

    def play(self, orders: Sequence[str], thief: Thief, ends: Sequence[bool]) -> list[Run]:
        """These orders of the steps, with an overlap ending before those steps that `ends` says."""
        begun = self._send([self._redeeming() for _ in orders])
        runs = [
            Run(order, Model(self.policy, thief), answer.json()) for order, answer in zip(orders, begun, strict=True)
        ]
        for step, end in enumerate(ends):
            if end:
                self.detent.clock.advance(AFTER_EVERY_OVERLAP)
            forms = [_refreshing(run.tokens[run.order[step]]) for run in runs]
            for run, answer in zip(runs, self._send(forms), strict=True):
                run.compare(step, end, answer)
        return runs

    def are_active(self, runs: Sequence[Run]) -> list[bool]:
        """Of each run, whether its latest access token is active; it stands and falls with the family."""
        forms = [{"token": run.access_token} for run in runs]
        return [answer.json()["active"] for answer in self._send(forms, "/oauth/introspect", "demo-api")]

    def _redeeming(self) -> dict[str, Any]:
        code = self.detent.code(self.client, resource=(VAULT,))
        fields = {"redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
        return {"grant_type": "authorization_code", "code": code, **fields}

    def _send(
        self, forms: Sequence[dict[str, Any]], path: str = "/oauth/token", client: str = ""
    ) -> list[httpx.Response]:
        return self.detent.thread.call(self._together(forms, path, client or self.client))

    async def _together(self, forms: Sequence[dict[str, Any]], path: str, client: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.detent.house.asgi)) as inside:
            return await asyncio.gather(*(self._ask(inside, form, path, client) for form in forms))

    async def _ask(self, inside: httpx.AsyncClient, form: dict[str, Any], path: str, client: str) -> httpx.Response:
        request = self.recorder.started(path, form, client)
        answer = await inside.send(asking(self.detent, path, client, **form))
        self.recorder.answered(request, answer.status_code, answer.content)
        return answer


def _refreshing(token: str) -> dict[str, Any]:
    return {"grant_type": "refresh_token", "refresh_token": token}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("client", "thief", "rounds"),
    [
        ("spa", "goes on", 4),
        ("spa", "keeps to his copy", 4),
        ("app", "goes on", 4),
        ("app", "keeps to his copy", 3),
        ("cli", "goes on", 3),  # after suspicion nothing ends: four rounds take two minutes
        ("cli", "keeps to his copy", 3),
        ("web", "goes on", 4),
        ("web", "keeps to his copy", 4),
    ],
)
def test_attack_t1_t2_rfc9700_4_14_owner_and_thief_in_every_order_fare_as_the_model_says(
    detent: Detent, client: str, thief: Thief, rounds: int
) -> None:
    """`rounds`: so often each side refreshes."""
    stage, seen = Stage(detent, client), set[str]()
    steps = 2 * rounds
    every = sorted({"".join(order) for order in permutations("OT" * rounds)})
    for ends in product((False,), *([(False, True)] * (steps - 1))):
        traces = {Model(stage.policy, thief).trace(order, ends): order for order in every}
        new = [order for trace, order in traces.items() if trace not in seen]
        seen |= set(traces)
        runs = stage.play(new, thief, ends)
        assert [wrong for run in runs for wrong in run.wrong] == []
        assert stage.are_active(runs) == [not run.model.row.is_over for run in runs]
    assert [str(violation) for violation in check(stage.recorder.requests, {client: stage.policy})] == []
