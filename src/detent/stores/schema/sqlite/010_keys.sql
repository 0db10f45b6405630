-- Keys in the store, each wrapped under a key-encryption key that is not in it; and what all servers share.

CREATE TABLE wrapped_key (
    purpose TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    use_from INTEGER,
    kek TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (purpose, id)
) STRICT;

ALTER TABLE installation ADD COLUMN keys_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE installation ADD COLUMN issuer TEXT NOT NULL DEFAULT '';
ALTER TABLE installation ADD COLUMN key_set TEXT NOT NULL DEFAULT '';
