"""`detent clock`, and what a server does about a clock that does not go on from where the store was served last.

What is too far off is decided in core/clock.py.
"""

import logging
from typing import Final

import click

from detent.admin.story import when
from detent.cli.office import Office
from detent.cli.operation import Answer, operation
from detent.core.changes import SetClock, changed
from detent.core.clock import at_start, settling
from detent.core.errors import StoreUnavailable
from detent.core.ids import Instant, Seconds

log = logging.getLogger("detent.clock")

APART: Final = 5  # seconds; half of what a key is known for before it seals (keys/ring.py)
_REFUSALS: Final = {
    "behind": "The clock says {now}, but the store was served until {latest}. What expired since would be good again. "
    "Set the clock (use NTP); if it was wrong then and is right now, say so: `detent clock --accept`.",
    "ahead": "The clock says {now}, and the store was served last at {latest}. If the clock is wrong, everybody would "
    "be signed out. Set it (use NTP); if it is right, say so: `detent clock --accept`.",
}


def refusal(now: Instant, latest: Instant) -> str:
    """Why nothing may be decided by this clock, and what to do; empty if it may."""
    return _REFUSALS.get(at_start(now, latest), "").format(now=when(now), latest=when(latest))


async def take_up(office: Office) -> Seconds:
    """Go on from the latest time of the store; how long nothing may be swept. Raises StoreUnavailable."""
    latest, now = (await office.directory.pulse()).latest, office.clock.now()
    if refused := refusal(now, latest):
        raise StoreUnavailable(refused)
    office.clock.not_before(latest)
    return settling(now, latest)


async def database_ahead(office: Office) -> float:
    """By how many seconds the database's clock is ahead of this machine's."""
    told = await office.directory.time()
    return 0.0 if told is None else told - office.clock.now()


async def database_differs(office: Office) -> str:
    """Why this machine's clock and the database's cannot both be right, and what to do; empty if they agree.

    Nodes agree on when a key takes over as long as their clocks do (attack L10).
    """
    ahead = await database_ahead(office)
    if abs(ahead) <= APART:
        return ""
    side = "behind" if ahead > 0 else "ahead of"
    return f"This machine's clock is {abs(ahead):.0f} seconds {side} the database's. Set both; use NTP."


@click.command()
@operation()
@click.option("--accept", is_flag=True, help="This machine's clock is right, whatever the store has seen.")
async def clock(office: Office, accept: bool) -> Answer:
    """Show this machine's time and the latest at which the store was served."""
    now = office.clock.now()
    if accept:
        await office.outside.store.apply(changed(SetClock(now)))
    latest = (await office.directory.pulse()).latest
    advice = refusal(now, latest)
    told = f"now     {when(now)}\nserved  {when(latest) if latest else 'never'}"
    return Answer({"now": now, "latest": latest, "advice": advice}, f"{told}\n{advice}".strip(), good=not advice)
