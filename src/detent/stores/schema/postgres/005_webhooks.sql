-- Where events are sent, and how far each has come.

CREATE TABLE webhook (
    id text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    body text NOT NULL
) WITH (fillfactor = 70);
