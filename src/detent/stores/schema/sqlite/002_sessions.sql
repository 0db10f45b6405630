-- Sessions (columns beside `body`: what is compared, and what a use changes), what people allowed, and which families end with their session. Nothing that a use changes is indexed.

CREATE TABLE session (
    placement INTEGER NOT NULL,
    sid TEXT NOT NULL,
    subject TEXT NOT NULL,
    version INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    idle_until INTEGER NOT NULL,
    absolute_until INTEGER NOT NULL,
    ended_by TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (placement, sid)
) STRICT;
CREATE INDEX session_of_subject ON session (placement, subject);
CREATE INDEX session_by_end ON session (absolute_until);

CREATE TABLE consent (
    placement INTEGER NOT NULL,
    subject TEXT NOT NULL,
    client_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (placement, subject, client_id)
) STRICT, WITHOUT ROWID;

ALTER TABLE family ADD COLUMN ends_with_session INTEGER NOT NULL DEFAULT 0;
