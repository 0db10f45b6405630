"""Delivers: looks twice a second what each webhook is owed, and sends it in order, at least once.

An event counts as delivered once a 2xx came and the cursor stands behind it in the store; whoever dies in between
sends it again under the same `webhook-id`. A lease in the row keeps nodes from sending the same thing side by side;
it is a courtesy, the cursor's compare-and-swap is what counts. Each webhook has a task of its own (rounds.py), so that
one whose endpoint hangs holds up nobody, and a request of a client waits for none of this.
"""

import logging
from typing import Final

import msgspec

from detent.core.audit import AuditRow
from detent.core.changes import Changes, ReplaceWebhook
from detent.core.events import Event
from detent.core.webhook import Webhook
from detent.ports import Clock, Directory, Entropy, Keys, Store
from detent.web.outbound import Outbound, Unreachable
from detent.webhooks.message import body_of, live_secrets, signed_headers, test_body
from detent.webhooks.rounds import Rounds

log = logging.getLogger("detent.webhooks")

PORTION: Final = 100  # rows of the log in memory, for each webhook
UNWANTED: Final = 1000  # rows that may be read again after a restart
GONE: Final = 410


class _Position(msgspec.Struct):
    """How far the log was read beyond `cursor` without finding anything wanted."""

    cursor: int
    read_to: int
    rows: int = 0


class Courier:
    def __init__(
        self, store: Store, directory: Directory, keys: Keys, clock: Clock, entropy: Entropy, outbound: Outbound
    ) -> None:
        self._store = store
        self._directory = directory
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._outbound = outbound
        self._node = entropy.token_bytes(8).hex()
        self._rounds = Rounds("webhooks", self._start_what_is_due)
        self._positions: dict[str, _Position] = {}

    async def run(self) -> None:
        await self._rounds.run()

    async def round(self) -> None:
        await self._rounds.round()

    async def test(self, webhook: Webhook) -> str:
        """Send a test event at once, beside the order; why it failed, empty if it did not."""
        message_id = f"test_{self._entropy.token_bytes(8).hex()}"
        status, error = await self._sent(webhook, message_id, test_body(self._clock.now()))
        return "" if 200 <= status < 300 else error

    async def _start_what_is_due(self) -> None:
        for webhook in await self._directory.webhooks():
            name = f"Webhook {webhook.id}"
            if name not in self._rounds and webhook.is_due(self._node, self._clock.now()):
                self._rounds.start(name, self._deliver_all(webhook))

    async def _deliver_all(self, webhook: Webhook) -> None:
        """Until nothing is left or an attempt failed."""
        at = self._positions.get(webhook.id)
        if at is None or at.cursor != webhook.cursor:
            at = self._positions[webhook.id] = _Position(webhook.cursor, webhook.cursor)
        while rows := await self._directory.audit_rows(after=at.read_to, limit=PORTION):
            wanted = [row for row in rows if webhook.wants(row.name)]
            if wanted:
                webhook = await self._replaced(webhook.taken_by(self._node, self._clock.now()))
            for row in wanted:
                after = await self._delivered(webhook, row, more=row is not wanted[-1])
                if after is None:
                    return
                webhook = after
            at = _Position(webhook.cursor, rows[-1].seq, len(rows) if wanted else at.rows + len(rows))
            if at.rows >= UNWANTED:
                webhook = await self._replaced(webhook.moved_to(at.read_to))
                at = _Position(webhook.cursor, at.read_to)
            self._positions[webhook.id] = at

    async def _delivered(self, webhook: Webhook, row: AuditRow, *, more: bool) -> Webhook | None:
        """The webhook with its cursor behind this event; None if the attempt failed, which the row then tells."""
        try:
            body = body_of(row)
        except msgspec.MsgspecError:
            log.error("Event %d cannot be read and is left out of webhook %s.", row.seq, webhook.id)
            return await self._replaced(webhook.acknowledged(row.seq, self._clock.now(), more=more))
        installation = await self._store.installation()
        status, error = await self._sent(webhook, f"evt_{installation.store_id}_{row.seq}", body)
        now = self._clock.now()
        if 200 <= status < 300:
            return await self._replaced(webhook.acknowledged(row.seq, now, more=more))
        log.warning("Webhook %s got no event %d: %s", webhook.id, row.seq, error)
        if status == GONE:
            told = Event("webhook_disabled", now, about=webhook.id, reason=error)
            await self._replaced(webhook.given_up(error), told)
        else:
            jitter = self._entropy.token_bytes(1)[0] / 255
            await self._replaced(webhook.failed(error, now, jitter))
        return None

    async def _sent(self, webhook: Webhook, message_id: str, body: bytes) -> tuple[int, str]:
        """The status, 0 for none, and what is to be said of it."""
        now = self._clock.now()
        secrets = live_secrets(webhook, self._keys, now)
        if not secrets:
            return 0, "its secret is lost with the key it was made with; `detent webhook rotate-secret` makes another"
        headers = signed_headers(message_id, now, body, secrets)
        try:
            status = await self._outbound.post(webhook.url, headers, body)
        except Unreachable as error:
            return 0, str(error)
        return status, f"answered {status}" + (", and redirects are not followed" if 300 <= status < 400 else "")

    async def _replaced(self, webhook: Webhook, *events: Event) -> Webhook:
        """Raises Conflict, StoreUnavailable."""
        await self._store.apply(Changes((ReplaceWebhook(webhook),), events))
        return webhook
