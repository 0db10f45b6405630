-- Keys in the store, each wrapped under a key-encryption key that is not in it; and what all servers share.

CREATE TABLE wrapped_key (
    purpose text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    use_from bigint,
    kek text NOT NULL,
    wrapped bytea NOT NULL,
    PRIMARY KEY (purpose, id)
);

ALTER TABLE installation ADD COLUMN keys_version bigint NOT NULL DEFAULT 0;
ALTER TABLE installation ADD COLUMN issuer text NOT NULL DEFAULT '';
ALTER TABLE installation ADD COLUMN key_set text NOT NULL DEFAULT '';
