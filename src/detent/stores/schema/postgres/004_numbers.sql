-- What the list of ended authorizations compares: a number of its own for each of them, the cut-offs that it was born
-- under, and those of its client. Nothing that a refresh changes is indexed.

ALTER TABLE family
    ADD COLUMN number bigint,
    ADD COLUMN user_epoch bigint NOT NULL DEFAULT 0,
    ADD COLUMN client_epoch bigint NOT NULL DEFAULT 0,
    ADD COLUMN server_epoch bigint NOT NULL DEFAULT 0;
CREATE INDEX family_by_number ON family (number) WHERE number IS NOT NULL;

ALTER TABLE client
    ADD COLUMN enabled smallint NOT NULL DEFAULT 1,
    ADD COLUMN epoch bigint NOT NULL DEFAULT 0;
UPDATE client SET
    enabled = coalesce((body::jsonb ->> 'enabled')::boolean, true)::integer,
    epoch = coalesce((body::jsonb ->> 'epoch')::bigint, 0);
