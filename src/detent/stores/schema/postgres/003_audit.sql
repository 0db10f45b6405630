-- The chain over the audit log; a number is given once, so the chain cannot fork.

CREATE TABLE audit_link (
    number bigint PRIMARY KEY,
    body text NOT NULL,
    tag bytea NOT NULL
);
