"""`Changes`: the one value that every write in the product is made of.

A `Changes` is atomic: each part either finds what it expects, or the store raises `Conflict` and nothing of it
was written. Events in it are committed with the change that they tell of.
Versions: a new row has version 1; a part that replaces a row carries the row with its version raised by one and
expects the stored one to be exactly one lower.
"""

import msgspec

from detent.core.api import Api
from detent.core.client import Client
from detent.core.events import Event
from detent.core.family import Family
from detent.core.ids import ClientId, Instant, Subject
from detent.core.people import User


class Record(msgspec.Struct, frozen=True):
    """Short-lived state of a feature: (`kind`, `key`) is unique, `value` opaque bytes, gone at `expires_at`."""

    kind: str
    key: str
    value: bytes
    expires_at: Instant
    version: int = 1


class InsertFamily(msgspec.Struct, frozen=True):
    """Conflict if the key exists."""

    family: Family


class ReplaceFamily(msgspec.Struct, frozen=True):
    """The compare-and-swap of the heart: one UPDATE on key and version.

    `authorization`, `absolute_until` and `seed` stay as they were inserted, whatever `family` says.
    """

    family: Family


class EndSuspects(msgspec.Struct, frozen=True):
    """Revoke every suspected live family of this person at this client; never conflicts."""

    placement: int
    subject: Subject
    client_id: ClientId
    reason: str = "suspected"


class InsertRecord(msgspec.Struct, frozen=True):
    """Conflict if (kind, key) exists, expired or not."""

    record: Record


class ReplaceRecord(msgspec.Struct, frozen=True):
    record: Record


class ConsumeRecord(msgspec.Struct, frozen=True):
    """Delete it; Conflict if it is gone, has another version, or expired at `now` or before."""

    kind: str
    key: str
    version: int
    now: Instant


class InsertClient(msgspec.Struct, frozen=True):
    client: Client


class ReplaceClient(msgspec.Struct, frozen=True):
    client: Client


class RemoveClient(msgspec.Struct, frozen=True):
    """Conflict unless the client exists in this version."""

    client_id: ClientId
    version: int


class InsertApi(msgspec.Struct, frozen=True):
    api: Api


class ReplaceApi(msgspec.Struct, frozen=True):
    api: Api


class RemoveApi(msgspec.Struct, frozen=True):
    identifier: str
    version: int


class InsertUser(msgspec.Struct, frozen=True):
    """Conflict if the subject or the canonical username exists, or the subject was removed.

    A subject is never reassigned (OpenID Connect Core §2).
    """

    user: User


class ReplaceUser(msgspec.Struct, frozen=True):
    """Conflict also if the canonical username is another's, or `epoch` falls; one that rises is the cut-off."""

    user: User


class RemoveUser(msgspec.Struct, frozen=True):
    """The subject's families are cut off by the same part: a later user never inherits them."""

    subject: Subject
    version: int


class RaiseServerEpoch(msgspec.Struct, frozen=True):
    """Cut off everything issued until now: one write, never conflicts."""


Part = (
    InsertFamily | ReplaceFamily | EndSuspects
    | InsertRecord | ReplaceRecord | ConsumeRecord
    | InsertClient | ReplaceClient | RemoveClient
    | InsertApi | ReplaceApi | RemoveApi
    | InsertUser | ReplaceUser | RemoveUser
    | RaiseServerEpoch
)  # fmt: skip


class Changes(msgspec.Struct, frozen=True):
    """Parts are carried out in order, all or none; `events` are appended to the audit log in the same commit."""

    parts: tuple[Part, ...]
    events: tuple[Event, ...] = ()


def changed(*parts: Part, events: tuple[Event, ...] = ()) -> Changes:
    return Changes(parts, events)
