DROP TABLE IF EXISTS {{schema}}.process_losses;
ALTER TABLE {{schema}}.alert_events DROP COLUMN IF EXISTS baseline;
ALTER TABLE {{schema}}.loss_reports DROP COLUMN IF EXISTS service, DROP COLUMN IF EXISTS cause;
