-- The steps of an erasure. Each is a transaction of its own that counts what it removes, so that one that was cut off
-- goes on where it ended, and its receipt is of all of it. They are for a role of their own: the viewer's deletes nothing.

CREATE OR REPLACE FUNCTION {{schema}}.begin_erasure(who text)
RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Writers that come meanwhile wait behind us.
SET lock_timeout = '3s'
AS $body$
DECLARE
    until timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('spanflow erasures {{schema_name}}', 0));
    INSERT INTO {{schema}}.erasures AS known (user_id, erased_until, begun_at)
    VALUES (who, clock_timestamp(), clock_timestamp())
    ON CONFLICT (user_id) DO UPDATE SET
        erased_until = greatest(known.erased_until, excluded.erased_until),
        begun_at     = CASE WHEN known.finished_at IS NULL THEN known.begun_at ELSE excluded.begun_at END,
        erased       = CASE WHEN known.finished_at IS NULL THEN known.erased ELSE '{}' END,
        finished_at  = NULL
    RETURNING known.erased_until INTO until;
    RETURN until;
END
$body$;

COMMENT ON FUNCTION {{schema}}.begin_erasure(text) IS
    'Refuse from now on what a user did until now, or go on with an erasure that was cut off';

-- The newest first: what Redis may still hold is among these.
CREATE OR REPLACE FUNCTION {{schema}}.flows_to_erase(who text, most integer)
RETURNS TABLE (flow_id text, session_id text, conversation_id text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT flow.flow_id, flow.session_id, flow.conversation_id
    FROM {{schema}}.interaction_flows AS flow
    JOIN {{schema}}.erasures AS erasure ON erasure.user_id = flow.user_id
    WHERE flow.user_id = who AND flow.started_at <= erasure.erased_until
    ORDER BY flow.start_key DESC, flow.flow_id DESC LIMIT most
$body$;

CREATE OR REPLACE FUNCTION {{schema}}.count_erased(who text, what text, added bigint)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $body$
    UPDATE {{schema}}.erasures
    SET erased = erased || jsonb_build_object(what, coalesce((erased ->> what)::bigint, 0) + added)
    WHERE user_id = who AND added > 0
$body$;

CREATE OR REPLACE FUNCTION {{schema}}.erase_activities(who text, wanted text[])
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    talks   text[];
    removed bigint;
BEGIN
    SELECT array_agg(DISTINCT conversation_id) INTO talks
    FROM {{schema}}.user_activities WHERE activity_id = ANY (wanted) AND conversation_id IS NOT NULL;
    DELETE FROM {{schema}}.user_activities WHERE activity_id = ANY (wanted);
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM {{schema}}.count_erased(who, 'activities', removed);
    -- The triggers of the table count them anew; of some nothing is left.
    PERFORM {{schema}}.count_erased(who, 'conversations', (
        SELECT count(*) FROM unnest(talks) AS talk
        WHERE NOT EXISTS (SELECT FROM {{schema}}.conversations WHERE conversation_id = talk)
    ));
    RETURN removed;
END
$body$;

CREATE OR REPLACE FUNCTION {{schema}}.erase_flows(who text, wanted text[], still_running boolean)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    removed bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM {{schema}}.erasures WHERE user_id = who AND finished_at IS NULL) THEN
        RAISE EXCEPTION 'no erasure of this user has begun';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('spanflow erasures {{schema_name}}', 0));
    -- Ids may repeat over users: somebody else's flow is neither removed nor refused.
    wanted := ARRAY(
        SELECT id FROM unnest(wanted) AS id
        WHERE NOT EXISTS (
            SELECT FROM {{schema}}.flow_keys AS known
            JOIN {{schema}}.interaction_flows AS flow ON flow.start_key = known.start_key AND flow.flow_id = known.flow_id
            WHERE known.flow_id = id AND flow.user_id <> who
        )
    );
    INSERT INTO {{schema}}.erased_flows AS known (flow_id, running) SELECT id, still_running FROM unnest(wanted) AS id
    ON CONFLICT (flow_id) DO UPDATE SET running = true WHERE excluded.running AND NOT known.running;
    DELETE FROM {{schema}}.interaction_flows AS flow USING {{schema}}.flow_keys AS known
    WHERE known.flow_id = ANY (wanted) AND flow.start_key = known.start_key AND flow.flow_id = known.flow_id
      AND (flow.user_id = who OR flow.user_id IS NULL);
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM {{schema}}.count_erased(who, 'flows', removed);
    PERFORM {{schema}}.erase_activities(who, ARRAY(
        SELECT activity_id FROM {{schema}}.user_activities
        WHERE flow_id = ANY (wanted) AND (user_id = who OR user_id IS NULL)
    ));
    DELETE FROM {{schema}}.poison_records WHERE flow_id = ANY (wanted) AND (user_id = who OR user_id IS NULL);
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM {{schema}}.count_erased(who, 'records', removed);
END
$body$;

