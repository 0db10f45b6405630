"""Long signatures, made in threads: those that are asked for in one moment, in as many portions as threads are free.

Handing a single signature to a thread and back wakes both, which takes a third as long as the signature itself. What
is asked for while all threads are at work waits, and is the next portion: so portions grow with the load, as
commits do.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

_MOST: Final = 16  # in one portion, whose first waits for its last

Work = Callable[[], str]
Asked = tuple[Work, asyncio.Future[str]]


class Portions:
    """For one thread, that of the event loop."""

    def __init__(self, threads: ThreadPoolExecutor, many: int) -> None:
        self._threads = threads
        self._free = many
        self._asked: list[Asked] = []

    def sign(self, work: Work) -> asyncio.Future[str]:
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._hand_over)
        answer: asyncio.Future[str] = loop.create_future()
        self._asked.append((work, answer))
        return answer

    def _hand_over(self) -> None:
        loop = asyncio.get_running_loop()
        while self._free and self._asked:
            share = min(_MOST, -(-len(self._asked) // self._free))
            portion, self._asked = self._asked[:share], self._asked[share:]
            self._free -= 1
            signed = loop.run_in_executor(self._threads, _signed, [work for work, _ in portion])
            signed.add_done_callback(partial(self._told, [answer for _, answer in portion]))

    def _told(self, answers: Sequence[asyncio.Future[str]], signed: asyncio.Future[list[str | Exception]]) -> None:
        self._free += 1
        for answer, outcome in zip(answers, signed.result(), strict=True):
            if answer.done():  # nobody waits for it
                continue
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)
        self._hand_over()


def _signed(portion: Sequence[Work]) -> list[str | Exception]:
    """On a thread."""
    return [_outcome(work) for work in portion]


def _outcome(work: Work) -> str | Exception:
    try:
        return work()
    except Exception as error:
        return error
