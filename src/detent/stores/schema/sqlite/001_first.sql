-- The first schema (SQLite dialect). `body` is the JSON of the value that the row holds; other columns are there
-- to be compared or searched. Nothing that a refresh changes is indexed.

-- One row: which store this is, how often it was restored, and the cut-off of everything.
CREATE TABLE installation (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    store_id TEXT NOT NULL,
    restore_epoch INTEGER NOT NULL,
    server_epoch INTEGER NOT NULL
) STRICT;
INSERT INTO installation VALUES (1, lower(hex(randomblob(16))), 0, 0);

CREATE TABLE client (
    client_id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE api (
    identifier TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- "user" is a reserved word of PostgreSQL.
CREATE TABLE person (
    subject TEXT PRIMARY KEY NOT NULL,
    username_key TEXT NOT NULL UNIQUE,
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- The cut-off of a subject, in the subject's placement. It outlives the person: a subject is never reassigned.
CREATE TABLE cutoff (
    placement INTEGER NOT NULL,
    subject TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (placement, subject)
) STRICT, WITHOUT ROWID;

-- One row per family from birth to the sweep. From `version` on, every column changes when it is used; those
-- before never do.
CREATE TABLE family (
    placement INTEGER NOT NULL,
    id BLOB NOT NULL,
    subject TEXT NOT NULL,
    client_id TEXT NOT NULL,
    session_id TEXT,
    absolute_until INTEGER NOT NULL,
    seed BLOB NOT NULL,
    body TEXT NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    ended_by TEXT NOT NULL,
    suspected INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    parent INTEGER,
    parent_epoch INTEGER NOT NULL,
    handle_key INTEGER NOT NULL,
    rotated_at INTEGER,
    idle_until INTEGER NOT NULL,
    retry_key BLOB,
    tolerated INTEGER NOT NULL,
    repeated INTEGER NOT NULL,
    agent BLOB NOT NULL,
    network TEXT NOT NULL,
    last_used_at INTEGER NOT NULL,
    history TEXT NOT NULL,
    PRIMARY KEY (placement, id)
) STRICT;
CREATE INDEX family_of_subject ON family (placement, subject, client_id);
CREATE INDEX family_of_client ON family (client_id, placement, id);
CREATE INDEX family_of_session ON family (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX family_by_end ON family (absolute_until);

-- Short-lived state of features: codes seen, replay guards, pushed requests.
CREATE TABLE record (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX record_by_end ON record (expires_at);

-- The audit log, append-only.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    name TEXT NOT NULL,
    about TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX event_about ON event (about, seq);
