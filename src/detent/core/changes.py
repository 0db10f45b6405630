"""`Changes`: the one value that every write in the product is made of.

A `Changes` is atomic: each part either finds what it expects, or the store raises `Conflict` and nothing of it
was written. Events in it are committed with the change that they tell of.
Versions: a new row has version 1; a part that replaces a row carries the row with its version raised by one and
expects the stored one to be exactly one lower.
"""

from typing import Final, Literal

import msgspec

from detent.core.api import Api
from detent.core.audit import AuditLink
from detent.core.client import Client
from detent.core.consent import Consent
from detent.core.events import Event
from detent.core.family import Family
from detent.core.ids import ClientId, Instant, SessionKey, Subject
from detent.core.people import User
from detent.core.session import Session, SessionLife
from detent.core.webhook import Webhook
from detent.core.wrapped_key import WrappedKey

Which = Literal["all", "bound", "suspected"]


RecordName = tuple[str, str]  # kind and key


class Record(msgspec.Struct, frozen=True):
    """Short-lived state of a feature: (`kind`, `key`) is unique, `value` opaque bytes, gone at `expires_at`."""

    kind: str
    key: str
    value: bytes
    expires_at: Instant
    version: int = 1


class InsertFamily(msgspec.Struct, frozen=True):
    """Conflict if the key exists; also, if asked, unless its session is stored and has not been ended
    (`in_session`), and unless the person's consent to the client stands (`consented`).
    """

    family: Family
    in_session: bool = False
    consented: bool = False


class ReplaceFamily(msgspec.Struct, frozen=True):
    """The compare-and-swap of the heart: one UPDATE on key and version.

    `authorization`, `absolute_until` and `seed` stay as they were inserted, whatever `family` says.
    """

    family: Family


class EndFamilies(msgspec.Struct, frozen=True):
    """Revoke every live family of this person that is `which`; never conflicts.

    `client_id`, `session_id`: only those of that client, that session; `but_session_id`: none of that session.
    `which`: "bound" are those that end with their session, "suspected" those marked after a reuse.
    """

    placement: int
    subject: Subject
    reason: str
    which: Which = "all"
    client_id: ClientId | None = None
    session_id: str | None = None
    but_session_id: str | None = None


class InsertSession(msgspec.Struct, frozen=True):
    """Conflict if the key exists."""

    session: Session


class ReplaceSession(msgspec.Struct, frozen=True):
    """A person signed in again: Conflict if the session was ended or replaced since it was read."""

    session: Session


class SlideSession(msgspec.Struct, frozen=True):
    """The session was used: its life, unless it has ended meanwhile. Never conflicts, changes no version."""

    key: SessionKey
    life: SessionLife


class EndSessions(msgspec.Struct, frozen=True):
    """End every session of this person that has not ended, or `only` that one, or all `but` that one (each a `sid`).

    Raises the version of those it ends; never conflicts.
    """

    placement: int
    subject: Subject
    reason: str
    only: str | None = None
    but: str | None = None


class SaveConsent(msgspec.Struct, frozen=True):
    """Version 1 is new and conflicts with one that is there; any other replaces the one before it."""

    consent: Consent


class RemoveConsent(msgspec.Struct, frozen=True):
    """Never conflicts: afterwards it is gone."""

    subject: Subject
    client_id: ClientId


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
    """The subject's families and sessions are cut off by the same part: a later user never inherits them."""

    subject: Subject
    version: int


class Identity(msgspec.Struct, frozen=True):
    """The issuer, and which keys: "store", or the `kid`s of the RS256 keys in a directory; "" is not known yet."""

    issuer: str = ""
    keys: str = ""


class Beat(msgspec.Struct, frozen=True):
    """A server lives on this store, at this time by its clock: one more. The latest time never falls."""

    at: Instant


class SetClock(msgspec.Struct, frozen=True):
    """An operator says what time it is, whatever the store has seen."""

    at: Instant


class Restored(msgspec.Struct, frozen=True):
    """The store is a copy from the past, and this is known: its handles get a new epoch, everybody is signed out,
    and what may be used only once is gone, since it may have been used.
    """

    restore_epoch: int


class TurnKeys(msgspec.Struct, frozen=True):
    """Put these keys, drop those (purpose, id), and count one on: Conflict unless nobody did since `version`."""

    version: int
    put: tuple[WrappedKey, ...] = ()
    drop: tuple[tuple[str, str], ...] = ()


class Identify(msgspec.Struct, frozen=True):
    """What every server of this installation shares: Conflict if it is no longer what it is said to be `instead_of`."""

    identity: Identity
    instead_of: Identity


class RaiseServerEpoch(msgspec.Struct, frozen=True):
    """Cut off everything issued until now: one write, never conflicts."""


class AppendLink(msgspec.Struct, frozen=True):
    """The next link of the audit log's chain: Conflict if there is one of this number, so the chain cannot fork."""

    link: AuditLink


class PruneLink(msgspec.Struct, frozen=True):
    """Remove a link and its events, and leave the anchor that the rest hangs on: Conflict if the link is gone."""

    number: int
    events: tuple[int, ...]
    anchor: AuditLink


class InsertWebhook(msgspec.Struct, frozen=True):
    webhook: Webhook


class ReplaceWebhook(msgspec.Struct, frozen=True):
    """By the operator, or by whoever delivers to it."""

    webhook: Webhook


class RemoveWebhook(msgspec.Struct, frozen=True):
    id: str
    version: int


Part = (
    InsertFamily | ReplaceFamily | EndFamilies
    | InsertSession | ReplaceSession | SlideSession | EndSessions
    | SaveConsent | RemoveConsent
    | InsertRecord | ReplaceRecord | ConsumeRecord
    | InsertClient | ReplaceClient | RemoveClient
    | InsertApi | ReplaceApi | RemoveApi
    | InsertUser | ReplaceUser | RemoveUser
    | RaiseServerEpoch | AppendLink | PruneLink
    | InsertWebhook | ReplaceWebhook | RemoveWebhook
    | Beat | SetClock | Restored | TurnKeys | Identify
)  # fmt: skip


# A person or a client is cut off, disabled and given another secret by being replaced.
_ENDING: Final = {
    EndFamilies, EndSessions, RemoveConsent, RaiseServerEpoch,
    ReplaceUser, RemoveUser, ReplaceClient, RemoveClient, RemoveApi, RemoveWebhook,
}  # fmt: skip


class Changes(msgspec.Struct, frozen=True):
    """Parts are carried out in order, all or none; `events` are appended to the audit log in the same commit."""

    parts: tuple[Part, ...]
    events: tuple[Event, ...] = ()

    @property
    def only_ends(self) -> bool:
        """Whether it issues nothing: such changes must be possible when nothing else is."""
        return bool(self.parts) and all(map(_ends, self.parts))


def _ends(part: Part) -> bool:
    return part.family.status != "live" if isinstance(part, ReplaceFamily) else type(part) in _ENDING


def changed(*parts: Part, events: tuple[Event, ...] = ()) -> Changes:
    return Changes(parts, events)
