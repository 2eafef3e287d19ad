-- Six hours and weeks as well: a month is then a dozen periods and not fifty.

INSERT INTO {{schema}}.step_statistics
    (seconds, start, event_type, name, mcp_server, tool, model, outcome, count, timed, total_ns, self_ns, tokens_in,
     tokens_out, cost, buckets)
SELECT longer.seconds, date_bin(make_interval(secs => longer.seconds), start, 'epoch') AS period, event_type, name,
       mcp_server, tool, model, outcome, sum(count), sum(timed), sum(total_ns), sum(self_ns), sum(tokens_in),
       sum(tokens_out), sum(cost), sum(buckets)
FROM {{schema}}.step_statistics AS shorter
JOIN (VALUES (3600, 21600), (86400, 604800)) AS longer (of, seconds) ON shorter.seconds = longer.of
GROUP BY longer.seconds, period, event_type, name, mcp_server, tool, model, outcome;

INSERT INTO {{schema}}.flow_statistics
    (seconds, start, dimension, value, outcome, count, timed, total_ns, self_ns, tokens_in, tokens_out, cost, buckets)
SELECT longer.seconds, date_bin(make_interval(secs => longer.seconds), start, 'epoch') AS period, dimension, value,
       outcome, sum(count), sum(timed), sum(total_ns), sum(self_ns), sum(tokens_in), sum(tokens_out), sum(cost),
       sum(buckets)
FROM {{schema}}.flow_statistics AS shorter
JOIN (VALUES (3600, 21600), (86400, 604800)) AS longer (of, seconds) ON shorter.seconds = longer.of
GROUP BY longer.seconds, period, dimension, value, outcome;

COMMENT ON COLUMN {{schema}}.step_statistics.seconds IS 'How long the period is: 60, 3600, 21600, 86400 or 604800';

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
           OR (seconds IN (60, 3600, 21600, 86400, 604800) AND start < oldest - make_interval(secs => seconds))
        LIMIT greatest(batch, 1)
    ));
    GET DIAGNOSTICS total = ROW_COUNT;
    DELETE FROM {{schema}}.flow_statistics WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {{schema}}.flow_statistics
        WHERE (seconds = 60 AND start < minutes)
           OR (seconds IN (60, 3600, 21600, 86400, 604800) AND start < oldest - make_interval(secs => seconds))
        LIMIT greatest(batch, 1)
    ));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN total + removed;
END
$body$;
