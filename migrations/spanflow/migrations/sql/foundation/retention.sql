-- What may go, and when. Every function can only say what it would do, and none keeps less than a day.

CREATE OR REPLACE FUNCTION {{schema}}.drop_flow_partitions(keep_days integer, dry_run boolean DEFAULT false)
RETURNS TABLE (name text, lower_key timestamptz, upper_key timestamptz, estimated_rows bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Dropping needs every reader to be done for a moment. Better to try again later than to queue everybody behind us.
SET lock_timeout = '3s'
AS $body$
#variable_conflict use_column
DECLARE
    adopted record;
    part    record;
BEGIN
    IF keep_days < 1 THEN
        RAISE EXCEPTION 'flows are kept for one day at least, not %', keep_days;
    END IF;
    IF NOT dry_run THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('spanflow partitions {{schema_name}}', 0));
    END IF;
    SELECT adopted_at, keep_until INTO adopted FROM {{schema}}.adoptions WHERE table_name = 'interaction_flows';
    FOR part IN
        SELECT known.name, known.lower_key, known.upper_key, greatest(reltuples, 0)::bigint AS estimated_rows
        FROM {{schema}}.flow_partitions() AS known
        JOIN pg_class ON relname = known.name AND relnamespace = '{{schema}}'::regnamespace
        WHERE known.upper_key <= now() - make_interval(days => keep_days)
          -- What was there before Spanflow came is kept for some time from then, however old it is.
          AND (adopted.adopted_at IS NULL OR known.lower_key >= adopted.adopted_at OR adopted.keep_until <= now())
    LOOP
        IF NOT dry_run THEN
            EXECUTE format('DROP TABLE {{schema}}.%I', part.name);
        END IF;
        RETURN QUERY SELECT part.name, part.lower_key, part.upper_key, part.estimated_rows;
    END LOOP;
END
$body$;

COMMENT ON FUNCTION {{schema}}.drop_flow_partitions(integer, boolean) IS
    'Drop the partitions of flows whose last day is older than so many days';

-- Keys of flows whose partition is gone. In batches, so that no lock is held for long.
CREATE OR REPLACE FUNCTION {{schema}}.expire_flow_keys(batch integer DEFAULT 10000)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    removed bigint;
BEGIN
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

CREATE OR REPLACE FUNCTION {{schema}}.expire_activities(
    keep_days integer, batch integer DEFAULT 10000, dry_run boolean DEFAULT false
)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    adopted record;
    since   timestamptz := '-infinity';
    removed bigint;
BEGIN
    IF keep_days < 1 THEN
        RAISE EXCEPTION 'activities are kept for one day at least, not %', keep_days;
    END IF;
    SELECT adopted_at, keep_until INTO adopted FROM {{schema}}.adoptions WHERE table_name = 'user_activities';
    IF adopted.keep_until > now() THEN
        since := adopted.adopted_at;
    END IF;
    IF dry_run THEN
        SELECT count(*) INTO removed FROM {{schema}}.user_activities
        WHERE created_at >= since AND created_at < now() - make_interval(days => keep_days);
        RETURN removed;
    END IF;
    DELETE FROM {{schema}}.user_activities
    WHERE activity_id IN (
        SELECT activity_id FROM {{schema}}.user_activities
        WHERE created_at >= since AND created_at < now() - make_interval(days => keep_days)
        ORDER BY created_at LIMIT greatest(batch, 1) FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$body$;

COMMENT ON FUNCTION {{schema}}.expire_activities(integer, integer, boolean) IS
    'Delete activities older than so many days, so many at once; call it until it answers 0';

CREATE OR REPLACE FUNCTION {{schema}}.expire_poison_records(keep_days integer, dry_run boolean DEFAULT false)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    removed bigint;
BEGIN
    IF keep_days < 1 THEN
        RAISE EXCEPTION 'records are kept for one day at least, not %', keep_days;
    END IF;
    IF dry_run THEN
        SELECT count(*) INTO removed FROM {{schema}}.poison_records WHERE at < now() - make_interval(days => keep_days);
        RETURN removed;
    END IF;
    DELETE FROM {{schema}}.poison_records WHERE at < now() - make_interval(days => keep_days);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$body$;

-- A function can be called by everybody unless this is said. Whom to grant it to: docs/database.md.
REVOKE ALL ON FUNCTION
    {{schema}}.ensure_flow_partitions(integer),
    {{schema}}.drop_flow_partitions(integer, boolean),
    {{schema}}.expire_flow_keys(integer),
    {{schema}}.expire_activities(integer, integer, boolean),
    {{schema}}.expire_poison_records(integer, boolean)
FROM PUBLIC;
