-- Where events are sent, and how far each has come.

CREATE TABLE webhook (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
