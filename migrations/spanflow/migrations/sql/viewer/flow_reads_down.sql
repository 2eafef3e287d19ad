DROP FUNCTION IF EXISTS {{schema}}.flow_by_id(text);
DROP FUNCTION IF EXISTS {{schema}}.newest_flows_of(text, timestamptz, text, integer);
