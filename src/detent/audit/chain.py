"""Links what was committed: each node looks twice a second and takes turns with the others.

Source: design §2 (an event is committed with its change, so a crash loses neither or both). A node that dies between
the commit of an event and its link leaves the link to whoever looks next; two that link at once meet in the store,
which takes one link of each number. Rule: nothing here is waited for by a request.
"""

import asyncio
import logging
from typing import Final

from detent.core.audit import AuditLink, Linked, is_tagged, read_link, tagged
from detent.core.changes import AppendLink, changed
from detent.core.errors import Conflict, StoreUnavailable
from detent.ports import Clock, Directory, Entropy, Keys, SecretKeys, Store

log = logging.getLogger("detent.audit")

EVERY: Final = 0.5  # seconds
AFTER_A_FAULT: Final = 30
ROWS_OF_A_LINK: Final = 200


class Chain:
    def __init__(self, store: Store, directory: Directory, keys: Keys, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._directory = directory
        self._keys = keys
        self._clock = clock
        self._node = entropy.token_bytes(4).hex()

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self.link_all()
                await asyncio.sleep(EVERY)
            except StoreUnavailable as error:
                log.warning("The audit log waits for its next link: %s", error)
                await asyncio.sleep(AFTER_A_FAULT)

    async def link_all(self) -> int:
        """Link everything that is committed; how many links this node made. Raises StoreUnavailable."""
        made = 0
        while await self._link_next():
            made += 1
        return made

    async def _link_next(self) -> bool:
        """Whether this node made a link; not if there is nothing to link, or another node was first."""
        before = await self._directory.last_link()
        keys = self._keys.audit_keys()
        rows = await self._directory.audit_rows(after=_end_of(before, keys), limit=ROWS_OF_A_LINK)
        if not rows:
            return False
        linked = Linked(
            before.number + 1 if before else 1,
            before.hash() if before else b"",
            tuple((row.seq, row.digest()) for row in rows),
            self._clock.now(),
            self._node,
            keys.current,
        )
        link = tagged(linked, keys.keys[keys.current])
        try:
            await self._store.apply(changed(AppendLink(link)))
        except Conflict:
            return False
        # Where the log goes, this goes: a copy of the head that whoever cuts the store does not reach.
        log.info("audit link %d:%s holds %d events to %d", link.number, link.hash().hex(), len(rows), linked.last)
        return True


def _end_of(link: AuditLink | None, keys: SecretKeys) -> int:
    """The last event that is linked. Raises StoreUnavailable for a link that is not ours: none is hung on it."""
    if link is None:
        return 0
    linked = read_link(link)  # never the anchor: pruning leaves the newest link
    key = keys.keys.get(linked.key) if linked else None
    if linked is None or (key and not is_tagged(link, key)):
        raise StoreUnavailable(f"Link {link.number} of the audit log was altered; `detent audit verify` says more.")
    return linked.last
