DROP FUNCTION IF EXISTS {{schema}}.spanflow_old_column(regclass, text, text);
DROP FUNCTION IF EXISTS {{schema}}.spanflow_unwrapped(jsonb);
DROP FUNCTION IF EXISTS {{schema}}.spanflow_document(text);
DROP FUNCTION IF EXISTS {{schema}}.spanflow_same_rights(regclass, regclass);
