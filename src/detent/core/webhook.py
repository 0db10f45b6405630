"""A webhook: where events are sent, how far it has come, and what an attempt makes of it.

Its secret is a function of a key outside the database and a salt in the row, so that neither alone signs anything.
`cursor` is the last event that was acknowledged (or not wanted): what comes after it is still owed. Times are Unix
seconds. Nothing here sends.
"""

from typing import Literal

import msgspec
from msgspec.structs import replace

from detent.core.ids import Instant
from detent.core.retrying import LEASE, retry_at

State = Literal["active", "failing", "disabled"]


class SecretSeed(msgspec.Struct, frozen=True):
    """`key` is the id of the audit key that the secret is made with; after `until` it signs no more."""

    key: int
    salt: bytes
    until: Instant | None = None

    def __repr__(self) -> str:
        return f"SecretSeed(key={self.key}, salt=***, until={self.until})"


class Webhook(msgspec.Struct, frozen=True, omit_defaults=True):
    """`events` are those it gets, none: all. `node` is who delivers until `leased_until`; others leave it alone.

    `disabled` is why it gets nothing any more. It is owed everything all the same, until it is removed.
    """

    id: str
    url: str
    events: tuple[str, ...]
    created_at: Instant
    secrets: tuple[SecretSeed, ...]
    cursor: int
    delivered_at: Instant | None = None
    failures: int = 0
    failing_since: Instant | None = None
    retry_at: Instant = Instant(0)
    last_error: str = ""
    disabled: str = ""
    node: str = ""
    leased_until: Instant = Instant(0)
    version: int = 1

    @property
    def state(self) -> State:
        return "disabled" if self.disabled else "failing" if self.failures else "active"

    def wants(self, name: str) -> bool:
        return not self.events or name in self.events

    def is_due(self, node: str, now: Instant) -> bool:
        """Whether this node may try now."""
        free = self.node in ("", node) or self.leased_until <= now
        return free and not self.disabled and self.retry_at <= now

    def taken_by(self, node: str, now: Instant) -> "Webhook":
        return replace(self, node=node, leased_until=Instant(now + LEASE), version=self.version + 1)

    def moved_to(self, cursor: int) -> "Webhook":
        """There was nothing for it up to there."""
        return replace(self, cursor=cursor, version=self.version + 1)

    def acknowledged(self, cursor: int, now: Instant, *, more: bool) -> "Webhook":
        """The lease is given back unless `more` follows at once."""
        node, until = (self.node, Instant(now + LEASE)) if more else ("", Instant(0))
        return replace(self.answering(), cursor=cursor, delivered_at=now, node=node, leased_until=until)

    def failed(self, error: str, now: Instant, jitter: float) -> "Webhook":
        return replace(
            self,
            failures=self.failures + 1,
            failing_since=self.failing_since or now,
            retry_at=retry_at(self.failures, now, jitter),
            last_error=error,
            node="",
            leased_until=Instant(0),
            version=self.version + 1,
        )

    def answering(self) -> "Webhook":
        """It works again: whatever it failed with is forgotten, and what it is owed is due now."""
        return replace(
            self,
            failures=0,
            failing_since=None,
            retry_at=Instant(0),
            last_error="",
            disabled="",
            version=self.version + 1,
        )

    def given_up(self, reason: str) -> "Webhook":
        return replace(self, disabled=reason, node="", leased_until=Instant(0), version=self.version + 1)
