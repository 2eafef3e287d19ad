-- Statistics of flows that have ended: per minute, hour and day, written by the viewer from what is archived.
--
-- A row counts in the period in which its flow began. `buckets` is a whole histogram in one number: twelve decimal
-- digits for each bucket of an exponential histogram of scale 4 (16 buckets per power of two), so that `sum` merges
-- histograms. No row names a user.

CREATE TABLE IF NOT EXISTS {{schema}}.step_statistics (
    seconds    integer     NOT NULL,
    start      timestamptz NOT NULL,
    event_type text        NOT NULL,
    name       text        NOT NULL,
    mcp_server text        NOT NULL,
    tool       text        NOT NULL,
    model      text        NOT NULL,
    outcome    text        NOT NULL,
    count      bigint      NOT NULL,
    timed      bigint      NOT NULL,
    total_ns   numeric     NOT NULL,
    self_ns    numeric     NOT NULL,
    tokens_in  numeric     NOT NULL,
    tokens_out numeric     NOT NULL,
    cost       double precision,
    buckets    numeric     NOT NULL
);
CREATE INDEX IF NOT EXISTS step_statistics_start ON {{schema}}.step_statistics (seconds, start);

CREATE TABLE IF NOT EXISTS {{schema}}.flow_statistics (
    seconds    integer     NOT NULL,
    start      timestamptz NOT NULL,
    dimension  text        NOT NULL,
    value      text        NOT NULL,
    outcome    text        NOT NULL,
    count      bigint      NOT NULL,
    timed      bigint      NOT NULL,
    total_ns   numeric     NOT NULL,
    self_ns    numeric     NOT NULL,
    tokens_in  numeric     NOT NULL,
    tokens_out numeric     NOT NULL,
    cost       double precision,
    buckets    numeric     NOT NULL
);
CREATE INDEX IF NOT EXISTS flow_statistics_start ON {{schema}}.flow_statistics (seconds, start);

COMMENT ON TABLE {{schema}}.step_statistics IS 'Steps per period and kind; whatever was beyond the limit is «(other)»';
COMMENT ON TABLE {{schema}}.flow_statistics IS 'Flows per period, by one thing that they have in common';
COMMENT ON COLUMN {{schema}}.step_statistics.seconds IS 'How long the period is: 60, 3600 or 86400';
COMMENT ON COLUMN {{schema}}.step_statistics.timed IS 'Those whose duration is known, which are in the histogram';

-- Periods whose flows have changed since they were counted. Rows are only added and taken away, so that writers never
-- wait for each other.
CREATE TABLE IF NOT EXISTS {{schema}}.changed_periods (
    start   timestamptz NOT NULL,
    seconds integer     NOT NULL DEFAULT 60
);

COMMENT ON TABLE {{schema}}.changed_periods IS 'Minutes (or hours) whose statistics are to be counted again';

-- In the transaction that stores a flow. A transaction names the same minute once, which costs a flow next to nothing.
CREATE OR REPLACE FUNCTION {{schema}}.mark_changed_period()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    before timestamptz;
    after  timestamptz;
    mark   text;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        before := date_bin('1 minute', OLD.started_at, 'epoch');
    END IF;
    IF TG_OP <> 'DELETE' THEN
        after := date_bin('1 minute', NEW.started_at, 'epoch');
    END IF;
    IF before IS NOT NULL AND before IS DISTINCT FROM after THEN
        INSERT INTO {{schema}}.changed_periods (start) VALUES (before);
    END IF;
    mark := '{{schema_name}} ' || after::text;
    IF after IS NOT NULL AND mark IS DISTINCT FROM current_setting('spanflow.changed_period', true) THEN
        INSERT INTO {{schema}}.changed_periods (start) VALUES (after);
        PERFORM set_config('spanflow.changed_period', mark, true);
    END IF;
    RETURN NULL;
END
$body$;

