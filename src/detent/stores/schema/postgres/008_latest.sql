-- The latest time that a server on this store decided by: where its clock must go on.

ALTER TABLE installation ADD COLUMN latest bigint NOT NULL DEFAULT 0;
