DROP INDEX IF EXISTS
    {{schema}}.interaction_flows_duration, {{schema}}.interaction_flows_tokens, {{schema}}.interaction_flows_cost,
    {{schema}}.interaction_flows_source, {{schema}}.interaction_flows_gate, {{schema}}.interaction_flows_outliers;
DROP FUNCTION IF EXISTS {{schema}}.missing_flow_indexes();
