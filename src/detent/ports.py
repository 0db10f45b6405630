"""What the rooms above need from outside: Protocols whose docstring is the contract.

`Store` is the hot port: few verbs, one write door. `Directory` only reads, for people and for lists; so a
dashboard never widens the hot port. Every store passes the same contract suite (detent.testing.store_contract).
Errors: `Conflict` and `StoreUnavailable` of core/errors.py, nothing else; of keys `KeyUnknown`.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol

import msgspec

from detent.core.api import Api, SigningAlg
from detent.core.audit import AuditLink, AuditRow
from detent.core.changes import Changes, Identity, Record, RecordName
from detent.core.client import Client
from detent.core.consent import Consent
from detent.core.encryption import Enc, OwnAlg
from detent.core.events import Event
from detent.core.family import Family
from detent.core.ids import ClientId, FamilyKey, Instant, SessionKey, Subject
from detent.core.people import User
from detent.core.session import Session, SessionLife
from detent.core.webhook import Webhook
from detent.core.wrapped_key import WrappedKeys


class Installation(msgspec.Struct, frozen=True):
    """Which store this is. `restore_epoch` rises with each restore of a backup, `server_epoch` with each cut-off,
    `keys_version` with each change of the keys in it.
    """

    store_id: str
    restore_epoch: int = 0
    server_epoch: int = 0
    keys_version: int = 0
    identity: Identity = Identity()


class Pulse(msgspec.Struct, frozen=True):
    """How often servers have said that they live on this store, and the latest time they decided by."""

    beats: int = 0
    latest: Instant = Instant(0)


class FoundFamily(msgspec.Struct, frozen=True):
    """A family and, from the same read, its subject's cut-off in force and the session that it came of, if any."""

    family: Family
    user_epoch: int
    session: SessionLife | None = None

    def session_over(self, now: Instant) -> bool:
        """Whether the session is over with which this family ends; a session that is gone is over."""
        bound = self.family.authorization.ends_with_session
        return bound and (self.session is None or self.session.over(now) is not None)


class FoundSession(msgspec.Struct, frozen=True):
    """A session, over or not, and from the same read the cut-off of its subject now in force."""

    session: Session
    user_epoch: int


class Store(Protocol):
    """Durable state. Reads see only what is committed; a read never takes part in a write.

    `client`, `api` and `installation` may answer from memory that is at most one second old; what this process
    itself wrote it sees at once. Everything else is read from the one primary store.
    """

    async def client(self, client_id: str) -> Client | None: ...

    async def api(self, identifier: str) -> Api | None: ...

    async def installation(self) -> Installation: ...

    async def family(self, key: FamilyKey, *, unless: RecordName | None = None) -> FoundFamily | None:
        """One statement on one placement; None as well where the record `unless` exists, seen in the same moment."""
        ...

    async def session(self, key: SessionKey) -> FoundSession | None:
        """One statement on one placement."""
        ...

    async def consent(self, subject: Subject, client_id: ClientId) -> Consent | None: ...

    async def record(self, kind: str, key: str) -> Record | None:
        """The record, expired or not: the caller compares `expires_at` with its clock."""
        ...

    async def apply(self, changes: Changes) -> None:
        """Carry out all parts and append the events in one commit; return once it is durable.

        Raises Conflict if a part does not find what it expects: nothing was written. Raises StoreUnavailable if
        the store cannot write or the fate of the commit is unknown. Cancelling the caller does not undo a write.
        """
        ...

    async def confirm(self, key: FamilyKey, version: int) -> None:
        """Return once the family as it was read is as safe as what `apply` wrote: for an answer that does not write it.

        Where commits wait for standbys, a read may see one for which nobody waits any more, and that the next primary
        has never seen. Raises Conflict if the family ended or has another version, and StoreUnavailable.
        """
        ...

    async def sweep(self, now: Instant, *, retention: int) -> int:
        """Delete records that expired, and families and sessions whose absolute end passed `retention` seconds ago.

        Works in bounded portions and returns how many rows it deleted; 0 means there is nothing left to do.
        """
        ...


