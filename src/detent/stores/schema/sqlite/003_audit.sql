-- The chain over the audit log; a number is given once, so the chain cannot fork.

CREATE TABLE audit_link (
    number INTEGER PRIMARY KEY NOT NULL,
    body TEXT NOT NULL,
    tag BLOB NOT NULL
) STRICT;
