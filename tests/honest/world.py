"""The world of honest installations: a network that delays, doubles, reorders and loses, and a server that restarts.

Requests reach the real application through ASGI in the server's own loop and not through sockets: so an answer is
lost exactly after the server sent it, and the clock stands still while a second's requests are served together. A
seed repeats what the network does; which request of a second is served first is the server's, as it would be. People
sign in over sockets. Time is that of the server's ManualClock.
"""

import asyncio
import heapq
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx

from detent.core.ids import FamilyKey, Seconds
from detent.core.policy import RefreshPolicy
from detent.core.session import SessionPolicy
from detent.testing.clock import ManualClock
from detent.testing.history.check import Violation, check
from detent.testing.history.record import Recorder, Request
from detent.tokens.handle import family_of
from tests.browsing import Browser
from tests.honest.installation import KINDS, Attempt, Installation
from tests.honest.policies import POLICIES, deciding
from tests.serving import API, CONFIDENTIAL, REDIRECT_URI, SECRET, START, VERIFIER, Detent, running

INSTALLATIONS: Final = 200
LOST, DOUBLED, SLOW = 0.05, 0.02, 0.02
ISSUER: Final = "https://id.example/"
DAY: Final = 86400
KILLS: Final = ("reuse_detected", "suspected")


class World:
    def __init__(self, folder: Path, keys_folder: Path, policy: str, seed: int) -> None:
        self.now = 0.0
        self.chance = random.Random(seed)  # noqa: S311
        self.installations: list[Installation] = []
        self._figures: Counter[tuple[str, str]] = Counter()
        self._decision, self._policy = POLICIES[policy]
        self._judged = policy == "detent"
        self._folder, self._keys_folder = folder, keys_folder
        self._clock = ManualClock(START)
        self._recorder = Recorder(self._clock)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._arriving: list[Attempt] = []
        self._order = count()
        self._served = 0
        self._killed: set[str] = set()  # families, by servers that have stopped since
        self._mourned: set[FamilyKey | None] = set()  # those that are counted as killed
        self._browsers: dict[int, Browser] = {}
        self._policies: dict[str, RefreshPolicy] = {}

    def run(self, refreshes: int, restarts: int) -> None:
        """Serve so many refreshes, with the server stopped and started on its file so often."""
        with deciding(self._decision), ExitStack() as self._open:
            for life in range(restarts + 1):
                with self._running() as stack:
                    self._live(stack, refreshes * (life + 1) // (restarts + 1))

    def violations(self) -> list[Violation]:
        policies = {name: self._policy(policy) for name, policy in self._policies.items()}
        return check(self._recorder.requests, policies)

    def told(self, what: str, group: str | None = None) -> int:
        """A figure of one group of installations, or of all: refreshes, lost, recovered, killed …"""
        if what == "recovered":
            return sum(each.recovered for each in self.installations if group in (None, each.kind.group))
        return sum(many for (whose, name), many in self._figures.items() if name == what and group in (None, whose))

    # Network

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), action))

    def send(self, attempt: Attempt) -> None:
        """It arrives within 8 s and some of them twice: no proxy is slower than the client's time-out."""
        delay = self.chance.uniform(2, 8) if self.chance.random() < SLOW else self.chance.uniform(0.02, 1)
        self.later(delay, lambda: self._arriving.append(attempt))
        if self.chance.random() < DOUBLED:
            self.later(delay + self.chance.uniform(0, 1), lambda: self._arriving.append(attempt))
            self._count(attempt.installation, "doubled")

    def sign_in_again(self, installation: Installation, answer: httpx.Response, attempt: Attempt) -> None:
        """After a refusal. Who was killed, and who only outlived the family's life, is in the server's events."""
        family = family_of(attempt.token)
        by_reuse = family is not None and family.text in self._killed | self._killed_now()
        silently = self._sign_in(installation)
        if not by_reuse:
            self._count(installation, "lives over")
        elif family not in self._mourned:  # a blind write may bring a dead token back
            self._mourned.add(family)
            self._count(installation, "killed")
            self._count(installation, "silently again", silently)
            self._count(installation, "not recovered", installation.lost)
        installation.lost = 0

    # Server

    def _running(self) -> ExitStack:
        stack = ExitStack()
        session = SessionPolicy(Seconds(14 * DAY), Seconds(90 * DAY))
        self._detent: Detent = stack.enter_context(
            running(self._folder, self._keys_folder, clock=self._clock, public=ISSUER, session_policy=session)
        )
        return stack

    def _live(self, stack: ExitStack, until: int) -> None:
        inside = httpx.AsyncClient(transport=httpx.ASGITransport(self._detent.house.asgi), base_url=ISSUER)
        stack.callback(lambda: self._detent.thread.call(inside.aclose()))
        for browser in self._browsers.values():
            browser.detent, browser.http.base_url = self._detent, httpx.URL(self._detent.url)
        if not self.installations:
            self._begin()
        while self._served < until:
            self._second(inside)
        self._killed |= self._killed_now()

    def _killed_now(self) -> set[str]:
        return {event.about for event in self._detent.sink.events if event.name in KILLS}

    def _begin(self) -> None:
        names = {kind.client for kind in KINDS}
        self._policies = {n: self._detent.thread.call(self._detent.store.client(n)).policy for n in names}
        for number in range(INSTALLATIONS):
            installation = Installation(self, number, KINDS[number % len(KINDS)])
            self.installations.append(installation)
            self._sign_in(installation)
            self.later(self.chance.uniform(0, 1200), installation.wake)

    def _second(self, inside: httpx.AsyncClient) -> None:
        """Everything of the next second in which anything happens: what arrives in it is served together."""
        second = int(self._events[0][0])
        self._clock.advance(START + second - self._clock.now())
        while self._events and int(self._events[0][0]) == second:
            self.now, _, action = heapq.heappop(self._events)
            action()
        arrived, self._arriving = self._arriving, []
        if not arrived:
            return
        self.chance.shuffle(arrived)
        answers = self._detent.thread.call(self._answers(inside, arrived))
        for attempt, answer in zip(arrived, answers, strict=True):
            self._served += 1
            self._back(attempt, answer)

    async def _answers(self, inside: httpx.AsyncClient, arrived: Sequence[Attempt]) -> list[httpx.Response]:
        return await asyncio.gather(*(self._answer(inside, attempt) for attempt in arrived))

    async def _answer(self, inside: httpx.AsyncClient, attempt: Attempt) -> httpx.Response:
        installation = attempt.installation
        client = installation.kind.client
        form = {"grant_type": "refresh_token", "refresh_token": attempt.token, "client_id": client}
        if attempt.retry_key:
            form["retry_key"] = attempt.retry_key
        promised = self._judged and installation.kind.promised
        request = self._started(form, installation, promised=promised)
        secret = {"client_secret": SECRET} if client in CONFIDENTIAL else {}
        headers = {"user-agent": installation.agent}
        answer = await inside.post("/oauth/token", data=form | secret, headers=headers)
        self._recorder.answered(request, answer.status_code, answer.content)
        return answer

    def _back(self, attempt: Attempt, answer: httpx.Response) -> None:
        installation = attempt.installation
        self._count(installation, "refreshes")
        if self.chance.random() < LOST:
            if not attempt.settled and answer.status_code == 200:
                self._count(installation, "lost")
                installation.lost += 1
            return
        self.later(self.chance.uniform(0.02, 1.5), lambda: installation.arrived(attempt, answer))

    # People

    def _sign_in(self, installation: Installation) -> bool:
        """New tokens; whether the person had to do nothing for them."""
        client, silently = installation.kind.client, False
        form: dict[str, Any] = {"grant_type": "password", "username": "test", "password": "test"}
        if client == "spa":
            silently, code = self._code_of_browser(installation)
            form = _redeeming(code)
        elif client != "testclient":
            form = _redeeming(self._detent.code(client, scope="read", resource=(API,)))
        request = self._started({**form, "client_id": client}, installation)
        answer = self._detent.post("/oauth/token", client, headers={"user-agent": installation.agent}, **form)
        self._recorder.answered(request, answer.status_code, answer.content)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        installation.signed_in(told["refresh_token"], told["expires_in"])
        return silently

    def _code_of_browser(self, installation: Installation) -> tuple[bool, str]:
        """By prompt=none, which shows nothing, if the browser has signed in before; else through the pages."""
        browser = self._browsers.get(installation.number)
        if browser:
            answer = browser.authorize("spa", prompt="none", scope="openid read offline_access").answer
            if "code" in answer:
                return True, answer["code"]
        if browser is None:
            browser = self._browsers[installation.number] = self._open.enter_context(Browser(self._detent))
        return False, browser.sign_in("spa", scope="openid read offline_access")["code"]

    def _started(self, form: dict[str, Any], installation: Installation, *, promised: bool = False) -> Request:
        kind = installation.kind
        return self._recorder.started("/oauth/token", form, kind.client, origin=installation.agent, promised=promised)

    def _count(self, installation: Installation, what: str, many: int = 1) -> None:
        self._figures[installation.kind.group, what] += many


def _redeeming(code: str) -> dict[str, Any]:
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": VERIFIER,
    }
