"""Webhooks as an operator keeps them: added, changed, removed; each operation is one `Changes` with its event.

A secret is returned by the call that made it and never again. What is sent when is up to detent.webhooks.
"""

from collections.abc import Callable, Sequence
from typing import Final, get_args
from urllib.parse import urlsplit

from msgspec.structs import replace

from detent.admin.errors import ChangedMeanwhile, NotFound
from detent.core.audit import read_link
from detent.core.changes import InsertWebhook, RemoveWebhook, ReplaceWebhook, changed
from detent.core.errors import Conflict, InvalidRequest
from detent.core.events import Event, EventName
from detent.core.ids import Instant
from detent.core.policy import DAY
from detent.core.webhook import SecretSeed, Webhook
from detent.ports import Clock, Directory, Entropy, Keys, Store
from detent.web.outbound import url_fault
from detent.webhooks.message import SALT_BYTES, secret_of, shown

MOST: Final = 50
LONGEST_SECRET_OVERLAP: Final = 30 * DAY
COUNTED: Final = 1000
_ATTEMPTS: Final = 5
_PORTION: Final = 500


class Webhooks:
    def __init__(self, store: Store, directory: Directory, keys: Keys, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._directory = directory
        self._keys = keys
        self._clock = clock
        self._entropy = entropy

    async def add(self, url: str, events: Sequence[str]) -> tuple[Webhook, str]:
        """The webhook and its secret. It gets what happens from now on. Raises InvalidRequest."""
        if fault := url_fault(url):
            raise InvalidRequest(f"Nothing can be sent to this URL: {fault}.")
        if len(await self._directory.webhooks()) >= MOST:
            raise InvalidRequest(f"There are {MOST} webhooks already. Remove one.")
        now = self._clock.now()
        name, seed = f"wh_{self._entropy.token_bytes(8).hex()}", self._new_seed()
        webhook = Webhook(name, url, checked_events(events), now, (seed,), await self._end_of_log())
        told = Event("webhook_added", now, about=name, reason=urlsplit(url).hostname or "")
        await self._store.apply(changed(InsertWebhook(webhook), events=(told,)))
        return webhook, self._shown(webhook)

    async def find(self, name: str) -> Webhook:
        """Raises NotFound."""
        for webhook in await self._directory.webhooks():
            if webhook.id == name:
                return webhook
        raise NotFound(f"There is no webhook {name[:64]!r}. `detent webhook list` shows those there are.")

    async def enable(self, name: str) -> Webhook:
        """Try at once, whatever happened before; it is owed everything since it was disabled."""
        return await self._change(name, "webhook_enabled", Webhook.answering)

    async def rotate_secret(self, name: str, overlap: int = 0) -> tuple[Webhook, str]:
        """For `overlap` seconds the present secret signs too. Raises NotFound, InvalidRequest."""
        if not 0 <= overlap <= LONGEST_SECRET_OVERLAP:
            raise InvalidRequest(f"The overlap is 0 to {LONGEST_SECRET_OVERLAP} seconds.")
        until, seed = Instant(self._clock.now() + overlap), self._new_seed()

        def change(webhook: Webhook) -> Webhook:
            kept = (replace(webhook.secrets[0], until=until),) if overlap else ()
            return replace(webhook, secrets=(seed, *kept), version=webhook.version + 1)

        changed_one = await self._change(name, "webhook_secret_rotated", change)
        return changed_one, self._shown(changed_one)

    async def remove(self, name: str) -> Webhook:
        for _ in range(_ATTEMPTS):
            webhook = await self.find(name)
            told = Event("webhook_removed", self._clock.now(), about=name)
            try:
                await self._store.apply(changed(RemoveWebhook(name, webhook.version), events=(told,)))
            except Conflict:
                continue
            return webhook
        raise ChangedMeanwhile

    async def owed(self, webhook: Webhook) -> int:
        """How many events it waits for, counted among the next `COUNTED` of the log."""
        owed, seen, after = 0, 0, webhook.cursor
        while seen < COUNTED and (rows := await self._directory.audit_rows(after=after, limit=_PORTION)):
            owed += sum(webhook.wants(row.name) for row in rows)
            seen, after = seen + len(rows), rows[-1].seq
        return owed

    async def _change(self, name: str, event: EventName, change: Callable[[Webhook], Webhook]) -> Webhook:
        """Again if a delivery moved it meanwhile."""
        for _ in range(_ATTEMPTS):
            after = change(await self.find(name))
            told = Event(event, self._clock.now(), about=name)
            try:
                await self._store.apply(changed(ReplaceWebhook(after), events=(told,)))
            except Conflict:
                continue
            return after
        raise ChangedMeanwhile

    async def _end_of_log(self) -> int:
        link = await self._directory.last_link()
        linked = read_link(link) if link else None
        end = linked.last if linked else 0
        while rows := await self._directory.audit_rows(after=end, limit=_PORTION):
            end = rows[-1].seq
        return end

    def _new_seed(self) -> SecretSeed:
        return SecretSeed(self._keys.audit_keys().current, self._entropy.token_bytes(SALT_BYTES))

    def _shown(self, webhook: Webhook) -> str:
        secret = secret_of(webhook.secrets[0], webhook.id, self._keys)
        if secret is None:  # its key was dropped in the meantime
            raise ChangedMeanwhile
        return shown(secret)


def checked_events(names: Sequence[str]) -> tuple[str, ...]:
    """Without repetitions; none for `all`. Raises InvalidRequest."""
    known = get_args(EventName)
    if list(names) == ["all"]:
        return ()
    wrong = [name[:64] for name in names if name not in known]
    if wrong or not names:
        told = f"There is no event {wrong[0]!r}" if wrong else "Name at least one event"
        raise InvalidRequest(f"{told}: `all` alone, or of {', '.join(known)}.")
    return tuple(dict.fromkeys(names))
