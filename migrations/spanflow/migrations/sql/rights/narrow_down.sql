-- A viewer of the version before deletes expired tokens itself.
DO $back$
DECLARE
    viewer record;
BEGIN
    FOR viewer IN
        SELECT DISTINCT role.rolname AS name
        FROM pg_proc, aclexplode(proacl) AS given JOIN pg_roles AS role ON role.oid = given.grantee
        WHERE pg_proc.oid = '{{schema}}.expire_spent_tokens()'::regprocedure AND given.grantee <> proowner
    LOOP
        EXECUTE format('GRANT DELETE ON {{schema}}.spent_tokens TO %I', viewer.name);
    END LOOP;
END
$back$;

DROP FUNCTION IF EXISTS {{schema}}.expire_spent_tokens();
ALTER TABLE {{schema}}.audit_log DROP COLUMN IF EXISTS written_by;
