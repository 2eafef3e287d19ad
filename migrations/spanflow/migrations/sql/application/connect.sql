-- Connect with the tables that an application has in another schema; does nothing when that is done. What was written
-- there before is taken over by `take_application_rows`, afterwards, in batches, so that nobody waits.
CREATE OR REPLACE FUNCTION {{schema}}.connect_application(home text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    wanted record;
    week   timestamptz;
BEGIN
    FOR wanted IN
        SELECT name, {{schema}}.application_table(home, name) AS theirs
        FROM unnest(ARRAY['interaction_flows', 'user_activities', 'omni2_config']) AS name
        WHERE {{schema}}.application_table(home, name) IS NOT NULL
    LOOP
        IF EXISTS (
            SELECT FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
            WHERE tgrelid = wanted.theirs AND tgname IN ('spanflow_takes_over', 'spanflow_watch_begins')
              AND pronamespace <> '{{schema}}'::regnamespace
        ) THEN
            RAISE EXCEPTION '%.% is kept in step with a Spanflow in another schema already', home, wanted.name
                USING HINT = 'Set SPANFLOW_LEGACY_SCHEMA to nothing for this one.';
        END IF;
        IF wanted.name = 'interaction_flows' THEN
            CONTINUE WHEN {{schema}}.application_column(wanted.theirs, 'session_id') IS NULL
                       OR {{schema}}.application_column(wanted.theirs, 'user_id') IS NULL
                       OR {{schema}}.application_column(wanted.theirs, 'flow_data') IS NULL;
            -- A place for what is older than our first week, which goes when `keep_until` has passed.
            IF NOT EXISTS (SELECT FROM {{schema}}.adoptions WHERE table_name = wanted.name) THEN
                SELECT min(lower_key) INTO week FROM {{schema}}.flow_partitions();
                IF isfinite(week) THEN
                    EXECUTE format('CREATE TABLE {{schema}}.%I PARTITION OF {{schema}}.interaction_flows '
                                   'FOR VALUES FROM (MINVALUE) TO (%L)',
                                   'interaction_flows_legacy_' || to_char(week AT TIME ZONE 'UTC', 'YYYYMMDD'), week);
                END IF;
                INSERT INTO {{schema}}.adoptions (table_name, row_count, keep_until)
                VALUES (wanted.name, 0, now() + interval '90 days');
            END IF;
            PERFORM {{schema}}.connect_flows(wanted.theirs);
        ELSIF wanted.name = 'user_activities' THEN
            CONTINUE WHEN {{schema}}.application_column(wanted.theirs, 'activity_id') IS NULL
                       OR NOT {{schema}}.is_unique(wanted.theirs, 'activity_id');
            INSERT INTO {{schema}}.adoptions (table_name, row_count, keep_until)
            VALUES (wanted.name, 0, now() + interval '90 days') ON CONFLICT DO NOTHING;
            PERFORM {{schema}}.connect_activities(wanted.theirs);
        ELSE
            CONTINUE WHEN {{schema}}.configuration_problem(wanted.theirs) IS NOT NULL;
            PERFORM {{schema}}.connect_configuration(wanted.theirs);
        END IF;
        INSERT INTO {{schema}}.application_tables (table_name, schema_name) VALUES (wanted.name, home)
        ON CONFLICT DO NOTHING;
    END LOOP;
END
$body$;

-- One table of settings for both: ours becomes a view of the application's.
CREATE OR REPLACE FUNCTION {{schema}}.connect_configuration(theirs regclass)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    own_id text;
    rights record;
BEGIN
    PERFORM {{schema}}.complete_configuration(theirs);
    IF (SELECT relkind FROM pg_class WHERE oid = '{{schema}}.omni2_config'::regclass) <> 'r' THEN
        RETURN;
    END IF;
    EXECUTE format(
        'INSERT INTO %s (config_key, config_value, description, is_active, created_at, updated_at) '
        'SELECT config_key, coalesce(config_value, ''{}''), description, is_active, created_at, updated_at '
        'FROM {{schema}}.omni2_config ON CONFLICT (config_key) DO NOTHING', theirs
    );
    SELECT pg_get_expr(adbin, adrelid) INTO own_id
    FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
    WHERE adrelid = theirs AND attname = 'id' AND pg_get_expr(adbin, adrelid) LIKE 'nextval(%';
    CREATE TEMPORARY TABLE spanflow_rights ON COMMIT DROP AS
        SELECT entry.privilege_type AS kind, entry.grantee
        FROM pg_catalog.pg_class, aclexplode(relacl) AS entry
        WHERE pg_class.oid = '{{schema}}.omni2_config'::regclass AND entry.grantee <> relowner;
    DROP TABLE {{schema}}.omni2_config;
    EXECUTE format('CREATE VIEW {{schema}}.omni2_config AS SELECT %s config_key, config_value, description, is_active, '
                   'created_at, updated_at FROM %s', CASE WHEN own_id IS NULL THEN '' ELSE 'id,' END, theirs);
    IF own_id IS NOT NULL THEN
        -- So that nobody needs a right on the application's sequence.
        EXECUTE format(
            'CREATE OR REPLACE FUNCTION {{schema}}.next_configuration_id() RETURNS bigint LANGUAGE sql SECURITY DEFINER '
            'SET search_path = pg_catalog, pg_temp AS $next$ SELECT %s $next$', own_id
        );
        ALTER VIEW {{schema}}.omni2_config ALTER COLUMN id SET DEFAULT {{schema}}.next_configuration_id();
    END IF;
    FOR rights IN SELECT * FROM spanflow_rights LOOP
        EXECUTE format('GRANT %s ON {{schema}}.omni2_config TO %s', rights.kind,
                       CASE rights.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(rights.grantee)) END);
    END LOOP;
    DROP TABLE spanflow_rights;
