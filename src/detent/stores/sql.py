"""The SQL text, once, for every backend that speaks it: SQLite as it stands, PostgreSQL with its own parameters.

Rules: a hot statement names one placement and the primary key; times and randomness are parameters; nothing is
indexed that a refresh changes; what must not exist yet is inserted `ON CONFLICT DO NOTHING` and counted.
"""
# ruff: noqa: S608  (built of names in this file; whatever comes from outside is a parameter)

from typing import Final

from detent.core.changes import Which

HOT: Final = (  # what a refresh may change
    "version", "status", "ended_by", "suspected", "generation", "epoch", "parent", "parent_epoch", "handle_key",
    "rotated_at", "idle_until", "retry_key", "tolerated", "repeated", "refreshes", "agent", "network", "last_used_at",
    "history",
)  # fmt: skip
_WHOLE: Final = ("body", "absolute_until", *HOT, "seed")


def _insert(table: str, *columns: str) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO NOTHING"


_LIFE: Final = ("last_used_at", "idle_until", "absolute_until", "ended_by")


def _user_epoch(of: str) -> str:
    return f"coalesce((SELECT c.epoch FROM cutoff c WHERE c.placement = ?1 AND c.subject = {of}.subject), 0)"


def insert_family(*, in_session: bool, consented: bool) -> str:
    """The same, if more than the key is to be true: then the keys of its session and of the consent follow."""
    conditions = (
        ("SELECT 1 FROM session WHERE placement = ? AND sid = ? AND ended_by = ''", in_session),
        ("SELECT 1 FROM consent WHERE placement = ? AND subject = ? AND client_id = ?", consented),
    )
    asked = [f"EXISTS ({condition})" for condition, wanted in conditions if wanted]
    if not asked:
        return INSERT_FAMILY
    values = INSERT_FAMILY.replace("VALUES (", "SELECT ").replace(") ON CONFLICT", " ON CONFLICT")
    return values.replace(" ON CONFLICT", f" WHERE {' AND '.join(asked)} ON CONFLICT")


def _of_session(column: str) -> str:
    return f"(SELECT s.{column} FROM session s WHERE s.placement = ?1 AND s.sid = f.session_id)"


# Subselects, not a join: SQLite makes the plan of a join anew for each pair of parameters, which takes 60 µs. The
# placement is named as a parameter everywhere: PostgreSQL would else plan them for every part of a table.
FAMILY: Final = (
    f"SELECT {', '.join(_WHOLE)}, {_user_epoch('f')}, {', '.join(_of_session(name) for name in _LIFE)} "
    "FROM family f WHERE placement = ?1 AND id = ?2"
)
FAMILY_UNLESS: Final = f"{FAMILY} AND NOT EXISTS (SELECT 1 FROM record WHERE kind = ?3 AND key = ?4)"
INSERT_FAMILY: Final = _insert(
    "family", "placement", "id", "subject", "client_id", "session_id", "ends_with_session", "number",
    "user_epoch", "client_epoch", "server_epoch", "absolute_until", "seed", "body", *HOT,
)  # fmt: skip
# A version that was lost with a primary can come again with another meaning: an end is final whatever its number.
REPLACE_FAMILY: Final = (
    f"UPDATE family SET {', '.join(f'{name} = ?' for name in HOT)} "
    "WHERE placement = ? AND id = ? AND version = ? AND status = 'live'"
)


def end_families(which: Which, *, of_client: bool, of_session: bool, but_session: bool) -> str:
    """Parameters: ended_by, placement, subject; then client_id, session_id and the session that stays, as asked."""
    conditions = (
        ("suspected = 1", which == "suspected"),
        ("ends_with_session = 1", which == "bound"),
        ("client_id = ?", of_client),
        ("session_id = ?", of_session),
        ("session_id IS DISTINCT FROM ?", but_session),
    )
    asked = "".join(f" AND {condition}" for condition, wanted in conditions if wanted)
    return (
        "UPDATE family SET status = 'revoked', ended_by = ?, version = version + 1 "
        f"WHERE placement = ? AND subject = ? AND status = 'live'{asked}"
    )


def families(*, of_subject: bool, of_client: bool) -> str:
    """Parameters: placement and subject, client_id, as asked; then placement and id of the last one, twice; a limit.

    A last one that was swept meanwhile ended before all that are left.
    """
    asked = ("placement = ? AND subject = ? AND " if of_subject else "") + ("client_id = ? AND " if of_client else "")
    end = "+absolute_until" if of_subject else "absolute_until"  # by no index: SQLite would go through all of a client
    last = "coalesce((SELECT absolute_until FROM family WHERE placement = ? AND id = ?), 0)"
    return (
        f"SELECT placement, id, {', '.join(_WHOLE)} FROM family "
        f"WHERE {asked}({end}, placement, id) > ({last}, ?, ?) ORDER BY {end}, placement, id LIMIT ?"
    )


