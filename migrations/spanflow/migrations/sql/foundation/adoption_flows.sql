-- Copy the rows of an old interaction_flows table, whatever types its columns have, and fill the summary columns
-- from the stored events.

DO $adopt$
DECLARE
    old_table  regclass := to_regclass('{{schema}}.interaction_flows_before_spanflow');
    first_week timestamptz := date_trunc('week', now()) - interval '7 days';
    last_key   timestamptz;
    adopted    bigint := 0;
    mapped     text[] := ARRAY['session_id', 'user_id', 'conversation_id', 'source', 'flow_data', 'created_at',
                               'completed_at'];
BEGIN
    IF old_table IS NULL OR EXISTS (SELECT FROM {{schema}}.adoptions WHERE table_name = 'interaction_flows') THEN
        PERFORM {{schema}}.ensure_flow_partitions();
        RETURN;
    END IF;

    -- All that is older than the first week shares one partition, which goes when `keep_until` has passed.
    EXECUTE format('CREATE TABLE {{schema}}.%I PARTITION OF {{schema}}.interaction_flows '
                   'FOR VALUES FROM (MINVALUE) TO (%L)',
                   'interaction_flows_legacy_' || to_char(first_week, 'YYYYMMDD'), first_week);
    PERFORM {{schema}}.ensure_flow_partitions();
    SELECT max(upper_key) - interval '1 microsecond' INTO last_key FROM {{schema}}.flow_partitions();

    EXECUTE format(
        $copy$
        INSERT INTO {{schema}}.interaction_flows (
            flow_id, start_key, started_at, ended_at, session_id, user_id, conversation_id, source, name,
            created_at, completed_at, duration_ms, outcome, gate, reason, status,
            error_count, denied_count, span_count, checkpoint_count, tokens_in, tokens_out,
            event_types, tools, mcp_servers, models, complete_why, search, flow_data, flow_bytes, legacy
        )
        SELECT
            md5('adopted ' || place || ' ' || coalesce(old.session_id, '')),
            least(seen.started_at, $1), seen.started_at, seen.ended_at,
            old.session_id, old.user_id, old.conversation_id, old.source, seen.name,
            seen.created_at, seen.completed_at, seen.duration_ms, seen.outcome, seen.gate, seen.reason, seen.status,
            seen.error_count, seen.denied_count, seen.event_count, seen.event_count, seen.tokens_in, seen.tokens_out,
            seen.event_types, seen.tools, seen.mcp_servers, seen.models, 'legacy', seen.search, seen.document,
            pg_column_size(seen.document), old.remaining
        FROM (
            SELECT old.ctid::text AS place,
                   left(%1$s, 128) AS session_id, left(%2$s, 128) AS user_id, left(%3$s, 128) AS conversation_id,
                   %4$s AS source, %5$s AS created_at, %6$s AS completed_at, %7$s AS document,
                   to_jsonb(old) - $2 AS remaining
            FROM %8$s AS old
        ) AS old
        CROSS JOIN LATERAL {{schema}}.legacy_summary(old.document, old.created_at, old.completed_at) AS seen
        $copy$,
        {{schema}}.spanflow_old_column(old_table, 'session_id', 'text'),
        {{schema}}.spanflow_old_column(old_table, 'user_id', 'text'),
        {{schema}}.spanflow_old_column(old_table, 'conversation_id', 'text'),
        {{schema}}.spanflow_old_column(old_table, 'source', 'text'),
        {{schema}}.spanflow_old_column(old_table, 'created_at', 'timestamptz'),
        {{schema}}.spanflow_old_column(old_table, 'completed_at', 'timestamptz'),
        {{schema}}.spanflow_old_column(old_table, 'flow_data', 'jsonb'),
        old_table
    ) USING last_key, mapped;
    GET DIAGNOSTICS adopted = ROW_COUNT;

    INSERT INTO {{schema}}.flow_keys (flow_id, start_key) SELECT flow_id, start_key FROM {{schema}}.interaction_flows;
    INSERT INTO {{schema}}.adoptions (table_name, row_count, keep_until)
    VALUES ('interaction_flows', adopted, now() + interval '90 days');
    PERFORM {{schema}}.spanflow_same_rights(old_table, '{{schema}}.interaction_flows');
    EXECUTE format('TRUNCATE %s', old_table);
END
$adopt$;
