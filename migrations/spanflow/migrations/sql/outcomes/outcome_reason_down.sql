DROP INDEX IF EXISTS {{schema}}.interaction_flows_outcome_reason;
ALTER TABLE {{schema}}.interaction_flows DROP COLUMN IF EXISTS outcome_reason;
