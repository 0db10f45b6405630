"""Small valid values, each with one obvious default; `fields` changes what the test is about."""

from typing import Any

import msgspec

from detent.core.api import Api
from detent.core.authorization import Authorization
from detent.core.changes import Record
from detent.core.client import DEFAULT_GRANTS, AuthMethod, Client
from detent.core.consent import Consent, Leave
from detent.core.events import Event, EventName
from detent.core.family import Family, Origin, Surroundings, born, with_first_handle
from detent.core.ids import ClientId, FamilyKey, Instant, SessionKey, Subject, placement_of
from detent.core.people import User
from detent.core.policy import KINDS, ClientKind
from detent.core.session import Session, SessionPolicy, new_life

NOW = Instant(1_800_000_000)


def a_client(client_id: str = "app", kind: ClientKind = "native", **fields: Any) -> Client:
    method: AuthMethod = "none" if KINDS[kind].public else "client_secret_basic"
    plain = Client(ClientId(client_id), kind, NOW, grant_types=DEFAULT_GRANTS[kind], token_endpoint_auth_method=method)
    return msgspec.structs.replace(plain, **fields)


def an_api(identifier: str = "https://api.example/", **fields: Any) -> Api:
    return msgspec.structs.replace(Api(identifier, NOW, scopes={"read": "Read"}), **fields)


def a_user(subject: str = "alice", **fields: Any) -> User:
    return msgspec.structs.replace(User(Subject(subject), subject, NOW), **fields)


def a_record(key: str = "one", **fields: Any) -> Record:
    return msgspec.structs.replace(Record("test", key, b"value", Instant(NOW + 60)), **fields)


def an_event(name: EventName = "user_updated", **fields: Any) -> Event:
    return Event(name, NOW, **fields)


def an_authorization(subject: str = "alice", client_id: str = "app", **fields: Any) -> Authorization:
    plain = Authorization(ClientId(client_id), Subject(subject), ("read",), ("https://api.example/",), NOW, NOW)
    return msgspec.structs.replace(plain, **fields)


def a_family(number: int = 1, *, subject: str = "alice", client_id: str = "app", **fields: Any) -> Family:
    """A family of a native app with its first refresh token; `number` is its id, in the subject's placement."""
    key = FamilyKey(placement_of(subject), number.to_bytes(16, "big"))
    policy = KINDS["native"].policy
    begun = born(key, an_authorization(subject, client_id), Instant(NOW + policy.absolute), Origin())
    begun = with_first_handle(begun, policy, Surroundings(), bytes(32))
    return msgspec.structs.replace(begun, **fields)


def a_session(number: int = 1, *, subject: str = "alice", **fields: Any) -> Session:
    """A session that has just begun; `number` is its id, in the subject's placement."""
    key = SessionKey(placement_of(subject), number.to_bytes(16, "big"))
    life = new_life(SessionPolicy(), NOW)
    plain = Session(key, Subject(subject), bytes(range(32)), NOW, NOW, ("pwd",), life, device="Firefox on Linux")
    return msgspec.structs.replace(plain, **fields)


def a_consent(subject: str = "alice", client_id: str = "app", **fields: Any) -> Consent:
    leave: Leave = {"": ("openid",), "https://api.example/": ("read",)}
    return msgspec.structs.replace(Consent(Subject(subject), ClientId(client_id), leave, NOW), **fields)
