"""What the connections of one server share: how many there may be, whom we wait for, and when answers leave."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from uvicorn.server import ServerState

from detent.web.asgi import Crowd

MOST_TOGETHER: Final = 16  # answers that wait for each other, so that the first of many does not wait for the last


class Waiting(Protocol):
    """A connection that we wait for."""

    def give_up(self, status: int) -> None: ...


class State(ServerState):
    """What the connections of one server share; `waiting` are those that we wait for, the longest first."""

    def __init__(self, crowd: Crowd, most: int) -> None:
        super().__init__()
        self.crowd = crowd
        self.most = most
        self.ending = False  # each answer says that its connection ends with it
        self.waiting: dict[Waiting, None] = {}
        self._sends: list[Callable[[], None]] = []

    def send_soon(self, send: Callable[[], None]) -> None:
        """Answers that are ready in one step of the loop leave right after each other, so that who reads them all, a
        proxy or a busy client, is woken once for many of them (docs/decisions/0045).
        """
        self._sends.append(send)
        if len(self._sends) == 1:
            asyncio.get_running_loop().call_soon(self._send_all)
        elif len(self._sends) == MOST_TOGETHER:
            self._send_all()

    def _send_all(self) -> None:
        sends, self._sends = self._sends, []
        for send in sends:
            send()

    def has_room(self) -> bool:
        """Whether the connection that came may stay; another one may have to go for it."""
        if len(self.connections) <= self.most:
            return True
        longest = next(iter(self.waiting), None)
        if longest:
            longest.give_up(503)
        return longest is not None

    def given_up(self, status: int) -> None:
        self.crowd.given_up[status] = self.crowd.given_up.get(status, 0) + 1