END
$body$;

-- Take over rows that are older than the connection, so many from a place on; gives the place after the last one, null
-- when there are no more.
CREATE OR REPLACE FUNCTION {{schema}}.take_application_rows(wanted text, after tid DEFAULT '(0,0)', batch integer DEFAULT 500)
RETURNS tid
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $body$
DECLARE
    theirs regclass;
    keys   text[];
    old    record;
    taken  bigint := 0;
    last   tid;
    done   boolean;
    old_until timestamptz := {{schema}}.older_flows_until();
BEGIN
    SELECT {{schema}}.application_table(schema_name, table_name) INTO theirs
    FROM {{schema}}.application_tables WHERE table_name = wanted;
    IF theirs IS NULL OR wanted NOT IN ('interaction_flows', 'user_activities') THEN
        RETURN NULL;
    END IF;
    keys := {{schema}}.application_key(theirs);
    FOR old IN EXECUTE format(
        'SELECT ctid AS place, to_jsonb(old) AS was FROM %s AS old WHERE ctid > $1 ORDER BY ctid LIMIT $2', theirs
    ) USING after, batch
    LOOP
        last := old.place;
        BEGIN
            IF wanted = 'interaction_flows' THEN
                done := {{schema}}.take_flow(old.was, keys, false, old_until);
            ELSE
                done := {{schema}}.take_activity(old.was, keys, false);
            END IF;
            taken := taken + done::integer;
        EXCEPTION WHEN OTHERS THEN
            PERFORM {{schema}}.not_in_step('application row', SQLERRM, SQLSTATE, old.was);
        END;
    END LOOP;
    UPDATE {{schema}}.adoptions SET row_count = row_count + taken WHERE table_name = wanted AND taken > 0;
    RETURN last;
END
$body$;

-- The application's tables are its own again; what was mirrored into them stays.
CREATE OR REPLACE FUNCTION {{schema}}.leave_application()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    known  record;
    rights record;
BEGIN
    FOR known IN
        SELECT table_name, to_regclass(format('%I.%I', schema_name, table_name)) AS theirs
        FROM {{schema}}.application_tables
    LOOP
        IF known.theirs IS NOT NULL THEN
            EXECUTE format('DROP TRIGGER IF EXISTS spanflow_takes_over ON %s', known.theirs);
        END IF;
        IF known.table_name = 'omni2_config' THEN
            DROP VIEW IF EXISTS {{schema}}.omni2_config;
            CREATE TABLE IF NOT EXISTS {{schema}}.omni2_config (
                config_key   text        PRIMARY KEY,
                config_value jsonb,
                description  text,
                is_active    boolean     NOT NULL DEFAULT true,
                created_at   timestamptz NOT NULL DEFAULT now(),
                updated_at   timestamptz NOT NULL DEFAULT now(),
                legacy       jsonb
            );
            IF known.theirs IS NOT NULL THEN
                EXECUTE format(
                    'INSERT INTO {{schema}}.omni2_config (config_key, config_value, description, is_active) '
                    'SELECT config_key, config_value, description, is_active FROM %s '
                    'WHERE starts_with(config_key, ''monitor_user_'') ON CONFLICT DO NOTHING', known.theirs
                );
                PERFORM {{schema}}.leave_configuration(known.theirs);
            END IF;
        END IF;
    END LOOP;
    DROP TRIGGER IF EXISTS spanflow_mirrors ON {{schema}}.user_activities;
    DROP FUNCTION IF EXISTS {{schema}}.mirror_flow(jsonb);
    DROP FUNCTION IF EXISTS {{schema}}.mirror_activity();
    DROP FUNCTION IF EXISTS {{schema}}.next_configuration_id();
    DELETE FROM {{schema}}.application_tables;
END
$body$;
