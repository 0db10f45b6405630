"""Sends logout tokens: each that is owed, at least once, for as long as it is worth while.

Source: OpenID Connect Back-Channel Logout 1.0 §2.5, §2.7, §2.8. Nobody who signs out waits for this. A token is made
anew for each attempt, so that it is never older than its two minutes. Few go to one app at once, and an app that is
away rests with all it is owed, so that it keeps none of the others waiting (attack S7).
"""

import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import urlencode

from detent.core.changes import Changes, Part, Record
from detent.core.client import BACKCHANNEL_LOGOUT_URI, Client
from detent.core.errors import Conflict, KeyUnknown, OAuthError
from detent.core.events import Event
from detent.core.ids import ClientId, Instant
from detent.core.logout import OWED, OwedLogout, due_at, moved, owed, removed
from detent.core.retrying import LEASE, retry_at
from detent.ports import Clock, Directory, Entropy, EventSink, Meter, Store
from detent.tokens.logout_token import LogoutTokens
from detent.web.outbound import Outbound, Unreachable
from detent.webhooks.endings import Endings
from detent.webhooks.rounds import Rounds

log = logging.getLogger("detent.webhooks")

AT_ONCE: Final = 32
AT_ONE_APP: Final = 4
PORTION: Final = 200
PORTIONS: Final = 10  # looked through in one round
TAKEN: Final = (200, 204)  # §2.8; the second is what some frameworks make of an empty answer
REFUSED: Final = 400
_HEADERS: Final = {"content-type": "application/x-www-form-urlencoded", "user-agent": "detent"}


class LogoutCourier:
    def __init__(
        self,
        store: Store,
        directory: Directory,
        clock: Clock,
        entropy: Entropy,
        sink: EventSink,
        meter: Meter,
        tokens: LogoutTokens,
        outbound: Outbound,
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._entropy = entropy
        self._sink = sink
        self._meter = meter
        self._tokens = tokens
        self._outbound = outbound
        self._endings = Endings(store, directory, clock, entropy)
        self._rounds = Rounds("logout tokens", self._start_what_is_due)
        self._busy: Counter[ClientId] = Counter()
        self._resting: dict[ClientId, Instant] = {}

    async def run(self) -> None:
        await self._rounds.run()

    async def round(self) -> None:
        await self._rounds.round()

    async def _start_what_is_due(self) -> None:
        await self._endings.look()
        now, after = self._clock.now(), ""
        self._resting = {app: until for app, until in self._resting.items() if now < until}
        for _ in range(PORTIONS):
            records = await self._directory.records(OWED, after=after, limit=PORTION)
            due = [record for record in records if due_at(record) <= now]
            await self._put_off([record for record in due if owed(record).client_id in self._resting])
            for record in due:
                self._start(record)
            if len(due) < PORTION or len(self._rounds) >= AT_ONCE:
                return
            after = due[-1].key

    def _start(self, record: Record) -> None:
        logout = owed(record)
        name, app = f"Logout token {logout.id}", logout.client_id
        room = len(self._rounds) < AT_ONCE and self._busy[app] < AT_ONE_APP
        if room and app not in self._resting and name not in self._rounds:
            self._busy[app] += 1
            self._rounds.start(name, self._deliver(record, logout))

    async def _put_off(self, records: Sequence[Record]) -> None:
        """All that is due to apps that rest, in one commit."""
        if not records:
            return
        parts: list[Part] = []
        for record in records:
            logout = owed(record)
            parts += moved(record, logout.due(self._resting[logout.client_id]))
        with suppress(Conflict):  # another node took some: the next round sees them as they are
            await self._store.apply(Changes(tuple(parts)))

    async def _deliver(self, record: Record, logout: OwedLogout) -> None:
        try:
            client = await self._store.client(logout.client_id)
            if client is None or not client.enabled or BACKCHANNEL_LOGOUT_URI not in client.extra:
                return await self._store.apply(Changes((removed(record),)))  # it wants no more of them
            taken = logout.due(Instant(self._clock.now() + LEASE))
            await self._store.apply(Changes(moved(record, taken)))
            status, error = await self._sent(logout, client)
            if status in TAKEN:
                self._meter.count("logout_tokens", "delivered")
                return await self._store.apply(Changes((removed(taken),)))
            log.warning("Client %s took no logout token: %s", client.client_id, error)
            await self._failed(taken, logout.failed(refused=status == REFUSED), error)
        finally:
            self._busy[logout.client_id] -= 1

    async def _sent(self, logout: OwedLogout, client: Client) -> tuple[int, str]:
        """The status, 0 for none, and what is to be said of it."""
        try:
            token = await self._tokens.of(logout.subject, logout.sid, client, self._clock.now())
            body = urlencode({"logout_token": token}).encode()
            status = await self._outbound.post(client.extra[BACKCHANNEL_LOGOUT_URI], _HEADERS, body)
        except OAuthError as error:
            return 0, error.description
        except KeyUnknown:
            return 0, "the key that signs for it is not known here yet"
        except Unreachable as error:
            return 0, str(error)
        return status, f"answered {status}" + (", and redirects are not followed" if 300 <= status < 400 else "")

    async def _failed(self, taken: Record, logout: OwedLogout, error: str) -> None:
        now = self._clock.now()
        self._meter.count("logout_tokens", "refused" if logout.refusals else "failed")
        if logout.hopeless(now):
            app = logout.client_id
            told = Event("logout_undelivered", now, about=app, client_id=app, subject=logout.subject, reason=error)
            await self._store.apply(Changes((removed(taken),), (told,)))
            self._meter.count("logout_tokens", "given_up")
            return self._sink.emit(told)
        again = retry_at(logout.failures - 1, now, self._entropy.token_bytes(1)[0] / 255)
        if not logout.refusals:
            self._resting[logout.client_id] = again
        await self._store.apply(Changes(moved(taken, logout.due(again))))
