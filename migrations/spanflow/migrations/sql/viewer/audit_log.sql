-- The audit log: found by what was done, and only ever added to.

CREATE INDEX IF NOT EXISTS audit_log_action ON {{schema}}.audit_log (action, at DESC, id DESC);

-- Roles are not given the right to change or remove entries; this holds for the owner of the table as well, who may be
-- the only role of a small installation.
CREATE OR REPLACE FUNCTION {{schema}}.keep_audit_log()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('spanflow.audit_expiry', true) = '{{schema_name}}' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'entries of the audit log are neither changed nor removed'
        USING ERRCODE = 'insufficient_privilege', HINT = 'Old ones go by expire_audit_log(keep_days).';
END
$body$;

CREATE OR REPLACE TRIGGER audit_log_stays
    BEFORE UPDATE OR DELETE ON {{schema}}.audit_log
    FOR EACH ROW EXECUTE FUNCTION {{schema}}.keep_audit_log();
CREATE OR REPLACE TRIGGER audit_log_is_not_emptied
    BEFORE TRUNCATE ON {{schema}}.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION {{schema}}.keep_audit_log();

CREATE OR REPLACE FUNCTION {{schema}}.expire_audit_log(
    keep_days integer, batch integer DEFAULT 10000, dry_run boolean DEFAULT false
)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    removed bigint;
BEGIN
    -- Whoever may call this must not be able to remove what they did lately.
    IF keep_days < 30 THEN
        RAISE EXCEPTION 'the audit log is kept for 30 days at least, not %', keep_days;
    END IF;
    IF dry_run THEN
        SELECT count(*) INTO removed FROM {{schema}}.audit_log WHERE at < now() - make_interval(days => keep_days);
        RETURN removed;
    END IF;
    PERFORM set_config('spanflow.audit_expiry', '{{schema_name}}', true);
    DELETE FROM {{schema}}.audit_log
    WHERE id IN (
        SELECT id FROM {{schema}}.audit_log WHERE at < now() - make_interval(days => keep_days)
        ORDER BY at LIMIT greatest(batch, 1) FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM set_config('spanflow.audit_expiry', '', true);
    RETURN removed;
END
$body$;

COMMENT ON FUNCTION {{schema}}.expire_audit_log(integer, integer, boolean) IS
    'Delete entries of the audit log older than so many days (30 at least), so many at once; call it until it answers 0';

REVOKE ALL ON FUNCTION {{schema}}.expire_audit_log(integer, integer, boolean) FROM PUBLIC;
