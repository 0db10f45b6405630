-- What the list of ended authorizations compares: a number of its own for each of them, the cut-offs that it was born
-- under, and those of its client. Nothing that a refresh changes is indexed.

ALTER TABLE family ADD COLUMN number INTEGER;
ALTER TABLE family ADD COLUMN user_epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE family ADD COLUMN client_epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE family ADD COLUMN server_epoch INTEGER NOT NULL DEFAULT 0;
CREATE INDEX family_by_number ON family (number) WHERE number IS NOT NULL;

ALTER TABLE client ADD COLUMN enabled INTEGER NOT NULL DEFAULT 1;
ALTER TABLE client ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
UPDATE client SET enabled = coalesce(body ->> '$.enabled', 1), epoch = coalesce(body ->> '$.epoch', 0);
