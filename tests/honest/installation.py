"""One honest installation of an app: its token store, its tabs, how it sends, gives up and tries again.

With a retry key it is a library that knows detent: one request at a time for each store, the key stored before it is
sent, and a retry after 0.1 s to 11 min. Without one it is an unmodified SDK: each tab for itself, a time-out of
10 s, three tries at once and the next when the app asks again; what an answer brings is written blindly.
"""

import math
import random
from typing import Final, Protocol

import httpx
import msgspec

TIME_OUT: Final = 10.0
SOONEST, LATEST = 0.1, 660.0
SDK_TRIES: Final = 3
ASLEEP: Final = 0.03  # of all wakes are followed by sleep
TOGETHER: Final = 0.3  # of all wakes are of all tabs
HOUR: Final = 3600.0


NAMES: Final = {
    "spa": "browser app (strict)",
    "testclient": "web app that rotates strictly",
    "app": "native app (overlap)",
    "cli": "command line (overlap, suspect)",
    "web": "web app that does not rotate",
}


class Kind(msgspec.Struct, frozen=True):
    client: str
    keyed: bool
    tabs: int

    @property
    def promised(self) -> bool:
        """With an overlap, or without rotation, or with a retry key nobody is ever refused."""
        return self.keyed or self.client in ("app", "cli", "web")

    @property
    def group(self) -> str:
        sender = "with a retry key" if self.keyed else "unmodified SDK"
        return f"{NAMES[self.client]}, {sender}"


KINDS: Final = tuple(
    Kind(client, keyed, tabs)
    for client in ("spa", "testclient", "app", "cli", "web")
    for keyed in (True, False)
    for tabs in (1, 3)
)


class Network(Protocol):
    """What an installation needs of the world around it; times are seconds of the simulation."""

    now: float
    chance: random.Random

    def later(self, seconds: float, action: "Action") -> None: ...
    def send(self, attempt: "Attempt") -> None: ...
    def sign_in_again(self, installation: "Installation", answer: httpx.Response, attempt: "Attempt") -> None: ...


class Action(Protocol):
    def __call__(self) -> None: ...


class Attempt(msgspec.Struct):
    installation: "Installation"
    token: str
    retry_key: str
    number: int
    settled: bool = False


class Installation:
    def __init__(self, network: Network, number: int, kind: Kind) -> None:
        self.network, self.number, self.kind = network, number, kind
        self.agent = f"honest/{number}"
        self.lost = 0  # answers that the server sent and that nobody has made good yet
        self.recovered = 0
        self._token = ""
        self._fresh_until = 0.0
        self._pending = ("", "")
        self._under_way = 0

    def signed_in(self, token: str, expires_in: int) -> None:
        self._token = token
        self._fresh_until = self.network.now + expires_in * self.network.chance.uniform(0.7, 0.95)

    def wake(self) -> None:
        """A tab is used, and will be again; sometimes, and after a night always, all tabs wake at once."""
        chance = self.network.chance
        self._refresh_if_due()
        asleep = chance.random() < ASLEEP
        self.network.later(chance.uniform(1, 9) * HOUR if asleep else chance.uniform(30, 1200), self.wake)
        if asleep or chance.random() < TOGETHER:
            for _ in range(self.kind.tabs - 1):
                self.network.later(chance.uniform(0, 3), self._refresh_if_due)

    def _refresh_if_due(self, number: int = 1) -> None:
        if self.network.now >= self._fresh_until and not (self.kind.keyed and self._under_way):
            self._try(number)

    def _try(self, number: int) -> None:
        if self.kind.keyed and self._pending[0] != self._token:
            self._pending = (self._token, f"{self.network.chance.getrandbits(128):032x}")
        attempt = Attempt(self, self._token, self._pending[1] if self.kind.keyed else "", number)
        self._under_way += 1
        self.network.later(TIME_OUT, lambda: self._give_up(attempt))
        self.network.send(attempt)

    def _give_up(self, attempt: Attempt) -> None:
        if not attempt.settled:
            self._settle(attempt)
            self._again(attempt)

    def _again(self, attempt: Attempt) -> None:
        chance = self.network.chance
        if not self.kind.keyed and attempt.number < SDK_TRIES:
            self.network.later(chance.uniform(0.1, 2), lambda: self._refresh_if_due(attempt.number + 1))
        else:
            wait = math.exp(chance.uniform(math.log(SOONEST), math.log(LATEST)))
            self.network.later(wait, self._refresh_if_due)

    def _settle(self, attempt: Attempt) -> None:
        attempt.settled = True
        self._under_way -= 1

    def arrived(self, attempt: Attempt, answer: httpx.Response) -> None:
        """An answer reaches the client; one that comes after the time-out or a second time reaches nobody."""
        if attempt.settled:
            return
        self._settle(attempt)
        if answer.status_code == 200:
            told = answer.json()
            if not self.kind.keyed or self._token == attempt.token:
                self.signed_in(told.get("refresh_token", self._token), told["expires_in"])
            self.recovered, self.lost = self.recovered + self.lost, 0
        elif answer.status_code == 400:
            if self._token == attempt.token:  # else another tab signed in meanwhile
                self.network.sign_in_again(self, answer, attempt)
        else:
            self._again(attempt)
