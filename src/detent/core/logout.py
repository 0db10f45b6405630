"""A logout token that an app is owed: whose session it is about, and what an attempt to deliver it makes of it.

Source: OpenID Connect Back-Channel Logout 1.0 §2.5 to §2.8. Owed ones are records in the order in which they are due:
the key begins with that time. Whoever takes one moves it a lease ahead first, so one that dies with its node comes
back. Nothing here sends.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

from detent.core.changes import ConsumeRecord, InsertRecord, Part, Record
from detent.core.events import EventName
from detent.core.ids import ClientId, Instant, Subject
from detent.core.policy import DAY

OWED: Final = "logout_owed"  # the kind of these records
CURSOR, LOG = "logout_cursor", "audit"  # the record that says how far the audit log was looked at
WATCHED: Final[frozenset[EventName]] = frozenset(
    {"signed_out", "cut_off_raised", "user_removed", "revoked", "consent_withdrawn"}
)
KEPT_TRYING: Final = DAY  # an app that was away for longer has ended its sessions by itself
REFUSALS: Final = 3  # §2.8: the app got it and will not have it
NEVER: Final = Instant(1 << 53)


class OwedLogout(msgspec.Struct, frozen=True, omit_defaults=True):
    """`failures` are all attempts, `refusals` those the app answered with 400."""

    id: str
    client_id: ClientId
    subject: Subject
    sid: str
    since: Instant
    failures: int = 0
    refusals: int = 0

    def failed(self, *, refused: bool) -> "OwedLogout":
        return replace(self, failures=self.failures + 1, refusals=self.refusals + refused)

    def hopeless(self, now: Instant) -> bool:
        return self.refusals >= REFUSALS or now - self.since >= KEPT_TRYING

    def due(self, at: Instant) -> Record:
        return Record(OWED, f"{at:012d}.{self.id}", msgspec.msgpack.encode(self), NEVER)


def owed(record: Record) -> OwedLogout:
    return msgspec.msgpack.decode(record.value, type=OwedLogout)


def due_at(record: Record) -> Instant:
    return Instant(int(record.key.partition(".")[0]))


def removed(record: Record) -> Part:
    """Conflict if somebody else took it."""
    return ConsumeRecord(OWED, record.key, record.version, Instant(0))


def moved(record: Record, to: Record) -> tuple[Part, ...]:
    return removed(record), InsertRecord(to)
