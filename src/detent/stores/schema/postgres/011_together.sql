-- What many requests ask for at once, in one statement: a server plans and commits once for all of them
-- (docs/decisions/0040). The plan is kept, and made for any placement: it finds the one part of each table as it runs.

-- Families by placement and id; `asked` is the number of the pair, from 1, and those that are not there are left out.
CREATE FUNCTION families_found(placements integer[], ids bytea[]) RETURNS TABLE (
    asked integer,
    body text, absolute_until bigint, version bigint, status text, ended_by text, suspected smallint,
    generation bigint, epoch bigint, parent bigint, parent_epoch bigint, handle_key bigint, rotated_at bigint,
    idle_until bigint, retry_key bytea, tolerated bigint, repeated smallint, refreshes bigint, agent bytea,
    network text, last_used_at bigint, history text, seed bytea,
    now_user_epoch bigint, session_last_used_at bigint, session_idle_until bigint, session_absolute_until bigint,
    session_ended_by text
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT a.number::integer, f.*
    FROM unnest(placements, ids) WITH ORDINALITY AS a(placement, id, number), LATERAL (
        SELECT
            f.body, f.absolute_until, f.version, f.status, f.ended_by, f.suspected, f.generation, f.epoch, f.parent,
            f.parent_epoch, f.handle_key, f.rotated_at, f.idle_until, f.retry_key, f.tolerated, f.repeated,
            f.refreshes, f.agent, f.network, f.last_used_at, f.history, f.seed,
            coalesce(c.epoch, 0), s.last_used_at, s.idle_until, s.absolute_until, s.ended_by
        FROM family f
        LEFT JOIN cutoff c ON c.placement = a.placement AND c.subject = f.subject
        LEFT JOIN session s ON s.placement = a.placement AND s.sid = f.session_id
        WHERE f.placement = a.placement AND f.id = a.id
        OFFSET 0 -- one family at a time, never a join of whole tables
    ) AS f;
END $$;

-- Each family whose row is still the version before; the numbers of those that were, from 1. Rows are locked in the
-- order in which they are given.
CREATE FUNCTION families_replaced(families json) RETURNS SETOF integer
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    turned family;
    asked integer := 0;
BEGIN
    FOR turned IN SELECT * FROM json_populate_recordset(NULL::family, families) LOOP
        asked := asked + 1;
        UPDATE family SET
            version = turned.version, status = turned.status, ended_by = turned.ended_by,
            suspected = turned.suspected, generation = turned.generation, epoch = turned.epoch,
            parent = turned.parent, parent_epoch = turned.parent_epoch, handle_key = turned.handle_key,
            rotated_at = turned.rotated_at, idle_until = turned.idle_until, retry_key = turned.retry_key,
            tolerated = turned.tolerated, repeated = turned.repeated, refreshes = turned.refreshes,
            agent = turned.agent, network = turned.network, last_used_at = turned.last_used_at,
            history = turned.history
        WHERE placement = turned.placement AND id = turned.id AND version = turned.version - 1;
        IF FOUND THEN
            RETURN NEXT asked;
        END IF;
    END LOOP;
END $$;
