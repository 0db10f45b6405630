-- Sessions and what people allowed; then the parts of everything that has a placement.

CREATE TABLE session (
    placement integer NOT NULL,
    sid text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    last_used_at bigint NOT NULL,
    idle_until bigint NOT NULL,
    absolute_until bigint NOT NULL,
    ended_by text NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (placement, sid)
) PARTITION BY HASH (placement);
CREATE INDEX session_of_subject ON session (placement, subject);
CREATE INDEX session_by_end ON session (absolute_until);

CREATE TABLE consent (
    placement integer NOT NULL,
    subject text COLLATE "C" NOT NULL,
    client_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (placement, subject, client_id)
) PARTITION BY HASH (placement);

ALTER TABLE family ADD COLUMN ends_with_session smallint NOT NULL DEFAULT 0;

DO $$
DECLARE whole text;
BEGIN
    FOREACH whole IN ARRAY ARRAY['cutoff', 'family', 'session', 'consent'] LOOP
        FOR part IN 0..15 LOOP
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS 16, REMAINDER %s) WITH (fillfactor = 70)',
                whole || '_' || part, whole, part
            );
        END LOOP;
    END LOOP;
END $$;
