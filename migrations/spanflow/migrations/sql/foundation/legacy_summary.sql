-- What the columns of a flow say when all that is known is a document of an application's own tracker, with its events
-- as it made them.

-- A number in a document; such trackers also store numbers as texts.
CREATE OR REPLACE FUNCTION {{schema}}.legacy_number(document jsonb, field text)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $body$
    SELECT CASE WHEN jsonb_typeof(document -> field) = 'number' AND length(document ->> field) < 40
                     OR jsonb_typeof(document -> field) = 'string' AND document ->> field ~ '^[0-9]{1,20}([.][0-9]{1,20})?$'
                THEN (document ->> field)::double precision END
$body$;

CREATE OR REPLACE FUNCTION {{schema}}.legacy_summary(stored jsonb, created timestamptz, completed timestamptz)
RETURNS TABLE (
    document jsonb, started_at timestamptz, ended_at timestamptz, created_at timestamptz, completed_at timestamptz,
    name text, duration_ms double precision, outcome text, gate text, reason text, status text,
    event_count integer, error_count integer, denied_count integer, tokens_in bigint, tokens_out bigint,
    event_types text[], tools text[], mcp_servers text[], models text[], search tsvector
)
LANGUAGE sql STABLE
AS $body$
    SELECT
        readable.document,
        begun.started_at,
        coalesce(completed, seen.last_event),
        coalesce(created, begun.started_at),
        completed,
        seen.first_type,
        greatest(0, extract(epoch FROM coalesce(seen.last_event, completed) - begun.started_at) * 1000)::double precision,
        CASE WHEN seen.denied_count > 0 THEN 'denied' WHEN seen.error_count > 0 THEN 'error'
             WHEN seen.answered OR completed IS NOT NULL THEN 'ok' ELSE 'interrupted' END,
        seen.gate,
        seen.reason,
        CASE WHEN seen.error_count > 0 THEN 'error' ELSE 'unset' END,
        seen.event_count, seen.error_count, seen.denied_count, seen.tokens_in, seen.tokens_out,
        seen.event_types, seen.tools, seen.mcp_servers, seen.models,
        -- A long text is not searched word by word: a search vector has a limit of its own.
        CASE WHEN octet_length(readable.document::text) < 100000
             THEN strip(jsonb_to_tsvector('simple', readable.document, '["string"]'))
             ELSE array_to_tsvector(seen.event_types || seen.tools || seen.mcp_servers) END
    FROM (
        SELECT CASE jsonb_typeof(stored) WHEN 'object' THEN stored
                    WHEN 'array' THEN jsonb_build_object('events', stored)
                    ELSE jsonb_build_object('events', '[]'::jsonb, 'unreadable', stored) END AS document
    ) AS readable
    CROSS JOIN LATERAL (
        SELECT count(*)::integer AS event_count,
               to_timestamp(min(event.at)) AS first_event,
               to_timestamp(max(event.at + coalesce(event.ms, 0) / 1000)) AS last_event,
               (count(*) FILTER (WHERE event.error))::integer AS error_count,
               (count(*) FILTER (WHERE event.denied))::integer AS denied_count,
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
                   CASE WHEN {{schema}}.legacy_number(entry, 'timestamp') BETWEEN 946684800 AND 4102444800
                        THEN {{schema}}.legacy_number(entry, 'timestamp') END AS at,
                   CASE WHEN {{schema}}.legacy_number(entry, 'duration_ms') BETWEEN 0 AND 604800000
                        THEN {{schema}}.legacy_number(entry, 'duration_ms') END AS ms,
                   CASE WHEN {{schema}}.legacy_number(entry, 'tokens_in') BETWEEN 0 AND 1e9
                        THEN {{schema}}.legacy_number(entry, 'tokens_in') END AS tokens_in,
                   CASE WHEN {{schema}}.legacy_number(entry, 'tokens') BETWEEN 0 AND 1e9
                        THEN {{schema}}.legacy_number(entry, 'tokens') END AS tokens_out,
                   coalesce(entry ->> 'event_type' = 'error' OR entry ->> 'status' = 'error', false) AS error,
                   coalesce(entry ->> 'status' IN ('denied', 'blocked', 'rejected', 'failed')
                            AND entry ->> 'event_type' IN ('auth_check', 'security_check', 'block_check',
                                                           'usage_check', 'mcp_permission_check'), false) AS denied
            FROM jsonb_array_elements(
                CASE jsonb_typeof(readable.document -> 'events') WHEN 'array' THEN readable.document -> 'events' ELSE '[]' END
            ) AS entry
            WHERE jsonb_typeof(entry) = 'object'
        ) AS event
    ) AS seen
    CROSS JOIN LATERAL (
        SELECT CASE WHEN isfinite(known) THEN known ELSE now() END AS started_at
        FROM coalesce(seen.first_event, created, completed, now()) AS known
    ) AS begun
$body$;
