"""What each part of a `Changes` is in SQL: a list of steps, made before any lock is taken.

A step that changes fewer rows than it must is a `Conflict`; the backend undoes the steps before it.
"""

from typing import assert_never

import msgspec

from detent.core.changes import (
    AppendLink,
    Beat,
    Changes,
    ConsumeRecord,
    EndFamilies,
    EndSessions,
    Identify,
    InsertApi,
    InsertClient,
    InsertFamily,
    InsertRecord,
    InsertSession,
    InsertUser,
    InsertWebhook,
    Part,
    PruneLink,
    RaiseServerEpoch,
    RemoveApi,
    RemoveClient,
    RemoveConsent,
    RemoveUser,
    RemoveWebhook,
    ReplaceApi,
    ReplaceClient,
    ReplaceFamily,
    ReplaceRecord,
    ReplaceSession,
    ReplaceUser,
    ReplaceWebhook,
    Restored,
    SaveConsent,
    SetClock,
    SlideSession,
    TurnKeys,
)
from detent.core.events import Event
from detent.core.ids import Instant, placement_of
from detent.core.people import User, canonical_username
from detent.stores import sql
from detent.stores.rows import Value, cold_values, hot_values, json_of, life_values

SWEEP_PORTION = 200  # rows of each table; small enough not to hold up the refreshes of the same commit


class Step(msgspec.Struct, frozen=True):
    """One statement; `least`: so many rows it changes, or the whole `Changes` is a Conflict."""

    text: str
    values: tuple[Value, ...]
    least: int = 1


def steps_of(changes: Changes) -> list[Step]:
    steps = [step for part in changes.parts for step in _steps(part)]
    steps.extend(_append(event) for event in changes.events)
    return steps


def sweep_steps(now: Instant, retention: int) -> list[Step]:
    return [
        Step(sql.SWEEP_RECORDS, (now, SWEEP_PORTION), least=0),
        Step(sql.SWEEP_FAMILIES, (now - retention, SWEEP_PORTION), least=0),
        Step(sql.SWEEP_SESSIONS, (now - retention, SWEEP_PORTION), least=0),
    ]


def _steps(part: Part) -> tuple[Step, ...]:
    match part:
        case ReplaceFamily(new):
            key = new.key
            return (Step(sql.REPLACE_FAMILY, (*hot_values(new), key.placement, key.id, new.version - 1)),)
        case InsertFamily():
            return (_insert_family(part),)
        case EndFamilies():
            return (_end_families(part),)
        case InsertRecord(new):
            return (Step(sql.INSERT_RECORD, (new.kind, new.key, new.version, new.expires_at, new.value)),)
        case ReplaceRecord(new):
            values = (new.version, new.expires_at, new.value, new.kind, new.key, new.version - 1)
            return (Step(sql.REPLACE_RECORD, values),)
        case ConsumeRecord(kind, name, version, now):
            return (Step(sql.CONSUME_RECORD, (kind, name, version, now)),)
        case (
            RaiseServerEpoch() | AppendLink() | PruneLink() | InsertWebhook() | ReplaceWebhook() | RemoveWebhook()
        ):  # fmt: skip
            return _operation_steps(part)
        case Beat() | SetClock() | Restored() | TurnKeys() | Identify():
            return _installation_steps(part)
        case InsertSession() | ReplaceSession() | SlideSession() | EndSessions() | SaveConsent() | RemoveConsent():
            return (_session_step(part),)
        case _:
            return _registration_steps(part)


def _operation_steps(
    part: RaiseServerEpoch | AppendLink | PruneLink | InsertWebhook | ReplaceWebhook | RemoveWebhook,
) -> tuple[Step, ...]:
    match part:
        case RaiseServerEpoch():
            return (Step(sql.RAISE_SERVER_EPOCH, ()),)
        case AppendLink(new):
            return (Step(sql.APPEND_LINK, (new.number, new.body, new.tag)),)
        case PruneLink(number, events, anchor):
            removed = [Step(sql.REMOVE_EVENT, (seq,), least=0) for seq in events]
            put = Step(sql.PUT_ANCHOR, (anchor.number, anchor.body, anchor.tag))
            return (Step(sql.REMOVE_LINK, (number,)), put, *removed)
        case InsertWebhook(new):
            return (Step(sql.INSERT_WEBHOOK, (new.id, new.version, json_of(new))),)
        case ReplaceWebhook(new):
            return (Step(sql.REPLACE_WEBHOOK, (new.version, json_of(new), new.id, new.version - 1)),)
        case RemoveWebhook(name, version):
            return (Step(sql.REMOVE_WEBHOOK, (name, version)),)
        case _:
            assert_never(part)


