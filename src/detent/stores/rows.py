"""How values become rows and rows become values again.

JSON for what is only read back whole, so that an operator can read it too; columns for what is compared.
A row that cannot be read (damage, or a newer release wrote it) is `StoreUnavailable` for whoever asked for it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from detent.core.api import Api
from detent.core.audit import AuditLink, AuditRow
from detent.core.authorization import Authorization
from detent.core.changes import Identity, Record
from detent.core.client import Client
from detent.core.consent import Consent
from detent.core.errors import StoreUnavailable
from detent.core.events import Event
from detent.core.family import Family, Origin
from detent.core.ids import FamilyKey
from detent.core.people import User
from detent.core.session import Session, SessionLife
from detent.core.webhook import Webhook
from detent.core.wrapped_key import WrappedKey, WrappedKeys
from detent.ports import FoundFamily, FoundSession, Installation

Value = str | bytes | int | None
Row = tuple[Any, ...]
T = TypeVar("T")

_encode: Final = msgspec.json.Encoder().encode
_authorization: Final = msgspec.json.Decoder(Authorization).decode
_history: Final = msgspec.json.Decoder(tuple[Event, ...]).decode


def json_of(value: msgspec.Struct | Sequence[Event]) -> str:
    return _encode(value).decode()


def hot_values(family: Family) -> tuple[Value, ...]:
    """The columns that a refresh may change, in the order of `sql.REPLACE_FAMILY`."""
    return (
        family.version,
        family.status,
        family.ended_by,
        int(family.suspected),
        family.generation,
        family.epoch,
        family.parent,
        family.parent_epoch,
        family.handle_key,
        family.rotated_at,
        family.idle_until,
        family.retry_key,
        family.tolerated,
        family.repeated,
        family.refreshes,
        family.origin.agent,
        family.origin.network,
        family.last_used_at,
        json_of(family.history),
    )


def cold_values(family: Family) -> tuple[Value, ...]:
    """The columns that never change, in the order of `sql.INSERT_FAMILY`."""
    granted = family.authorization
    return (
        family.key.placement,
        family.key.id,
        granted.subject,
        granted.client_id,
        granted.session_id,
        int(granted.ends_with_session),
        granted.number,
        granted.epochs.user,
        granted.epochs.client,
        granted.epochs.server,
        family.absolute_until,
        family.seed,
        json_of(granted),
    )


def family(key: FamilyKey, row: Row) -> Family:
    """The columns come in the order of the fields of `Family`."""
    body, until, version, status, ended_by, suspected, *middle, agent, network, last_used_at, history, seed = row
    try:
        before = (_authorization(body), until, version, status, ended_by, bool(suspected))
        after = (Origin(agent, network), last_used_at, _history(history), seed)
    except msgspec.MsgspecError as error:
        raise StoreUnavailable(f"The row of family {key.text} cannot be read: {error}") from error
    fields: tuple[Any, ...] = (*before, *middle, *after)
    return Family(key, *fields)


def listed_family(row: Row) -> Family:
    return family(FamilyKey(row[0], row[1]), row[2:])


def found_family(key: FamilyKey, row: Row) -> FoundFamily:
    *whole, user_epoch, last_used_at, idle_until, absolute_until, ended_by = row
    life = None if ended_by is None else SessionLife(last_used_at, idle_until, absolute_until, ended_by)
    return FoundFamily(family(key, tuple(whole)), user_epoch, life)


def life_values(life: SessionLife) -> tuple[Value, ...]:
    return life.last_used_at, life.idle_until, life.absolute_until, life.ended_by


def session(row: Row) -> Session:
    """The columns have the last word: a use changes them and not the body."""
    body, version, *life = row
    return msgspec.structs.replace(_session_body((body,)), version=version, life=SessionLife(*life))


def found_session(row: Row) -> FoundSession:
    return FoundSession(session(row[:-1]), row[-1])


def record(kind: str, key: str, row: Row) -> Record:
    return Record(kind, key, *row)


def installation(row: Row) -> Installation:
    store_id, restore_epoch, server_epoch, keys_version, issuer, key_set = row
    return Installation(store_id, restore_epoch, server_epoch, keys_version, Identity(issuer, key_set))


def wrapped_keys(found: Sequence[Row]) -> WrappedKeys:
    """The version stands in each row, and in one that is empty beside it where there is no key."""
    return WrappedKeys(found[0][0], tuple(WrappedKey(*row) for _, *row in found if row[0]))


def audit_row(row: Row) -> AuditRow:
    return AuditRow(*row)


def audit_link(row: Row) -> AuditLink:
    return AuditLink(*row)


def _reader(kind: type[T]) -> Callable[[Row], T]:
    """Reads the JSON in the last column of a row."""
    decode = msgspec.json.Decoder(kind).decode

    def read(row: Row) -> T:
        try:
            return decode(row[-1])
        except msgspec.MsgspecError as error:
            raise StoreUnavailable(f"A row of type {kind.__name__} cannot be read: {error}") from error

    return read


_session_body: Final = _reader(Session)
consent: Final = _reader(Consent)
client: Final = _reader(Client)
api: Final = _reader(Api)
user: Final = _reader(User)
event: Final = _reader(Event)
webhook: Final = _reader(Webhook)
