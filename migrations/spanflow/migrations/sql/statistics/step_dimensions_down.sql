DELETE FROM {{schema}}.flow_statistics WHERE dimension LIKE 'steps:%';
DROP INDEX IF EXISTS {{schema}}.flow_statistics_dimension;
COMMENT ON TABLE {{schema}}.flow_statistics IS 'Flows per period, by one thing that they have in common';
