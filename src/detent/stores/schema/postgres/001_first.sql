-- The first schema (PostgreSQL dialect); what the columns mean stands in the SQLite one. Every table that a request
-- of one person touches is in parts by placement. Nothing that a refresh changes is indexed and pages keep room, so
-- that each is a heap-only update.

CREATE TABLE installation (
    only_row integer PRIMARY KEY CHECK (only_row = 1),
    store_id text NOT NULL,
    restore_epoch bigint NOT NULL,
    server_epoch bigint NOT NULL,
    registrations bigint NOT NULL -- rises with each change of a client or API, so that other nodes notice
);
INSERT INTO installation VALUES (1, replace(gen_random_uuid()::text, '-', ''), 0, 0, 0);

CREATE TABLE client (
    client_id text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    body text NOT NULL
);

CREATE TABLE api (
    identifier text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    body text NOT NULL
);

CREATE TABLE person (
    subject text COLLATE "C" PRIMARY KEY,
    username_key text COLLATE "C" NOT NULL UNIQUE,
    epoch bigint NOT NULL,
    version bigint NOT NULL,
    body text NOT NULL
);

CREATE TABLE cutoff (
    placement integer NOT NULL,
    subject text COLLATE "C" NOT NULL,
    epoch bigint NOT NULL,
    PRIMARY KEY (placement, subject)
) PARTITION BY HASH (placement);

CREATE TABLE family (
    placement integer NOT NULL,
    id bytea NOT NULL,
    subject text COLLATE "C" NOT NULL,
    client_id text COLLATE "C" NOT NULL,
    session_id text COLLATE "C",
    absolute_until bigint NOT NULL,
    seed bytea NOT NULL,
    body text NOT NULL,
    version bigint NOT NULL,
    status text NOT NULL,
    ended_by text NOT NULL,
    suspected smallint NOT NULL,
    generation bigint NOT NULL,
    epoch bigint NOT NULL,
    parent bigint,
    parent_epoch bigint NOT NULL,
    handle_key bigint NOT NULL,
    rotated_at bigint,
    idle_until bigint NOT NULL,
    retry_key bytea,
    tolerated bigint NOT NULL,
    repeated smallint NOT NULL,
    agent bytea NOT NULL,
    network text NOT NULL,
    last_used_at bigint NOT NULL,
    history text NOT NULL,
    PRIMARY KEY (placement, id)
) PARTITION BY HASH (placement);
CREATE INDEX family_of_subject ON family (placement, subject, client_id);
CREATE INDEX family_of_client ON family (client_id, placement, id);
CREATE INDEX family_of_session ON family (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX family_by_end ON family (absolute_until);

CREATE TABLE record (
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    expires_at bigint NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (kind, key)
) WITH (fillfactor = 70);
CREATE INDEX record_by_end ON record (expires_at);

CREATE TABLE event (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    name text NOT NULL,
    about text COLLATE "C" NOT NULL,
    body text NOT NULL,
    written_by xid8 NOT NULL DEFAULT pg_current_xact_id() -- order of commit, which `seq` is not
);
CREATE INDEX event_in_order ON event (written_by, seq);
CREATE INDEX event_about ON event (about, seq);
