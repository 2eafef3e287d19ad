-- The tables of an application that traced itself before Spanflow, in a schema of its own, and ours: both are kept in step.
--
-- The application's tables stay as they are, and so does every statement of its. What it writes there is taken over into
-- ours by a trigger; what Spanflow's trackers record is mirrored into its tables, in its own shape. Neither can make a
-- statement of the application fail or wait for long: what goes wrong becomes a poison record.

CREATE TABLE IF NOT EXISTS {{schema}}.application_tables (
    table_name   text        PRIMARY KEY,
    schema_name  text        NOT NULL,
    connected_at timestamptz NOT NULL DEFAULT now()
);

-- A table of the application's; null when there is none, or when it is a Spanflow's.
CREATE OR REPLACE FUNCTION {{schema}}.application_table(home text, wanted text)
RETURNS regclass
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT pg_class.oid::regclass
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = home AND relname = wanted AND relkind = 'r' AND home <> '{{schema_name}}'
      AND to_regclass(format('%I.flow_keys', home)) IS NULL
$body$;

CREATE OR REPLACE FUNCTION {{schema}}.application_column(application_table regclass, wanted text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = application_table AND attname = wanted AND attnum > 0 AND NOT attisdropped
$body$;

-- The columns that tell its rows apart.
CREATE OR REPLACE FUNCTION {{schema}}.application_key(application_table regclass)
RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT coalesce(
        (SELECT array_agg(attname::text ORDER BY attnum)
         FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey)
         WHERE conrelid = application_table AND contype = 'p'),
        ARRAY['session_id']
    )
$body$;

-- Whether one column alone is unique in a table.
CREATE OR REPLACE FUNCTION {{schema}}.is_unique(application_table regclass, wanted text)
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT EXISTS (
        SELECT FROM pg_index
        JOIN pg_attribute ON attrelid = indrelid AND attname = wanted AND attnum = indkey[0]
        WHERE indrelid = application_table AND indisunique AND indpred IS NULL AND indnkeyatts = 1 AND indisvalid
    )
$body$;

-- What could not be kept in step. Keeps quiet itself: it is called where nothing may fail.
CREATE OR REPLACE FUNCTION {{schema}}.not_in_step(what text, why text, state text, content jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO {{schema}}.poison_records (kind, user_id, error, sqlstate, payload)
    VALUES (what, content ->> 'user_id', left(why, 1000), state, convert_to(left(content::text, 100000), 'UTF8'));
EXCEPTION WHEN OTHERS THEN
    RAISE LOG 'spanflow: % not in step: %', what, why;
END
$body$;

REVOKE ALL ON FUNCTION {{schema}}.not_in_step(text, text, text, jsonb) FROM PUBLIC;