CREATE OR REPLACE TRIGGER flow_statistics_change
    AFTER INSERT OR UPDATE OR DELETE ON {{schema}}.interaction_flows
    FOR EACH ROW EXECUTE FUNCTION {{schema}}.mark_changed_period();

-- Statistics go with the flows that they count; minutes are kept for three days, hours and days as long as flows.
CREATE OR REPLACE FUNCTION {{schema}}.expire_statistics(batch integer DEFAULT 10000)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    oldest  timestamptz := (SELECT min(lower_key) FROM {{schema}}.flow_partitions());
    minutes timestamptz := date_bin('1 hour', now() - interval '3 days', 'epoch');
    removed bigint;
    total   bigint;
BEGIN
    DELETE FROM {{schema}}.step_statistics WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {{schema}}.step_statistics
        WHERE (seconds = 60 AND start < minutes)
           OR (seconds IN (60, 3600, 86400) AND start < oldest - make_interval(secs => seconds))
        LIMIT greatest(batch, 1)
    ));
    GET DIAGNOSTICS total = ROW_COUNT;
    DELETE FROM {{schema}}.flow_statistics WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {{schema}}.flow_statistics
        WHERE (seconds = 60 AND start < minutes)
           OR (seconds IN (60, 3600, 86400) AND start < oldest - make_interval(secs => seconds))
        LIMIT greatest(batch, 1)
    ));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN total + removed;
END
$body$;

COMMENT ON FUNCTION {{schema}}.expire_statistics(integer) IS
    'Delete minutes older than three days and statistics of flows that have gone, so many at once, until it answers 0';

REVOKE ALL ON FUNCTION {{schema}}.expire_statistics(integer), {{schema}}.mark_changed_period() FROM PUBLIC;

-- What is stored already is counted hour by hour.
INSERT INTO {{schema}}.changed_periods (start, seconds)
SELECT hour, 3600
FROM (SELECT min(start_key) AS oldest, max(start_key) AS newest FROM {{schema}}.interaction_flows) AS edges,
     generate_series(date_bin('1 hour', oldest, 'epoch') - interval '1 hour', newest + interval '1 hour', '1 hour') AS hour
UNION
SELECT DISTINCT date_bin('1 hour', started_at, 'epoch'), 3600
FROM {{schema}}.interaction_flows
WHERE start_key - started_at > interval '5 minutes' OR started_at - start_key > interval '5 minutes'
   OR coalesce(ended_at, completed_at, started_at) - started_at > interval '1 hour';

-- Roles that had their rights before: whoever may read flows may read how many there are; the viewer counts them.
DO $rights$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT DISTINCT role.rolname AS name
        FROM pg_class, aclexplode(relacl) AS right_ JOIN pg_roles AS role ON role.oid = right_.grantee
        WHERE pg_class.oid = '{{schema}}.interaction_flows'::regclass AND right_.privilege_type = 'SELECT'
          AND right_.grantee <> relowner
    LOOP
        EXECUTE format('GRANT SELECT ON {{schema}}.step_statistics, {{schema}}.flow_statistics, '
                       '{{schema}}.changed_periods TO %I', given.name);
    END LOOP;
    FOR given IN
        SELECT DISTINCT role.rolname AS name, proname = 'expire_spent_tokens' AS viewer
        FROM pg_proc, aclexplode(proacl) AS right_ JOIN pg_roles AS role ON role.oid = right_.grantee
        WHERE pg_proc.oid IN ('{{schema}}.expire_spent_tokens()'::regprocedure,
                              '{{schema}}.expire_flow_keys(integer)'::regprocedure)
          AND right_.grantee <> proowner
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION {{schema}}.expire_statistics(integer) TO %I', given.name);
        IF given.viewer THEN
            EXECUTE format('GRANT INSERT, DELETE ON {{schema}}.step_statistics, {{schema}}.flow_statistics TO %I',
                           given.name);
            EXECUTE format('GRANT DELETE ON {{schema}}.changed_periods TO %I', given.name);
        END IF;
    END LOOP;
END
$rights$;
