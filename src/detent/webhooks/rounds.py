"""Rounds: twice a second start what is due, each thing in a task of its own, so that none holds up another.

For whoever sends to servers that may be slow or away. What a fault of the store or of ours stops, the next round
finds still due.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from detent.core.errors import Conflict, StoreUnavailable

log = logging.getLogger("detent.webhooks")

EVERY: Final = 0.5  # seconds


class Rounds:
    """`what` is waiting where a store is away, in words."""

    def __init__(self, what: str, start_what_is_due: Callable[[], Awaitable[None]]) -> None:
        self._what = what
        self._start_what_is_due = start_what_is_due
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._under_way

    def __len__(self) -> int:
        return len(self._under_way)

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._under_way[name] = asyncio.create_task(self._attended(name, work))

    async def run(self) -> None:
        """For ever; cancelled, it leaves what is under way to the next node."""
        try:
            while True:
                try:
                    await self._start_what_is_due()
                except StoreUnavailable as error:
                    log.warning("The %s wait: %s", self._what, error)
                await asyncio.sleep(EVERY)
        finally:
            for task in self._under_way.values():
                task.cancel()

    async def round(self) -> None:
        """All that is due now, to its end."""
        await self._start_what_is_due()
        await asyncio.gather(*self._under_way.values())

    async def _attended(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Conflict:
            pass  # another node, or the operator, changed it: the next round sees it as it is
        except StoreUnavailable as error:
            log.warning("%s waits: %s", name, error)
        except Exception:
            log.exception("a fault of ours at %s", name)
        finally:
            del self._under_way[name]