# Parameters: the first number and the one after the last, and the time.
ENDED: Final = (
    "SELECT number FROM family f WHERE number >= ?1 AND number < ?2 AND (status <> 'live' "
    "OR user_epoch < (SELECT c.epoch FROM cutoff c WHERE c.placement = f.placement AND c.subject = f.subject) "
    "OR server_epoch < (SELECT server_epoch FROM installation) "
    "OR NOT EXISTS (SELECT 1 FROM client c "
    "WHERE c.client_id = f.client_id AND c.enabled = 1 AND c.epoch <= f.client_epoch) "
    "OR (ends_with_session = 1 AND NOT EXISTS (SELECT 1 FROM session s WHERE s.placement = f.placement "
    "AND s.sid = f.session_id AND s.ended_by = '' AND s.idle_until > ?3 AND s.absolute_until > ?3))) ORDER BY number"
)

SESSION: Final = (
    f"SELECT body, version, {', '.join(_LIFE)}, {_user_epoch('s')} FROM session s WHERE placement = ?1 AND sid = ?2"
)
SESSIONS: Final = (
    f"SELECT body, version, {', '.join(_LIFE)} FROM session WHERE placement = ? AND subject = ? "
    "ORDER BY last_used_at DESC, sid LIMIT 200"
)
INSERT_SESSION: Final = _insert("session", "placement", "sid", "subject", "body", "version", *_LIFE)
REPLACE_SESSION: Final = (
    f"UPDATE session SET body = ?, version = ?, {', '.join(f'{name} = ?' for name in _LIFE)} "
    "WHERE placement = ? AND sid = ? AND version = ?"
)
SLIDE_SESSION: Final = (
    "UPDATE session SET last_used_at = ?, idle_until = ? "
    "WHERE placement = ? AND sid = ? AND ended_by = '' AND idle_until <= ?"
)


def end_sessions(*, only: bool, but: bool) -> str:
    """Parameters: ended_by, placement, subject; then the sid that alone ends, and the one that stays, as asked."""
    asked = (" AND sid = ?" if only else "") + (" AND sid <> ?" if but else "")
    return (
        "UPDATE session SET ended_by = ?, version = version + 1 "
        f"WHERE placement = ? AND subject = ? AND ended_by = ''{asked}"
    )


CONSENT: Final = "SELECT body FROM consent WHERE placement = ? AND subject = ? AND client_id = ?"
CONSENTS: Final = "SELECT body FROM consent WHERE placement = ? AND subject = ? ORDER BY client_id"
INSERT_CONSENT: Final = _insert("consent", "placement", "subject", "client_id", "version", "body")
REPLACE_CONSENT: Final = (
    "UPDATE consent SET version = ?, body = ? WHERE placement = ? AND subject = ? AND client_id = ? AND version = ?"
)
REMOVE_CONSENT: Final = "DELETE FROM consent WHERE placement = ? AND subject = ? AND client_id = ?"

RECORD: Final = "SELECT value, expires_at, version FROM record WHERE kind = ? AND key = ?"
RECORDS: Final = "SELECT key, value, expires_at, version FROM record WHERE kind = ? AND key > ? ORDER BY key LIMIT ?"
INSERT_RECORD: Final = _insert("record", "kind", "key", "version", "expires_at", "value")
REPLACE_RECORD: Final = (
    "UPDATE record SET version = ?, expires_at = ?, value = ? WHERE kind = ? AND key = ? AND version = ?"
)
CONSUME_RECORD: Final = "DELETE FROM record WHERE kind = ? AND key = ? AND version = ? AND expires_at > ?"

CLIENT: Final = "SELECT body FROM client WHERE client_id = ?"
CLIENTS: Final = "SELECT body FROM client WHERE client_id > ? ORDER BY client_id LIMIT ?"
INSERT_CLIENT: Final = _insert("client", "client_id", "version", "enabled", "epoch", "body")
REPLACE_CLIENT: Final = (
    "UPDATE client SET version = ?, enabled = ?, epoch = ?, body = ? WHERE client_id = ? AND version = ?"
)
REMOVE_CLIENT: Final = "DELETE FROM client WHERE client_id = ? AND version = ?"

API: Final = "SELECT body FROM api WHERE identifier = ?"
APIS: Final = "SELECT body FROM api WHERE identifier > ? ORDER BY identifier LIMIT ?"
INSERT_API: Final = _insert("api", "identifier", "version", "body")
REPLACE_API: Final = "UPDATE api SET version = ?, body = ? WHERE identifier = ? AND version = ?"
REMOVE_API: Final = "DELETE FROM api WHERE identifier = ? AND version = ?"

