-- Where a store is gone, so that it is not served beside its successor; empty for one that is at home.

ALTER TABLE installation ADD COLUMN moved text NOT NULL DEFAULT '';
