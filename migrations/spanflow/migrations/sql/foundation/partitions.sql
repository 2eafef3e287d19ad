-- Weekly partitions: Monday to Monday, UTC. Their names carry their bounds:
--   interaction_flows_w20260105        from that Monday for a week
--   interaction_flows_legacy_20260105  everything before that Monday that was there before Spanflow
-- There is no DEFAULT partition: it would make creating the real one fail once it holds a row of that week.
--
-- The functions that change tables run with their owner's rights, so that a gateway's role needs no DDL rights.

CREATE OR REPLACE FUNCTION {{schema}}.flow_partitions()
RETURNS TABLE (name text, lower_key timestamptz, upper_key timestamptz, weekly boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT part.name,
           CASE WHEN part.weekly THEN part.monday ELSE '-infinity' END,
           CASE WHEN part.weekly THEN part.monday + interval '7 days' ELSE part.monday END,
           part.weekly
    FROM (
        SELECT child.relname::text AS name,
               to_date(right(child.relname::text, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' AS monday,
               child.relname ~ '^interaction_flows_w' AS weekly
        FROM pg_inherits
        JOIN pg_class AS child ON child.oid = inhrelid
        WHERE inhparent = '{{schema}}.interaction_flows'::regclass
          AND child.relname ~ '^interaction_flows_(w|legacy_)[0-9]{8}$'
        OFFSET 0  -- keeps to_date from seeing other names
    ) AS part
    ORDER BY part.monday, part.weekly
$body$;

COMMENT ON FUNCTION {{schema}}.flow_partitions() IS 'The partitions of interaction_flows with their bounds';

CREATE OR REPLACE FUNCTION {{schema}}.ensure_flow_partitions(weeks_ahead integer DEFAULT 4)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s'
SET timezone = 'UTC'
AS $body$
DECLARE
    this_week  timestamptz := date_trunc('week', now());
    first_week timestamptz;
    last_week  timestamptz := date_trunc('week', now()) + least(greatest(weeks_ahead, 1), 52) * interval '7 days';
    newest     timestamptz;
    week       timestamptz;
    partition  text;
    made       integer := 0;
BEGIN
    SELECT max(upper_key) INTO newest FROM {{schema}}.flow_partitions() WHERE weekly;
    IF newest > last_week THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('spanflow partitions {{schema_name}}', 0));
    SELECT max(upper_key) INTO newest FROM {{schema}}.flow_partitions();
    -- Last week too: what waited in a spool over the weekend keeps its place. After a long stop half a year is
    -- filled in at most; older flows go to the oldest week.
    first_week := CASE WHEN newest IS NULL THEN this_week - interval '7 days'
                       ELSE greatest(newest, this_week - interval '182 days') END;
    FOR week IN SELECT generate_series(first_week, last_week, interval '7 days') LOOP
        partition := 'interaction_flows_w' || to_char(week, 'YYYYMMDD');
        -- Made apart and attached: unlike CREATE … PARTITION OF this does not stop readers and writers.
        EXECUTE format('CREATE TABLE {{schema}}.%I (LIKE {{schema}}.interaction_flows INCLUDING ALL)', partition);
        EXECUTE format(
            'ALTER TABLE {{schema}}.interaction_flows ATTACH PARTITION {{schema}}.%I FOR VALUES FROM (%L) TO (%L)',
            partition, week, week + interval '7 days'
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$body$;

COMMENT ON FUNCTION {{schema}}.ensure_flow_partitions(integer) IS
    'Make the weekly partitions up to so many weeks from now; does nothing when they are there';

CREATE OR REPLACE FUNCTION {{schema}}.claim_flow_keys(flow_ids text[], started timestamptz[])
RETURNS TABLE (flow_id text, start_key timestamptz, fresh boolean)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
DECLARE
    lowers timestamptz[];
    uppers timestamptz[];
    oldest timestamptz;
BEGIN
    PERFORM {{schema}}.ensure_flow_partitions(1);
    SELECT array_agg(lower_key) FILTER (WHERE weekly), array_agg(upper_key) FILTER (WHERE weekly), min(lower_key)
      INTO lowers, uppers, oldest
      FROM {{schema}}.flow_partitions();
    -- The update matters for keys whose partition has been dropped. It also locks every key, in one order for
    -- everybody: whoever archives another part of the same flow waits here.
    INSERT INTO {{schema}}.flow_keys AS known (flow_id, start_key)
    SELECT DISTINCT ON (wanted.flow_id)
           wanted.flow_id,
           least(greatest(wanted.started, week.lower_key), week.upper_key - interval '1 microsecond')
    FROM unnest(flow_ids, started) AS wanted (flow_id, started)
    CROSS JOIN LATERAL (
        SELECT part.lower_key, part.upper_key
        FROM unnest(lowers, uppers) AS part (lower_key, upper_key)
        ORDER BY part.lower_key <= wanted.started DESC,
                 CASE WHEN part.lower_key <= wanted.started THEN part.lower_key END DESC,
                 part.lower_key
        LIMIT 1
    ) AS week
    ORDER BY wanted.flow_id, wanted.started
    ON CONFLICT (flow_id) DO UPDATE SET start_key = excluded.start_key WHERE known.start_key < oldest;
    -- Fresh: written by this very transaction, so that no row of the flow can be there yet.
    RETURN QUERY
    SELECT known.flow_id, known.start_key, known.xmin = pg_current_xact_id()::xid
    FROM {{schema}}.flow_keys AS known WHERE known.flow_id = ANY (flow_ids);
END
$body$;

COMMENT ON FUNCTION {{schema}}.claim_flow_keys(text[], timestamptz[]) IS
    'Fix the partition key of flows, once, clamped to partitions that exist; gives the key of each and locks it';
