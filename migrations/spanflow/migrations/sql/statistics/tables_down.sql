DROP TRIGGER IF EXISTS flow_statistics_change ON {{schema}}.interaction_flows;
DROP FUNCTION IF EXISTS {{schema}}.mark_changed_period();
DROP FUNCTION IF EXISTS {{schema}}.expire_statistics(integer);
DROP TABLE IF EXISTS {{schema}}.changed_periods, {{schema}}.flow_statistics, {{schema}}.step_statistics;