class Directory(Protocol):
    """Reads beside the hot path: people, lists and searches. Lists are in key order; `after` continues one."""

    async def user(self, subject: str) -> User | None: ...

    async def user_by_name(self, username: str) -> User | None:
        """By canonical username (core.people.canonical_username is applied here)."""
        ...

    async def clients(self, *, after: str = "", limit: int = 100) -> Sequence[Client]: ...

    async def apis(self, *, after: str = "", limit: int = 100) -> Sequence[Api]: ...

    async def users(self, *, after: str = "", limit: int = 100) -> Sequence[User]: ...

    async def families(
        self,
        *,
        subject: Subject | None = None,
        client_id: ClientId | None = None,
        after: str = "",
        limit: int = 100,
    ) -> Sequence[Family]:
        """In the order of `absolute_until`, so nearly that in which they began; `after` is a `FamilyKey.text`."""
        ...

    async def sessions(self, subject: Subject) -> Sequence[Session]:
        """All of this person that are stored, over or not, the latest used first; at most 200."""
        ...

    async def records(self, kind: str, *, after: str = "", limit: int = 1000) -> Sequence[Record]:
        """Those of one kind by key, expired or not."""
        ...

    async def consents(self, subject: Subject) -> Sequence[Consent]:
        """In order of `client_id`."""
        ...

    async def ended(self, numbers: range, now: Instant) -> Sequence[int]:
        """Which of these `Authorization.number`s have ended, in order: their access tokens are good no more.

        Ended: revoked or compromised, cut off (person, client, server), the client disabled or gone, or the session
        over that it ends with. Costs what the length of `numbers` does, however many have ended.
        """
        ...

    async def events(
        self, *, about: str | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, Event]]:
        """The audit log in order of commit, each with its number; `about` finds all but how a family began, which is
        in its history.
        """
        ...

    @property
    def gapless(self) -> bool:
        """Whether the numbers of events are given in the order of commits and without a gap."""
        ...

    async def audit_rows(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditRow]:
        """The audit log as it is stored, readable or not, in order of commit.

        Nothing appears later before what was seen: whoever goes on `after` the last number misses nothing.
        """
        ...

    async def audit_rows_between(self, after: int, until: int, *, limit: int = 100) -> Sequence[AuditRow]:
        """Of the same rows those with numbers above `after` up to `until`, in order of number."""
        ...

    async def audit_links(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditLink]:
        """The chain over the audit log, by number; an anchor, if there is one, has number 0."""
        ...

    async def pulse(self) -> Pulse:
        """Never from memory."""
        ...

    async def last_link(self) -> AuditLink | None: ...

    async def wrapped_keys(self) -> WrappedKeys:
        """The keys that are in the store; never from memory."""
        ...

    async def time(self) -> float | None:
        """The time by the clock of the database, Unix seconds; None where that is this machine's."""
        ...

    async def notices_who_hangs_up(self) -> bool:
        """Else whoever waits there for a lock keeps a connection, whether or not anybody waits for them."""
        ...

    async def webhooks(self) -> Sequence[Webhook]:
        """All of them, by id."""
        ...


class SecretKeys(msgspec.Struct, frozen=True):
    """Symmetric keys of one purpose: `current` makes new values, all of `keys` (id → 32 bytes) verify old ones."""

    current: int
    keys: dict[int, bytes]

    def __repr__(self) -> str:
        return f"SecretKeys(current={self.current}, ids={sorted(self.keys)}, keys=***)"


class Keys(Protocol):
    """Private material, which nobody reads who has the store alone. Answers come from memory; a rotation is seen
    within seconds.
    """

    async def provide(self, alg: SigningAlg | OwnAlg) -> None:
        """Make the first key of this algorithm, if there is none: before anybody needs it."""
        ...

    def missed(self) -> None:
        """Something names a key that is not known here. Raises KeyUnknown if that may be because it is new.

        Whoever catches it asks once more within `look_again`; who invents keys causes one look a second.
        """
        ...

    def look_again(self) -> AbstractAsyncContextManager[None]:
        """Entered once a look that began after this is over; what is still unknown inside, no node has made.

        Raises StoreUnavailable.
        """
        ...

    def signing_kid(self, alg: SigningAlg) -> str:
        """The `kid` that signs now."""
        ...

    async def sign(self, alg: SigningAlg, typ: str, claims: dict[str, Any]) -> str:
        """A compact JWS (RFC 7515) with `alg` and `kid` set. Raises KeyUnknown if there is no key."""
        ...

    def public_jwks(self, algs: frozenset[str]) -> Sequence[Mapping[str, Any]]:
        """Every key of these algorithms that is used, was used, or will be next; public members only.

        The very same object as before says that nothing has changed.
        """
        ...

    def decrypt(self, token: str, alg: OwnAlg, enc: Enc, kid: str | None) -> bytes | None:
        """What is in a compact JWE (RFC 7516) to a key of ours, by this `alg` and `enc`; None if it cannot be read."""
        ...

    def handle_keys(self) -> SecretKeys:
        """Outer tags and sealed handles."""
        ...

    def pepper(self) -> SecretKeys:
        """The keyed hash of client secrets; never dropped while a secret under it lives."""
        ...

    def audit_keys(self) -> SecretKeys:
        """The links of the audit log and the secrets of webhooks; dropped after a compromise only."""
        ...


class Clock(Protocol):
    def now(self) -> Instant: ...


class Entropy(Protocol):
    def token_bytes(self, size: int) -> bytes: ...


# Refreshes by outcome and reason, tokens issued by grant, sign-ins by outcome, sweeps and what they deleted, logout
# tokens by outcome.
Counted = Literal["refreshes", "tokens_issued", "sign_ins", "sweeps", "swept_rows", "logout_tokens"]


class EventSink(Protocol):
    """Where refusals and notable events go beside the store: never blocks, never raises, never gets a secret."""

    def emit(self, event: Event) -> None: ...


class Meter(Protocol):
    """Where ordinary work is counted: never blocks, never raises.

    Labels are words of ours, of a list that is closed once the server has started: never what somebody sent.
    """

    def count(self, what: Counted, *labels: str, by: int = 1) -> None: ...

    def answered(self, endpoint: str, status: int, error: str, seconds: float) -> None:
        """A request and its answer; `error` is an OAuth code or empty, `seconds` what we took for it."""
        ...
