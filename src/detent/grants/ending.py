"""Ends a family, whatever is going on in it: read, revoke, compare and swap, again if somebody came between.

The one way in which logout, an operator, and a replayed code end what was issued (RFC 7009 §2.1, RFC 6749 §4.1.2).
Rule: once it returns, the end is durable and no head lives.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from detent.core.changes import Changes, ReplaceFamily
from detent.core.errors import Conflict, TemporarilyUnavailable
from detent.core.events import EventName
from detent.core.family import Family, Origin, revoke
from detent.core.ids import FamilyKey, Instant
from detent.ports import EventSink, Store

_ATTEMPTS: Final = 10


class Ending:
    def __init__(self, store: Store, sink: EventSink) -> None:
        self._store = store
        self._sink = sink

    async def end(
        self,
        key: FamilyKey,
        reason: str,
        now: Instant,
        *,
        told_as: EventName = "revoked",
        origin: Origin | None = None,
        support_id: str = "",
        only_if: Callable[[Family], bool] = lambda family: True,
    ) -> Family | None:
        """The family as it is now, ended; None where there is none or `only_if` says no.

        Raises TemporarilyUnavailable if others keep coming between.
        """
        for _ in range(_ATTEMPTS):
            found = await self._store.family(key)
            if found is None or not only_if(found.family):
                return None
            dead = revoke(found.family, reason, now, told_as=told_as, origin=origin)
            if dead is None:
                return found.family
            event = msgspec.structs.replace(dead.history[-1], support_id=support_id)
            try:
                await self._store.apply(Changes((ReplaceFamily(dead),), (event,)))
            except Conflict:
                continue  # a refresh came between: read the family again, and end that
            self._sink.emit(event)
            return dead
        raise TemporarilyUnavailable("The family is in use at this very moment; try again.", retry_after=1)
