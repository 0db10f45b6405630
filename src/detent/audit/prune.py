"""Lets go of what is old: whole links with their events, from the beginning, and never the newest link.

In their place stands an anchor, tagged like a link, with the number and hash of the last that went: so the rest still
proves that nothing else is missing. A log that is not whole, or that a webhook or an app is owed from, is not pruned.
"""

from collections.abc import Callable

from detent.audit.verify import verify
from detent.core.audit import ANCHOR, Pruned, anchored, read_link
from detent.core.changes import PruneLink, changed
from detent.core.errors import InvalidRequest
from detent.core.events import Event
from detent.core.ids import Instant
from detent.core.logout import CURSOR, LOG, WATCHED
from detent.ports import Clock, Directory, Keys, Store

_PORTION = 500


async def prune(store: Store, directory: Directory, keys: Keys, clock: Clock, before: Instant) -> int:
    """How many events went, each linked before this time. Raises InvalidRequest, Conflict, StoreUnavailable."""
    if not (await verify(directory, keys)).whole:
        raise InvalidRequest("The log is not whole, so nothing is pruned: see `detent audit verify`.")
    for webhook in await directory.webhooks():
        if await _is_owed_from(webhook.cursor, webhook.wants, directory, before):
            raise InvalidRequest(f"Webhook {webhook.id} is owed events that would go. Mend its endpoint, or remove it.")
    looked_at = await store.record(CURSOR, LOG)
    if looked_at and await _is_owed_from(int(looked_at.value), WATCHED.__contains__, directory, before):
        raise InvalidRequest("Apps were not told yet of sessions whose end would go. Start a server, and prune then.")
    told: tuple[Event, ...] = (Event("log_pruned", clock.now(), reason="its oldest links"),)
    gone = 0
    secrets = keys.audit_keys()
    while True:
        links = await directory.audit_links(after=ANCHOR, limit=2)
        linked = read_link(links[0]) if len(links) == 2 else None
        if linked is None or linked.at >= before:
            return gone
        pruned = Pruned(linked.number, links[0].hash(), linked.last, secrets.current)
        events = tuple(seq for seq, _ in linked.rows)
        anchor = anchored(pruned, secrets.keys[secrets.current])
        await store.apply(changed(PruneLink(linked.number, events, anchor), events=told))
        gone, told = gone + len(events), ()


async def _is_owed_from(cursor: int, wanted: Callable[[str], bool], directory: Directory, before: Instant) -> bool:
    after = cursor
    while rows := await directory.audit_rows(after=after, limit=_PORTION):
        for row in rows:
            if row.at >= before:
                return False
            if wanted(row.name):
                return True
        after = rows[-1].seq
    return False
