-- The table of settings. An application's own is used as it is: with its id, its columns and its sequence.

-- Why a table cannot serve as ours; null when it can.
CREATE OR REPLACE FUNCTION {{schema}}.configuration_problem(settings regclass)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    wrong text;
BEGIN
    SELECT string_agg(format('%s is %s', attname, format_type(atttypid, NULL)), ', ') INTO wrong
    FROM pg_attribute
    WHERE attrelid = settings AND attnum > 0 AND NOT attisdropped
      AND (attname = 'config_key' AND atttypid NOT IN ('text'::regtype, 'varchar'::regtype)
           OR attname = 'config_value' AND atttypid <> 'jsonb'::regtype
           OR attname = 'is_active' AND atttypid <> 'boolean'::regtype
           OR attname IN ('created_at', 'updated_at') AND atttypid NOT IN ('timestamptz'::regtype, 'timestamp'::regtype));
    IF wrong IS NOT NULL THEN
        RETURN 'these columns have other types than settings need: ' || wrong;
    END IF;
    IF 2 <> (SELECT count(*) FROM pg_attribute WHERE attrelid = settings AND attname IN ('config_key', 'config_value')
             AND NOT attisdropped) THEN
        RETURN 'it has no columns config_key and config_value';
    END IF;
    EXECUTE format('SELECT string_agg(config_key, '', '') FROM (SELECT config_key FROM %s GROUP BY 1 '
                   'HAVING count(*) > 1 OR config_key IS NULL) AS twice', settings) INTO wrong;
    RETURN 'these keys have more than one row: ' || wrong;
END
$body$;

-- Before this revision such a table was set aside. Put it back, with what has changed in ours since.
DO $restore$
DECLARE
    theirs regclass := to_regclass('{{schema}}.omni2_config_before_spanflow');
    fields text;
    index  text;
    reader record;
BEGIN
    -- One that cannot serve stays aside; going down gives it back.
    IF theirs IS NULL OR {{schema}}.configuration_problem(theirs) IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO fields
    FROM pg_attribute WHERE attrelid = theirs AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
    EXECUTE format(
        'INSERT INTO %1$s (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM ('
        '    SELECT (jsonb_populate_record(NULL::%1$s, to_jsonb(ours) || ours.legacy)).* '
        '    FROM {{schema}}.omni2_config AS ours WHERE ours.legacy IS NOT NULL) AS back',
        theirs, fields
    );
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO fields
    FROM pg_attribute
    WHERE attrelid = theirs AND attnum > 0 AND NOT attisdropped
      AND attname IN ('config_key', 'config_value', 'description', 'is_active', 'created_at', 'updated_at');
    EXECUTE format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM {{schema}}.omni2_config WHERE legacy IS NULL', theirs, fields);
    FOR reader IN
        SELECT pg_get_userbyid(entry.grantee) AS name, entry.privilege_type AS kind
        FROM pg_class, aclexplode(relacl) AS entry
        WHERE pg_class.oid = '{{schema}}.omni2_config'::regclass AND entry.grantee NOT IN (0, relowner)
          AND entry.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
        EXECUTE format('GRANT %s ON %s TO %I', reader.kind, theirs, reader.name);
    END LOOP;
    DROP TABLE {{schema}}.omni2_config;
    EXECUTE format('ALTER TABLE %s RENAME TO omni2_config', theirs);
    FOR index IN
        SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE indrelid = theirs AND relname LIKE '%\_\_old'
    LOOP
        EXECUTE format('ALTER INDEX {{schema}}.%I RENAME TO %I', index, left(index, -5));
    END LOOP;
END
$restore$;

-- What settings need and the table does not have yet; taken back when Spanflow goes.
CREATE OR REPLACE FUNCTION {{schema}}.complete_configuration(settings regclass)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('description', 'text'), ('is_active', 'boolean NOT NULL DEFAULT true'),
            ('created_at', 'timestamptz NOT NULL DEFAULT now()'), ('updated_at', 'timestamptz NOT NULL DEFAULT now()')
        ) AS needed (name, kind)
        WHERE NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = settings AND attname = needed.name AND NOT attisdropped)
    LOOP
        EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', settings, wanted.name, wanted.kind);
        EXECUTE format('COMMENT ON COLUMN %s.%I IS ''Added by Spanflow''', settings, wanted.name);
    END LOOP;
    IF NOT EXISTS (
        SELECT FROM pg_index
        WHERE indrelid = settings AND indisunique AND indpred IS NULL AND indnkeyatts = 1
          AND indkey[0] = (SELECT attnum FROM pg_attribute WHERE attrelid = settings AND attname = 'config_key')
    ) THEN
        EXECUTE format('CREATE UNIQUE INDEX omni2_config_key_of_spanflow ON %s (config_key)', settings);
    END IF;
    -- An application that begins a watch anew writes its value, and not that it is active again.
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER spanflow_watch_begins BEFORE UPDATE ON %s FOR EACH ROW '
        'WHEN (starts_with(NEW.config_key, ''monitor_user_'') AND NEW.config_value IS DISTINCT FROM OLD.config_value '
        '      AND NEW.is_active IS NOT TRUE AND OLD.is_active IS NOT TRUE) '
        'EXECUTE FUNCTION {{schema}}.watch_begins()', settings
    );
END
$body$;

CREATE OR REPLACE FUNCTION {{schema}}.watch_begins()
RETURNS trigger
LANGUAGE plpgsql
AS $body$
BEGIN
    NEW.is_active := true;
    RETURN NEW;
END
$body$;

-- Takes back what was added to an application's table, and the watches that are over.
CREATE OR REPLACE FUNCTION {{schema}}.leave_configuration(settings regclass)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    added record;
BEGIN
    EXECUTE format('DROP TRIGGER IF EXISTS spanflow_watch_begins ON %s', settings);
    EXECUTE format('DELETE FROM %s WHERE starts_with(config_key, ''monitor_user_'') AND is_active IS NOT TRUE', settings);
    FOR added IN
        SELECT attname AS name FROM pg_attribute
        WHERE attrelid = settings AND attnum > 0 AND NOT attisdropped
          AND col_description(settings, attnum) = 'Added by Spanflow'
    LOOP
        EXECUTE format('ALTER TABLE %s DROP COLUMN %I', settings, added.name);
    END LOOP;
    EXECUTE (
        SELECT format('DROP INDEX IF EXISTS %I.omni2_config_key_of_spanflow', nspname)
        FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE pg_class.oid = settings
    );
END
$body$;

DO $own$
DECLARE
    wrong text;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = '{{schema}}.omni2_config'::regclass) <> 'r' THEN
        RETURN;  -- a view of the application's, see connect.sql
    END IF;
    wrong := {{schema}}.configuration_problem('{{schema}}.omni2_config');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '{{schema_name}}.omni2_config cannot be used: %', wrong
            USING HINT = 'Choose another schema with SPANFLOW_SCHEMA, or mend it; nothing has been changed.';
    END IF;
    PERFORM {{schema}}.complete_configuration('{{schema}}.omni2_config');
END
$own$;
