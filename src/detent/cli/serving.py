"""One process that serves: log, sockets, house, sweep, in the order in which they must come and go."""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from detent.cli.operation import Failure
from detent.core.errors import StoreUnavailable
from detent.core.policy import DAY, MINUTE
from detent.ports import Clock, Store

log = logging.getLogger("detent.serving")

SWEEP_EVERY: Final = 5 * MINUTE
RETENTION: Final = 30 * DAY  # how long an ended family can still be explained


def run(work: Coroutine[Any, Any, None]) -> None:
    """On uvloop where there is one."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(work)


def _loop_factory() -> Any:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


@asynccontextmanager
async def swept(store: Store, clock: Clock) -> AsyncIterator[None]:
    """Keep the store clean until the block ends."""
    sweeping = asyncio.create_task(_sweep_for_ever(store, clock))
    try:
        yield
    finally:
        sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeping


async def _sweep_for_ever(store: Store, clock: Clock) -> None:
    while True:
        try:
            while await store.sweep(clock.now(), retention=RETENTION):
                pass
        except StoreUnavailable as error:
            log.warning("the sweep waits for its next turn: %s", error)
        await asyncio.sleep(SWEEP_EVERY)


def taken(port: int, error: OSError, advice: str) -> Failure:
    """Why a port could not be had, and what to do."""
    return Failure("address_unavailable", f"Port {port} cannot be used ({os.strerror(error.errno or 0)}). {advice}")