def _installation_steps(part: Beat | SetClock | Restored | TurnKeys | Identify) -> tuple[Step, ...]:
    match part:
        case Beat(at):
            return (Step(sql.BEAT, (at, at)),)
        case SetClock(at):
            return (Step(sql.SET_CLOCK, (at,)),)
        case Restored(restore_epoch):
            return (
                Step(sql.RESTORED, (restore_epoch,)),
                Step(sql.FORGET_RECORDS, (), least=0),
                Step(sql.END_ALL_SESSIONS, (), least=0),
            )
        case TurnKeys(version, put, drop):
            puts = [Step(sql.PUT_KEY, msgspec.structs.astuple(key)) for key in put]
            drops = [Step(sql.DROP_KEY, name) for name in drop]
            return (Step(sql.TURN_KEYS, (version,)), *puts, *drops)
        case Identify(new, old):
            return (Step(sql.IDENTIFY, (new.issuer, new.keys, old.issuer, old.keys)),)
        case _:
            assert_never(part)


def _insert_family(part: InsertFamily) -> Step:
    new, granted = part.family, part.family.authorization
    session = (new.key.placement, granted.session_id) if part.in_session else ()
    consent = (placement_of(granted.subject), granted.subject, granted.client_id) if part.consented else ()
    text = sql.insert_family(in_session=part.in_session, consented=part.consented)
    return Step(text, (*cold_values(new), *hot_values(new), *session, *consent))


def _end_families(part: EndFamilies) -> Step:
    text = sql.end_families(
        part.which,
        of_client=part.client_id is not None,
        of_session=part.session_id is not None,
        but_session=part.but_session_id is not None,
    )
    asked = [each for each in (part.client_id, part.session_id, part.but_session_id) if each is not None]
    return Step(text, (part.reason, part.placement, part.subject, *asked), least=0)


def _session_step(
    part: InsertSession | ReplaceSession | SlideSession | EndSessions | SaveConsent | RemoveConsent,
) -> Step:
    match part:
        case InsertSession(new):
            key = (new.key.placement, new.sid, new.subject)
            return Step(sql.INSERT_SESSION, (*key, json_of(new), new.version, *life_values(new.life)))
        case ReplaceSession(new):
            values = (json_of(new), new.version, *life_values(new.life))
            return Step(sql.REPLACE_SESSION, (*values, new.key.placement, new.sid, new.version - 1))
        case SlideSession(key, life):
            values = (life.last_used_at, life.idle_until, key.placement, key.text, life.idle_until)
            return Step(sql.SLIDE_SESSION, values, least=0)
        case EndSessions(placement, subject, reason, only, but):
            text = sql.end_sessions(only=only is not None, but=but is not None)
            asked = [each for each in (only, but) if each is not None]
            return Step(text, (reason, placement, subject, *asked), least=0)
        case SaveConsent(new):
            whose = (placement_of(new.subject), new.subject, new.client_id)
            if new.version == 1:
                return Step(sql.INSERT_CONSENT, (*whose, new.version, json_of(new)))
            return Step(sql.REPLACE_CONSENT, (new.version, json_of(new), *whose, new.version - 1))
        case RemoveConsent(subject, client_id):
            return Step(sql.REMOVE_CONSENT, (placement_of(subject), subject, client_id), least=0)
        case _:
            assert_never(part)


def _registration_steps(
    part: InsertClient | ReplaceClient | RemoveClient | InsertApi | ReplaceApi | RemoveApi
    | InsertUser | ReplaceUser | RemoveUser,
) -> tuple[Step, ...]:  # fmt: skip
    match part:
        case InsertClient(new):
            return (Step(sql.INSERT_CLIENT, (new.client_id, new.version, int(new.enabled), new.epoch, json_of(new))),)
        case ReplaceClient(new):
            values = (new.version, int(new.enabled), new.epoch, json_of(new), new.client_id, new.version - 1)
            return (Step(sql.REPLACE_CLIENT, values),)
        case RemoveClient(client_id, version):
            return (Step(sql.REMOVE_CLIENT, (client_id, version)),)
        case InsertApi(new):
            return (Step(sql.INSERT_API, (new.identifier, new.version, json_of(new))),)
        case ReplaceApi(new):
            return (Step(sql.REPLACE_API, (new.version, json_of(new), new.identifier, new.version - 1)),)
        case RemoveApi(identifier, version):
            return (Step(sql.REMOVE_API, (identifier, version)),)
        case InsertUser(new):
            return (_insert_user(new),)
        case ReplaceUser(new):
            return _replace_user(new)
        case RemoveUser(subject, version):
            return (
                Step(sql.CUT_OFF_FOR_EVER, (placement_of(subject), subject), least=0),
                Step(sql.REMOVE_USER, (subject, version)),
            )
        case _:
            assert_never(part)


def _insert_user(user: User) -> Step:
    values = (user.subject, canonical_username(user.username), user.epoch, user.version, json_of(user))
    return Step(sql.INSERT_USER, (*values, placement_of(user.subject), user.subject))


def _replace_user(user: User) -> tuple[Step, ...]:
    username_key = canonical_username(user.username)
    values = (username_key, user.epoch, user.version, json_of(user), user.subject, user.version - 1, user.epoch)
    replaced = Step(sql.REPLACE_USER, values)
    if not user.epoch:
        return (replaced,)
    return replaced, Step(sql.CUT_OFF, (placement_of(user.subject), user.subject, user.epoch))


def _append(event: Event) -> Step:
    return Step(sql.INSERT_EVENT, (event.at, event.name, event.about, json_of(event)))
