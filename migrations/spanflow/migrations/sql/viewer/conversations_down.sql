DROP TRIGGER IF EXISTS conversation_title_added ON {{schema}}.conversations;
DROP TRIGGER IF EXISTS conversation_title_changed ON {{schema}}.conversations;
DROP TRIGGER IF EXISTS conversation_title_gone ON {{schema}}.conversations;
DROP FUNCTION IF EXISTS {{schema}}.keep_conversation_title();
DROP TABLE IF EXISTS {{schema}}.conversation_titles;
DROP INDEX IF EXISTS
    {{schema}}.conversations_started, {{schema}}.conversations_user_started, {{schema}}.conversations_span,
    {{schema}}.user_activities_tool;
