-- Only for the time of the migration; adoption_end.sql drops them.

-- How to read a column of an old table as some type, whatever type it had; null when it had no such column.
CREATE OR REPLACE FUNCTION {{schema}}.spanflow_old_column(old_table regclass, wanted text, as_type text)
RETURNS text
LANGUAGE sql STABLE
AS $body$
    SELECT coalesce(
        (SELECT CASE WHEN as_type = 'jsonb' THEN
                    format(CASE WHEN atttypid IN ('json'::regtype, 'jsonb'::regtype)
                                THEN '{{schema}}.spanflow_unwrapped(old.%I::jsonb)'
                                ELSE '{{schema}}.spanflow_document(old.%I::text)' END, attname)
                ELSE format('old.%I::%s', attname, as_type) END
         FROM pg_attribute
         WHERE attrelid = old_table AND attname = wanted AND attnum > 0 AND NOT attisdropped),
        format('NULL::%s', as_type)
    )
$body$;

-- A text as a document; a text that is none becomes a string.
CREATE OR REPLACE FUNCTION {{schema}}.spanflow_document(value text)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $body$
BEGIN
    RETURN value::jsonb;
EXCEPTION WHEN OTHERS THEN
    RETURN to_jsonb(value);
END
$body$;

-- Some writers stored the document as a string inside the document.
CREATE OR REPLACE FUNCTION {{schema}}.spanflow_unwrapped(value jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
AS $body$
    SELECT CASE WHEN jsonb_typeof(value) = 'string' THEN {{schema}}.spanflow_document(value #>> '{}') ELSE value END
$body$;

-- Let everybody who could use the old table use the new one, so that an old gateway goes on writing meanwhile.
CREATE OR REPLACE FUNCTION {{schema}}.spanflow_same_rights(old_table regclass, new_table regclass)
RETURNS void
LANGUAGE plpgsql
AS $body$
DECLARE
    was record;
BEGIN
    FOR was IN
        SELECT grantee, privilege_type FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner)))
        WHERE oid = old_table AND privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
        EXECUTE format('GRANT %s ON %s TO %s', was.privilege_type, new_table,
                       CASE was.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(was.grantee)) END);
    END LOOP;
END
$body$;
