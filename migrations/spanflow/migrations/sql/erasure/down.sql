DROP TRIGGER IF EXISTS erased_flow_stays_away ON {{schema}}.interaction_flows;
DROP TRIGGER IF EXISTS erased_flow_is_removed ON {{schema}}.interaction_flows;
DROP TRIGGER IF EXISTS erased_activity_stays_away ON {{schema}}.user_activities;
DROP TRIGGER IF EXISTS erased_user_stays_away ON {{schema}}.user_directory;
DROP TRIGGER IF EXISTS erased_record_stays_away ON {{schema}}.poison_records;
DROP FUNCTION IF EXISTS
    {{schema}}.begin_erasure(text), {{schema}}.flows_to_erase(text, integer), {{schema}}.erase_activities(text, text[]),
    {{schema}}.erase_flows(text, text[], boolean), {{schema}}.erase_rest(text, integer),
    {{schema}}.finish_erasure(text), {{schema}}.count_erased(text, text, bigint),
    {{schema}}.refuse_erased_flow(), {{schema}}.remove_erased_flow(), {{schema}}.refuse_erased_activity(),
    {{schema}}.refuse_erased_user(), {{schema}}.refuse_erased_record();
DROP TABLE IF EXISTS {{schema}}.erasures, {{schema}}.erased_flows;
