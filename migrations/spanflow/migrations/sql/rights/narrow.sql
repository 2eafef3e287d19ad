-- What the viewer's role may do, narrowed: it deletes from no table, and says neither when an entry of the audit log was
-- written nor by which role. Expired tokens go by a function, as everything else does that goes by its age.

CREATE OR REPLACE FUNCTION {{schema}}.expire_spent_tokens()
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    removed bigint;
BEGIN
    -- Only what is refused by its age anyway: to remove another one would undo a sign-out.
    DELETE FROM {{schema}}.spent_tokens WHERE expires_at < now() - interval '1 hour';
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$body$;

COMMENT ON FUNCTION {{schema}}.expire_spent_tokens() IS
    'Delete codes, tickets and sessions that ended an hour ago or earlier';

REVOKE ALL ON FUNCTION {{schema}}.expire_spent_tokens() FROM PUBLIC;

-- Without a default at first: nobody knows which role wrote the rows that are there.
ALTER TABLE {{schema}}.audit_log ADD COLUMN IF NOT EXISTS written_by text;
ALTER TABLE {{schema}}.audit_log ALTER COLUMN written_by SET DEFAULT session_user;

COMMENT ON COLUMN {{schema}}.audit_log.written_by IS
    'The database role that added the row; the role of the viewer cannot choose it';

-- Roles that were given the viewer's rights as they used to be: they append to the audit log and cannot change it.
DO $narrow$
DECLARE
    viewer record;
BEGIN
    FOR viewer IN
        SELECT DISTINCT role.rolname AS name
        FROM pg_class, aclexplode(relacl) AS given JOIN pg_roles AS role ON role.oid = given.grantee
        WHERE pg_class.oid = '{{schema}}.audit_log'::regclass AND given.privilege_type = 'INSERT'
          AND given.grantee <> relowner
          AND NOT has_table_privilege(given.grantee, pg_class.oid, 'UPDATE')
    LOOP
        EXECUTE format('REVOKE DELETE ON {{schema}}.interaction_flows, {{schema}}.flow_keys, {{schema}}.user_activities, '
                       '{{schema}}.user_directory, {{schema}}.omni2_config FROM %I', viewer.name);
        EXECUTE format('REVOKE UPDATE, DELETE ON {{schema}}.poison_records, {{schema}}.spent_tokens FROM %I', viewer.name);
        EXECUTE format('REVOKE INSERT ON {{schema}}.audit_log FROM %I', viewer.name);
        EXECUTE format('GRANT INSERT (actor, actor_role, action, target_user, target, reason, remote, outcome, detail) '
                       'ON {{schema}}.audit_log TO %I', viewer.name);
        EXECUTE format('GRANT EXECUTE ON FUNCTION {{schema}}.expire_spent_tokens() TO %I', viewer.name);
    END LOOP;
END
$narrow$;
