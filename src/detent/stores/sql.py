"""The SQL text, once, for every backend that speaks it: SQLite as it stands, PostgreSQL with its own parameters.

Rules: a hot statement names one placement and the primary key; times and randomness are parameters; nothing is
indexed that a refresh changes; what must not exist yet is inserted `ON CONFLICT DO NOTHING` and counted.
"""
# ruff: noqa: S608  (built of names in this file; whatever comes from outside is a parameter)

from typing import Final

_HOT: Final = (
    "version", "status", "ended_by", "suspected", "generation", "epoch", "parent", "parent_epoch", "handle_key",
    "rotated_at", "idle_until", "retry_key", "tolerated", "repeated", "agent", "network", "last_used_at", "history",
)  # fmt: skip
_WHOLE: Final = f"body, absolute_until, {', '.join(_HOT)}, seed"


def _insert(table: str, *columns: str) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO NOTHING"


FAMILY: Final = (
    f"SELECT {_WHOLE}, coalesce((SELECT c.epoch FROM cutoff c WHERE c.placement = f.placement "
    "AND c.subject = f.subject), 0) FROM family f WHERE placement = ? AND id = ?"
)
INSERT_FAMILY: Final = _insert(
    "family", "placement", "id", "subject", "client_id", "session_id", "absolute_until", "seed", "body", *_HOT
)
REPLACE_FAMILY: Final = (
    f"UPDATE family SET {', '.join(f'{name} = ?' for name in _HOT)} WHERE placement = ? AND id = ? AND version = ?"
)
END_SUSPECTS: Final = (
    "UPDATE family SET status = 'revoked', ended_by = ?, version = version + 1 "
    "WHERE placement = ? AND subject = ? AND client_id = ? AND status = 'live' AND suspected = 1"
)


def families(*, of_subject: bool, of_client: bool) -> str:
    """Parameters: placement and subject, client_id, as asked; then placement and id of the last one, and a limit."""
    asked = ("placement = ? AND subject = ? AND " if of_subject else "") + ("client_id = ? AND " if of_client else "")
    return (
        f"SELECT placement, id, {_WHOLE} FROM family "
        f"WHERE {asked}(placement, id) > (?, ?) ORDER BY placement, id LIMIT ?"
    )


RECORD: Final = "SELECT value, expires_at, version FROM record WHERE kind = ? AND key = ?"
INSERT_RECORD: Final = _insert("record", "kind", "key", "version", "expires_at", "value")
REPLACE_RECORD: Final = (
    "UPDATE record SET version = ?, expires_at = ?, value = ? WHERE kind = ? AND key = ? AND version = ?"
)
CONSUME_RECORD: Final = "DELETE FROM record WHERE kind = ? AND key = ? AND version = ? AND expires_at > ?"

CLIENT: Final = "SELECT body FROM client WHERE client_id = ?"
CLIENTS: Final = "SELECT body FROM client WHERE client_id > ? ORDER BY client_id LIMIT ?"
INSERT_CLIENT: Final = _insert("client", "client_id", "version", "body")
REPLACE_CLIENT: Final = "UPDATE client SET version = ?, body = ? WHERE client_id = ? AND version = ?"
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

INSTALLATION: Final = "SELECT store_id, restore_epoch, server_epoch FROM installation"
RAISE_SERVER_EPOCH: Final = "UPDATE installation SET server_epoch = server_epoch + 1"

INSERT_EVENT: Final = "INSERT INTO event (at, name, about, body) VALUES (?, ?, ?, ?)"
EVENTS: Final = "SELECT seq, body FROM event WHERE seq > ? ORDER BY seq LIMIT ?"
EVENTS_ABOUT: Final = "SELECT seq, body FROM event WHERE about = ? AND seq > ? ORDER BY seq LIMIT ?"

SWEEP_RECORDS: Final = (
    "DELETE FROM record WHERE (kind, key) IN (SELECT kind, key FROM record WHERE expires_at <= ? LIMIT ?)"
)
SWEEP_FAMILIES: Final = (
    "DELETE FROM family WHERE (placement, id) IN (SELECT placement, id FROM family WHERE absolute_until <= ? LIMIT ?)"
)
