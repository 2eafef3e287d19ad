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
            least(started_at, $1), started_at,
            coalesce(old.completed_at, last_event),
            old.session_id, old.user_id, old.conversation_id, old.source, first_type,
            coalesce(old.created_at, started_at), old.completed_at,
            greatest(0, extract(epoch FROM coalesce(last_event, old.completed_at) - started_at) * 1000),
            CASE WHEN denied_count > 0 THEN 'denied' WHEN error_count > 0 THEN 'error'
                 WHEN answered OR old.completed_at IS NOT NULL THEN 'ok' ELSE 'interrupted' END,
            gate, reason,
            CASE WHEN error_count > 0 THEN 'error' ELSE 'unset' END,
            error_count, denied_count, event_count, event_count, tokens_in, tokens_out,
            event_types, tools, mcp_servers, models, 'legacy',
            -- A long text is not searched word by word: a search vector has a limit of its own.
            CASE WHEN octet_length(document::text) < 100000
                 THEN strip(jsonb_to_tsvector('simple', document, '["string"]'))
                 ELSE array_to_tsvector(event_types || tools || mcp_servers) END,
            document, pg_column_size(document), remaining
        FROM (
            SELECT old.ctid::text AS place,
                   left(%1$s, 128) AS session_id, left(%2$s, 128) AS user_id, left(%3$s, 128) AS conversation_id,
                   %4$s AS source,
                   %5$s AS created_at, %6$s AS completed_at,
                   CASE jsonb_typeof(%7$s) WHEN 'object' THEN %7$s WHEN 'array' THEN jsonb_build_object('events', %7$s)
                        ELSE jsonb_build_object('events', '[]'::jsonb, 'unreadable', %7$s) END AS document,
                   to_jsonb(old) - $2 AS remaining
            FROM %8$s AS old
        ) AS old
        CROSS JOIN LATERAL (
            SELECT count(*) AS event_count,
                   to_timestamp(min(event.at)) AS first_event,
                   to_timestamp(max(event.at + coalesce(event.ms, 0) / 1000)) AS last_event,
                   count(*) FILTER (WHERE event.error) AS error_count,
                   count(*) FILTER (WHERE event.denied) AS denied_count,
                   bool_or(event.type = 'llm_complete') AS answered,
                   (array_agg(event.type) FILTER (WHERE event.denied))[1] AS gate,
                   (array_agg(event.reason) FILTER (WHERE event.denied))[1] AS reason,
                   (array_agg(event.type))[1] AS first_type,
                   coalesce(sum(event.tokens_in), 0)::bigint AS tokens_in,
                   coalesce(sum(event.tokens_out), 0)::bigint AS tokens_out,
                   coalesce(array_agg(DISTINCT event.type) FILTER (WHERE event.type IS NOT NULL), '{}') AS event_types,
                   coalesce(array_agg(DISTINCT event.tool) FILTER (WHERE event.tool IS NOT NULL), '{}') AS tools,
                   coalesce(array_agg(DISTINCT event.mcp) FILTER (WHERE event.mcp IS NOT NULL), '{}') AS mcp_servers,
                   coalesce(array_agg(DISTINCT event.model) FILTER (WHERE event.model IS NOT NULL), '{}') AS models
            FROM (
                SELECT entry ->> 'event_type' AS type, entry ->> 'tool' AS tool, entry ->> 'mcp' AS mcp,
                       entry ->> 'model' AS model, coalesce(entry ->> 'reason', entry ->> 'message') AS reason,
                       CASE WHEN {{schema}}.json_number(entry, 'timestamp') BETWEEN 946684800 AND 4102444800
                            THEN {{schema}}.json_number(entry, 'timestamp') END AS at,
                       CASE WHEN {{schema}}.json_number(entry, 'duration_ms') BETWEEN 0 AND 604800000
                            THEN {{schema}}.json_number(entry, 'duration_ms') END AS ms,
                       CASE WHEN {{schema}}.json_number(entry, 'tokens_in') BETWEEN 0 AND 1e9
                            THEN {{schema}}.json_number(entry, 'tokens_in') END AS tokens_in,
                       CASE WHEN {{schema}}.json_number(entry, 'tokens') BETWEEN 0 AND 1e9
                            THEN {{schema}}.json_number(entry, 'tokens') END AS tokens_out,
                       coalesce(entry ->> 'event_type' = 'error' OR entry ->> 'status' = 'error', false) AS error,
                       coalesce(entry ->> 'status' IN ('denied', 'blocked', 'rejected', 'failed')
                                AND entry ->> 'event_type' IN ('auth_check', 'security_check', 'block_check',
                                                               'usage_check', 'mcp_permission_check'), false) AS denied
                FROM jsonb_array_elements(
                    CASE jsonb_typeof(document -> 'events') WHEN 'array' THEN document -> 'events' ELSE '[]' END
                ) AS entry
                WHERE jsonb_typeof(entry) = 'object'
            ) AS event
        ) AS seen
        CROSS JOIN LATERAL (
            SELECT CASE WHEN isfinite(known) THEN known ELSE now() END AS started_at
            FROM coalesce(first_event, old.created_at, old.completed_at, now()) AS known
        ) AS begun
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
