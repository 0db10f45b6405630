"""One process that serves: log, sockets, house, and what goes on beside the requests.

All of it comes and goes in the order in which it must.
"""

import asyncio
import logging
import os
import resource
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from detent.app import Outside
from detent.cli.clock import take_up
from detent.cli.figures import watch_for_ever
from detent.cli.mark import beat, beat_for_ever, served
from detent.cli.office import Office
from detent.cli.operation import Failure
from detent.core.client import DOCUMENT, OPEN
from detent.core.errors import StoreUnavailable
from detent.core.ids import Instant, Seconds
from detent.core.policy import DAY, HOUR, MINUTE
from detent.keys.database import DatabaseKeys

log = logging.getLogger("detent.serving")

DESCRIPTORS: Final = 64
SWEEP_EVERY: Final = 5 * MINUTE
AFTER_A_FAULT: Final = 30
UNUSED: Final = 30 * DAY  # how long a client that anybody registered may stay without a sign-in
RETENTION: Final = 30 * DAY  # how long an ended family can still be explained

Chore = Callable[[], Coroutine[Any, Any, None]]


def run(work: Coroutine[Any, Any, None]) -> None:
    """With as many open files as may be; with too few it would end in the middle of its start.

    A crash leaves no core file: keys and tokens would be in it (attack L8).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    if allowed != resource.RLIM_INFINITY and allowed < DESCRIPTORS:
        work.close()
        advice = f"at least {DESCRIPTORS} are needed, and one more for each connection: `ulimit -n`, LimitNOFILE"
        raise Failure("too_few_descriptors", f"This process may open {allowed} files; {advice}.")
    asyncio.run(work)  # on asyncio's own loop, which takes many new connections in a step (docs/decisions/0044)


@asynccontextmanager
async def at_work(office: Office) -> AsyncIterator[None]:
    """What goes on beside the requests, until the block ends; none of it stops another.

    Raises StoreUnavailable where the store is not the one that was served last, or the clock cannot be believed.
    """
    outside = office.outside
    with served(office.settings.data):
        settling = await take_up(office)
        await beat(office)
        sweep = partial(_sweep_for_ever, outside, settling)
        chores: tuple[Chore, ...] = (
            sweep,
            office.chain.run,
            office.courier.run,
            office.house.logouts.run,
            office.keys.signing.run,
            partial(beat_for_ever, office),
            partial(_forget_unused_for_ever, office),
            partial(watch_for_ever, office),
        )
        if isinstance(office.keys, DatabaseKeys):
            chores += (office.keys.follow,)
        tasks = [asyncio.create_task(_kept_going(chore)) for chore in chores]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _kept_going(chore: Chore) -> None:
    """For ever, whatever fault of ours stops it."""
    while True:
        try:
            await chore()
        except Exception:
            log.exception("a chore beside the requests stopped; it begins again")
        await asyncio.sleep(AFTER_A_FAULT)


async def _sweep_for_ever(outside: Outside, settling: Seconds) -> None:
    await asyncio.sleep(settling)
    while True:
        try:
            while rows := await outside.store.sweep(outside.clock.now(), retention=RETENTION):
                outside.metrics.count("swept_rows", by=rows)
            outside.metrics.count("sweeps")
        except StoreUnavailable as error:
            log.warning("the sweep waits for its next turn: %s", error)
        await asyncio.sleep(SWEEP_EVERY)


async def _forget_unused_for_ever(office: Office) -> None:
    while True:
        before = Instant(office.outside.clock.now() - UNUSED)
        for by in (OPEN, DOCUMENT):
            if removed := await office.registrations.forget_unused(office.directory, by, before):
                log.info("removed %d clients that nobody had registered and nobody used (%s)", removed, by)
        await asyncio.sleep(HOUR)


def taken(port: int, error: OSError, advice: str) -> Failure:
    """Why a port could not be had, and what to do."""
    return Failure("address_unavailable", f"Port {port} cannot be used ({os.strerror(error.errno or 0)}). {advice}")
