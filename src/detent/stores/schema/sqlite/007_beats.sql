-- How often a server has said that it lives on this store: what a copy of it from the past has fewer of.

ALTER TABLE installation ADD COLUMN beats INTEGER NOT NULL DEFAULT 0;
