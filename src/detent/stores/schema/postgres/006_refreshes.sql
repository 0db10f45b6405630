-- How many ordinary refreshes a family has seen: counted in the update that each of them is.

ALTER TABLE family ADD COLUMN refreshes bigint NOT NULL DEFAULT 0;
