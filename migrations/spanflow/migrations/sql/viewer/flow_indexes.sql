-- Indexes of flows for searching: by duration, tokens, cost, source and gate, and for time ranges.
--
-- They are made on the partitioned table alone, which takes no time, and on partitions that are empty. Those of
-- partitions with rows are built afterwards without holding up anybody who writes (`spanflow migrate` does it, and so
-- do the last lines of its SQL script); until then searching is slower, and right.

CREATE INDEX IF NOT EXISTS interaction_flows_duration
    ON ONLY {{schema}}.interaction_flows (coalesce(duration_ms, -1) DESC, start_key DESC, flow_id DESC);
CREATE INDEX IF NOT EXISTS interaction_flows_tokens
    ON ONLY {{schema}}.interaction_flows ((tokens_in + tokens_out) DESC, start_key DESC, flow_id DESC);
CREATE INDEX IF NOT EXISTS interaction_flows_cost
    ON ONLY {{schema}}.interaction_flows (coalesce(cost, -1) DESC, start_key DESC, flow_id DESC);
CREATE INDEX IF NOT EXISTS interaction_flows_source
    ON ONLY {{schema}}.interaction_flows (source, start_key DESC, flow_id DESC);
CREATE INDEX IF NOT EXISTS interaction_flows_gate
    ON ONLY {{schema}}.interaction_flows (gate, start_key DESC, flow_id DESC) WHERE gate IS NOT NULL;
-- Lists are in the order of `start_key`. Nearly every flow begins within minutes of its key and lasts less than an
-- hour, so a time range is a range of keys; the few others have this index to themselves.
CREATE INDEX IF NOT EXISTS interaction_flows_outliers
    ON ONLY {{schema}}.interaction_flows
       (start_key DESC, flow_id DESC, started_at, coalesce(ended_at, completed_at, started_at))
    WHERE start_key - started_at > interval '5 minutes' OR started_at - start_key > interval '5 minutes'
       OR coalesce(ended_at, completed_at, started_at) - started_at > interval '1 hour';

CREATE OR REPLACE FUNCTION {{schema}}.missing_flow_indexes()
RETURNS TABLE (parent text, partition text, index text, definition text, state text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT parent.relname::text, part.relname::text, planned.name,
           format('%I ON %I.%I %s', planned.name, '{{schema_name}}', part.relname,
                  substr(pg_get_indexdef(parent.oid), strpos(pg_get_indexdef(parent.oid), ' USING ') + 1)),
           CASE known.indisvalid WHEN true THEN 'built' WHEN false THEN 'broken' ELSE 'missing' END
    FROM pg_index
    JOIN pg_class AS parent ON parent.oid = pg_index.indexrelid AND parent.relkind = 'I'
    JOIN pg_inherits AS attached ON attached.inhparent = pg_index.indrelid
    JOIN pg_class AS part ON part.oid = attached.inhrelid AND part.relkind = 'r'
    CROSS JOIN LATERAL (
        SELECT parent.relname || substr(part.relname, length('interaction_flows') + 1) AS name
    ) AS planned
    LEFT JOIN pg_class AS there ON there.relname = planned.name AND there.relnamespace = parent.relnamespace
    LEFT JOIN pg_index AS known ON known.indexrelid = there.oid
    WHERE pg_index.indrelid = '{{schema}}.interaction_flows'::regclass AND NOT pg_index.indisvalid
      AND NOT EXISTS (
          SELECT FROM pg_inherits AS child JOIN pg_index AS own ON own.indexrelid = child.inhrelid
          WHERE child.inhparent = parent.oid AND own.indrelid = part.oid
      )
    ORDER BY part.relname DESC, parent.relname
$body$;

COMMENT ON FUNCTION {{schema}}.missing_flow_indexes() IS
    'Indexes of interaction_flows that partitions do not have yet: CREATE INDEX CONCURRENTLY <definition>, then attach';

DO $empty$
DECLARE
    missing record;
    filled  boolean;
BEGIN
    FOR missing IN SELECT * FROM {{schema}}.missing_flow_indexes() LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM {{schema}}.%I)', missing.partition) INTO filled;
        IF NOT filled THEN
            EXECUTE 'CREATE INDEX ' || missing.definition;
            EXECUTE format('ALTER INDEX {{schema}}.%I ATTACH PARTITION {{schema}}.%I', missing.parent, missing.index);
        END IF;
    END LOOP;
END
$empty$;
