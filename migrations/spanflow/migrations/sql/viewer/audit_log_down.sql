DROP TRIGGER IF EXISTS audit_log_stays ON {{schema}}.audit_log;
DROP TRIGGER IF EXISTS audit_log_is_not_emptied ON {{schema}}.audit_log;
DROP FUNCTION IF EXISTS {{schema}}.keep_audit_log();
DROP FUNCTION IF EXISTS {{schema}}.expire_audit_log(integer, integer, boolean);
DROP INDEX IF EXISTS {{schema}}.audit_log_action;