USER: Final = "SELECT body FROM person WHERE subject = ?"
USER_BY_NAME: Final = "SELECT body FROM person WHERE username_key = ?"
USERS: Final = "SELECT body FROM person WHERE subject > ? ORDER BY subject LIMIT ?"
INSERT_USER: Final = (
    "INSERT INTO person (subject, username_key, epoch, version, body) SELECT ?, ?, ?, ?, ? "
    "WHERE NOT EXISTS (SELECT 1 FROM cutoff WHERE placement = ? AND subject = ?) ON CONFLICT DO NOTHING"
)
REPLACE_USER: Final = (
    "UPDATE person SET username_key = ?, epoch = ?, version = ?, body = ? "
    "WHERE subject = ? AND version = ? AND epoch <= ?"
)
REMOVE_USER: Final = "DELETE FROM person WHERE subject = ? AND version = ?"
CUT_OFF: Final = (
    "INSERT INTO cutoff (placement, subject, epoch) VALUES (?, ?, ?) "
    "ON CONFLICT (placement, subject) DO UPDATE SET epoch = excluded.epoch"
)
CUT_OFF_FOR_EVER: Final = (
    "INSERT INTO cutoff (placement, subject, epoch) SELECT ?, subject, epoch + 1 FROM person WHERE subject = ? "
    "ON CONFLICT (placement, subject) DO UPDATE SET epoch = excluded.epoch"
)

INSTALLATION: Final = "SELECT store_id, restore_epoch, server_epoch, keys_version, issuer, key_set FROM installation"
IDENTIFY: Final = "UPDATE installation SET issuer = ?, key_set = ? WHERE issuer = ? AND key_set = ?"
WRAPPED_KEYS: Final = (
    "SELECT keys_version, k.purpose, k.id, k.created_at, k.use_from, k.kek, k.wrapped "
    "FROM installation LEFT JOIN wrapped_key k ON k.purpose > '' ORDER BY k.purpose, k.id"
)
TURN_KEYS: Final = "UPDATE installation SET keys_version = keys_version + 1 WHERE keys_version = ?"
PUT_KEY: Final = (
    "INSERT INTO wrapped_key (purpose, id, created_at, use_from, kek, wrapped) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (purpose, id) DO UPDATE SET use_from = excluded.use_from, kek = excluded.kek, "
    "wrapped = excluded.wrapped"
)
DROP_KEY: Final = "DELETE FROM wrapped_key WHERE purpose = ? AND id = ?"
PULSE: Final = "SELECT beats, latest FROM installation"
BEAT: Final = "UPDATE installation SET beats = beats + 1, latest = CASE WHEN latest < ? THEN ? ELSE latest END"
SET_CLOCK: Final = "UPDATE installation SET latest = ?"
RESTORED: Final = "UPDATE installation SET restore_epoch = ?"
FORGET_RECORDS: Final = "DELETE FROM record"
END_ALL_SESSIONS: Final = "UPDATE session SET ended_by = 'restore', version = version + 1 WHERE ended_by = ''"
RAISE_SERVER_EPOCH: Final = "UPDATE installation SET server_epoch = server_epoch + 1"

INSERT_EVENT: Final = "INSERT INTO event (at, name, about, body) VALUES (?, ?, ?, ?)"
EVENTS_ABOUT: Final = (  # the index of it leaves out what every sign-in would write into it, and a family remembers
    "SELECT seq, body FROM event WHERE about = ? AND name <> 'family_created' AND seq > ? ORDER BY seq LIMIT ?"
)
AUDIT_ROWS: Final = "SELECT seq, at, name, about, body FROM event WHERE seq > ? ORDER BY seq LIMIT ?"
AUDIT_ROWS_BETWEEN: Final = (
    "SELECT seq, at, name, about, body FROM event WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
)
REMOVE_EVENT: Final = "DELETE FROM event WHERE seq = ?"
REMOVE_LINK: Final = "DELETE FROM audit_link WHERE number = ?"
PUT_ANCHOR: Final = (
    "INSERT INTO audit_link (number, body, tag) VALUES (?, ?, ?) "
    "ON CONFLICT (number) DO UPDATE SET body = excluded.body, tag = excluded.tag"
)
AUDIT_LINKS: Final = "SELECT number, body, tag FROM audit_link WHERE number > ? ORDER BY number LIMIT ?"
LAST_LINK: Final = "SELECT number, body, tag FROM audit_link WHERE number = (SELECT max(number) FROM audit_link)"
APPEND_LINK: Final = _insert("audit_link", "number", "body", "tag")
WEBHOOKS: Final = "SELECT body FROM webhook WHERE id > '' ORDER BY id"
INSERT_WEBHOOK: Final = _insert("webhook", "id", "version", "body")
REPLACE_WEBHOOK: Final = "UPDATE webhook SET version = ?, body = ? WHERE id = ? AND version = ?"
REMOVE_WEBHOOK: Final = "DELETE FROM webhook WHERE id = ? AND version = ?"

SWEEP_RECORDS: Final = (
    "DELETE FROM record WHERE (kind, key) IN (SELECT kind, key FROM record WHERE expires_at <= ? LIMIT ?)"
)
SWEEP_FAMILIES: Final = (
    "DELETE FROM family WHERE (placement, id) IN (SELECT placement, id FROM family WHERE absolute_until <= ? LIMIT ?)"
)
SWEEP_SESSIONS: Final = (
    "DELETE FROM session WHERE (placement, sid) IN "
    "(SELECT placement, sid FROM session WHERE absolute_until <= ? LIMIT ?)"
)