-- What is left of somebody without their flows; gives how many rows that were, 0 when there are no more.
CREATE OR REPLACE FUNCTION {{schema}}.erase_rest(who text, batch integer)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    until   timestamptz;
    removed bigint;
    total   bigint;
BEGIN
    SELECT erased_until INTO until FROM {{schema}}.erasures WHERE user_id = who AND finished_at IS NULL;
    IF until IS NULL THEN
        RAISE EXCEPTION 'no erasure of this user has begun';
    END IF;
    total := {{schema}}.erase_activities(who, ARRAY(
        SELECT activity_id FROM {{schema}}.user_activities
        WHERE user_id = who AND created_at <= until ORDER BY created_at LIMIT batch
    ));
    DELETE FROM {{schema}}.poison_records WHERE user_id = who;
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM {{schema}}.count_erased(who, 'records', removed);
    total := total + removed;
    DELETE FROM {{schema}}.user_directory WHERE user_id = who AND last_seen <= until;
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM {{schema}}.count_erased(who, 'directory', removed);
    total := total + removed;
    DELETE FROM {{schema}}.omni2_config WHERE config_key = 'monitor_user_' || who;
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM {{schema}}.count_erased(who, 'watches', removed);
    RETURN total + removed;
END
$body$;

CREATE OR REPLACE FUNCTION {{schema}}.finish_erasure(who text)
RETURNS TABLE (begun_at timestamptz, finished_at timestamptz, erased_until timestamptz, erased jsonb)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
    UPDATE {{schema}}.erasures AS erasure SET finished_at = clock_timestamp() WHERE erasure.user_id = who
    RETURNING erasure.begun_at, erasure.finished_at, erasure.erased_until, erasure.erased
$body$;

-- Longer than any spool waits: what has been erased is refused for 400 days.
CREATE OR REPLACE FUNCTION {{schema}}.expire_flow_keys(batch integer DEFAULT 10000)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    removed bigint;
BEGIN
    DELETE FROM {{schema}}.erased_flows
    WHERE flow_id IN (
        SELECT flow_id FROM {{schema}}.erased_flows
        WHERE erased_at < now() - interval '400 days'
        LIMIT greatest(batch, 1) FOR UPDATE SKIP LOCKED
    );
    DELETE FROM {{schema}}.flow_keys
    WHERE flow_id IN (
        SELECT flow_id FROM {{schema}}.flow_keys
        WHERE start_key < (SELECT min(lower_key) FROM {{schema}}.flow_partitions())
        LIMIT greatest(batch, 1) FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$body$;

REVOKE ALL ON FUNCTION
    {{schema}}.begin_erasure(text), {{schema}}.flows_to_erase(text, integer), {{schema}}.erase_activities(text, text[]),
    {{schema}}.erase_flows(text, text[], boolean), {{schema}}.erase_rest(text, integer),
    {{schema}}.finish_erasure(text), {{schema}}.count_erased(text, text, bigint),
    {{schema}}.refuse_erased_flow(), {{schema}}.remove_erased_flow(), {{schema}}.refuse_erased_activity(),
    {{schema}}.refuse_erased_user(), {{schema}}.refuse_erased_record()
FROM PUBLIC;

-- Roles that had the viewer's rights before.
DO $rights$
DECLARE
    viewer record;
BEGIN
    FOR viewer IN
        SELECT DISTINCT role.rolname AS name
        FROM pg_proc, aclexplode(proacl) AS given JOIN pg_roles AS role ON role.oid = given.grantee
        WHERE pg_proc.oid = '{{schema}}.expire_spent_tokens()'::regprocedure AND given.grantee <> proowner
    LOOP
        EXECUTE format('GRANT SELECT ON {{schema}}.erasures, {{schema}}.erased_flows TO %I', viewer.name);
    END LOOP;
END
$rights$;
