DROP TABLE IF EXISTS
    {{schema}}.alert_deliveries, {{schema}}.alert_channels, {{schema}}.alert_events, {{schema}}.alert_states,
    {{schema}}.alert_rules, {{schema}}.alert_rounds, {{schema}}.loss_reports;
DROP FUNCTION IF EXISTS
    {{schema}}.erase_alerts(text), {{schema}}.expire_alerts(integer, integer), {{schema}}.leave_out_erased_flows();
