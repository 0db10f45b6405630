"""The one write of a request, together with what the request may present only once (a proof of possession).

Rule: both are written or neither; so a proof is spent by what it obtained, and by nothing that was refused.
"""

from detent.core.changes import Changes, InsertRecord, Part
from detent.core.errors import Conflict
from detent.core.events import Event
from detent.ports import Store
from detent.registry.requests import Once


async def commit(
    store: Store, once: tuple[Once, ...], parts: tuple[Part, ...] = (), events: tuple[Event, ...] = ()
) -> None:
    """Write all of it; nothing if there is nothing.

    Raises the refusal of what was presented before, else Conflict as `Store.apply` does.
    """
    spent = [InsertRecord(each.record) for each in once]
    if not parts and not spent:
        return
    try:
        await store.apply(Changes((*parts, *spent), events))
    except Conflict:
        for each in once:
            if await store.record(each.record.kind, each.record.key):
                raise each.refusal from None
        raise
