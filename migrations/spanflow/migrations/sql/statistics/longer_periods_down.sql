DELETE FROM {{schema}}.step_statistics WHERE seconds IN (21600, 604800);
DELETE FROM {{schema}}.flow_statistics WHERE seconds IN (21600, 604800);
COMMENT ON COLUMN {{schema}}.step_statistics.seconds IS 'How long the period is: 60, 3600 or 86400';
