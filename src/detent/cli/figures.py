"""What a scrape asks of an opened data directory, and what a node watches of itself beside the requests.

Counts by request are sinks/metrics.py's; here is what store, keys, webhooks and sockets know of themselves.
"""

import asyncio
import platform
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Final

from detent.cli.clock import database_ahead, database_differs
from detent.cli.mark import mark_of
from detent.cli.office import Office
from detent.core.errors import StoreUnavailable
from detent.core.logout import OWED
from detent.core.rollback import BEAT_SECONDS
from detent.endpoints.health import REASONS
from detent.sinks.metrics import Figure

_OWED: Final = 1000  # rows of the log that are looked at for each webhook


def figures_of(office: Office) -> None:
    """Have all of these asked at each scrape."""
    for source in (_node, _store, _keys, _webhooks, _logouts, _mark):
        office.outside.metrics.asks(partial(source, office))


async def watch_for_ever(office: Office) -> None:
    while True:
        with suppress(StoreUnavailable):  # health says so
            office.house.health.set("clock_off", await database_differs(office))
        await asyncio.sleep(BEAT_SECONDS)


async def _node(office: Office) -> AsyncIterator[Figure]:
    from importlib.metadata import version  # as with the page itself: few starts are followed by a scrape

    build = {"version": version("detent"), "python": platform.python_version(), "node": office.house.health.node}
    yield Figure("detent_build_info", "Which program this is, and on which node.", 1, build)
    crowd = office.house.asgi.crowd
    yield Figure("detent_connections", "Connections of clients that are open.", crowd.open)
    yield Figure("detent_answers_held_back", "Refusals that waited, being too many.", crowd.held_back, total=True)
    for status, count in crowd.given_up.items():
        text = "Connections given up: too slow (408), an endless head (431), no room (503)."
        yield Figure("detent_connections_given_up", text, count, {"status": str(status)}, total=True)
    reasons = await office.house.health.reasons()
    for reason in REASONS:
        yield Figure(
            "detent_unwell", "1 for each reason that speaks against this node.", reason in reasons, {"reason": reason}
        )


async def _store(office: Office) -> AsyncIterator[Figure]:
    counters, work = office.store.counters, office.store.work
    for kind in ("reads", "writes", "inserts"):
        count = getattr(counters, kind)
        yield Figure("detent_store_statements", "Statements carried out.", count, {"kind": kind}, total=True)
    yield Figure("detent_store_commits", "Commits that were acknowledged.", counters.commits, total=True)
    yield Figure("detent_store_changes", "Changes that shared these commits.", work.parts, total=True)
    yield Figure("detent_store_commit_seconds", "Time from their first statement on.", work.seconds, total=True)
    yield Figure("detent_store_largest_commit", "The most changes that ever shared a commit.", work.largest)
    yield Figure("detent_store_waiting", "Reads and writes that wait for their turn.", office.store.waiting)
    for event, count in sorted(work.events.items()):
        text = "Events written to the audit log by this node."
        yield Figure("detent_audit_events", text, count, {"event": event}, total=True)
    offset = await database_ahead(office)
    yield Figure("detent_clock_offset_seconds", "How far the database's clock is ahead of this machine's.", offset)


async def _keys(office: Office) -> AsyncIterator[Figure]:
    now = office.outside.clock.now()
    for each in office.keys.states():
        labels = {"purpose": each.key.purpose}
        if each.state == "current":
            age = now - each.key.created_at
            yield Figure("detent_key_age_seconds", "Age of the key in use.", age, labels)
        elif each.state == "next" and each.key.use_from is not None:
            text = "When the next key takes over, as Unix time; absent while no rotation is under way."
            yield Figure("detent_key_next_timestamp_seconds", text, each.key.use_from, labels)


async def _webhooks(office: Office) -> AsyncIterator[Figure]:
    states = {"active": 0, "failing": 0, "disabled": 0}
    owed = 0
    for webhook in await office.directory.webhooks():
        states[webhook.state] += 1
        rows = await office.directory.audit_rows(after=webhook.cursor, limit=_OWED)
        owed += sum(webhook.wants(row.name) for row in rows)
    for state, count in states.items():
        yield Figure("detent_webhooks", "Webhooks, by state.", count, {"state": state})
    text = f"Events that webhooks are still owed; {_OWED} rows of the log are looked at for each."
    yield Figure("detent_webhook_backlog", text, owed)


async def _logouts(office: Office) -> AsyncIterator[Figure]:
    owed = await office.directory.records(OWED, limit=_OWED)
    text = f"Logout tokens that apps are still owed; {_OWED} at most are counted."
    yield Figure("detent_logout_backlog", text, len(owed))


async def _mark(office: Office) -> AsyncIterator[Figure]:
    mark = await mark_of(office)
    yield Figure("detent_store_beats", "How often servers have said that they live on this store.", mark.beats)
    yield Figure("detent_store_restore_epoch", "How often this store was restored.", mark.restore_epoch)
