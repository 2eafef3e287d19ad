-- Steps by checkpoint, tool, MCP server and model stand among the sums of flows, as the dimensions `steps:…`: a month by
-- tool is then a few rows a day, and not all kinds of steps of each.

CREATE INDEX IF NOT EXISTS flow_statistics_dimension ON {{schema}}.flow_statistics (dimension, seconds, start);

INSERT INTO {{schema}}.flow_statistics
    (seconds, start, dimension, value, outcome, count, timed, total_ns, self_ns, tokens_in, tokens_out, cost, buckets)
SELECT seconds, start, grouped.dimension, grouped.value, outcome, sum(count), sum(timed), sum(total_ns), sum(self_ns),
       sum(tokens_in), sum(tokens_out), sum(cost), sum(buckets)
FROM {{schema}}.step_statistics,
     LATERAL (VALUES ('steps:checkpoint', event_type), ('steps:tool', tool), ('steps:mcp_server', mcp_server),
                     ('steps:model', model)) AS grouped (dimension, value)
WHERE event_type <> 'span' AND grouped.value <> ''
GROUP BY seconds, start, grouped.dimension, grouped.value, outcome;

COMMENT ON TABLE {{schema}}.flow_statistics IS
    'Flows per period, by one thing that they have in common; in the dimensions `steps:…` steps';
