-- Each family that lives and whose row is still the version before; the numbers of those that were, from 1. Rows are
-- locked in the order in which they are given. New is that an end is final: a version that was lost with a primary can
-- come again with another meaning.
CREATE OR REPLACE FUNCTION families_replaced(families json) RETURNS SETOF integer
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
        WHERE placement = turned.placement AND id = turned.id AND version = turned.version - 1
            AND status = 'live';
        IF FOUND THEN
            RETURN NEXT asked;
        END IF;
    END LOOP;
END $$;
