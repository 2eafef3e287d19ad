-- First of all: what is in this schema already?
--
-- An application that traced itself before Spanflow has tables named interaction_flows and user_activities. Its
-- statements bind numbers and UUIDs, which columns of ours do not take, so its tables are not touched unless that was
-- asked for (`spanflow migrate --adopt`). Then they are renamed here and their rows copied; the empty shells stay: going
-- down fills them again. Its omni2_config is used as it is.

CREATE TABLE IF NOT EXISTS {{schema}}.adoptions (
    table_name text        PRIMARY KEY,
    adopted_at timestamptz NOT NULL DEFAULT now(),
    row_count  bigint      NOT NULL,
    keep_until timestamptz NOT NULL
);

DO $set_aside$
DECLARE
    taken   text;
    blocker text;
    target  text;
    index   text;
BEGIN
    IF EXISTS (SELECT FROM {{schema}}.spanflow_schema_version) THEN
        RETURN;  -- everything here is ours
    END IF;

    SELECT string_agg(relname::text, ', ' ORDER BY relname) INTO taken
    FROM pg_class
    WHERE relnamespace = '{{schema}}'::regnamespace
      AND relname = ANY (ARRAY['flow_keys', 'conversations', 'user_directory', 'audit_log', 'poison_records',
                               'spent_tokens'])
      AND relkind = ANY (ARRAY['r', 'p', 'v', 'm', 'f']::"char"[]);
    IF taken IS NOT NULL THEN
        RAISE EXCEPTION 'schema {{schema_name}} has relations of another application under names that Spanflow needs: %',
            taken USING HINT = 'Choose another schema with SPANFLOW_SCHEMA, or rename them.';
    END IF;

    FOREACH target IN ARRAY ARRAY['interaction_flows', 'user_activities'] LOOP
        CONTINUE WHEN to_regclass(format('{{schema}}.%I', target)) IS NULL;

        IF (SELECT relkind FROM pg_class WHERE oid = to_regclass(format('{{schema}}.%I', target))) <> 'r' THEN
            RAISE EXCEPTION '{{schema_name}}.% is no ordinary table and cannot be adopted', target
                USING HINT = 'Choose another schema with SPANFLOW_SCHEMA, or rename it.';
        END IF;

        IF coalesce(current_setting('spanflow.adopt', true), '') <> 'on' THEN
            RAISE EXCEPTION '{{schema_name}}.% belongs to an application that would not be able to use it any more', target
                USING HINT = 'Give Spanflow a schema of its own (SPANFLOW_SCHEMA=spanflow): the application''s tables stay '
                             'as they are and both are kept in step. Or convert them for good: spanflow migrate --adopt.';
        END IF;

        SELECT string_agg(DISTINCT who, ', ') INTO blocker
        FROM (
            SELECT format('foreign key %s of %s', conname, conrelid::regclass) AS who
            FROM pg_constraint
            WHERE contype = 'f' AND confrelid = to_regclass(format('{{schema}}.%I', target)) AND conrelid <> confrelid
            UNION ALL
            SELECT format('view %s', ev_class::regclass)
            FROM pg_depend JOIN pg_rewrite ON pg_rewrite.oid = objid
            WHERE classid = 'pg_rewrite'::regclass AND refclassid = 'pg_class'::regclass
              AND refobjid = to_regclass(format('{{schema}}.%I', target)) AND ev_class <> refobjid
        ) AS dependents;
        IF blocker IS NOT NULL THEN
            RAISE EXCEPTION '{{schema_name}}.% cannot be adopted while others depend on it: %', target, blocker
                USING HINT = 'Drop these, migrate, and make them again; nothing has been changed.';
        END IF;

        -- Index names are unique in a schema: make way for ours.
        FOR index IN
            SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
            WHERE indrelid = to_regclass(format('{{schema}}.%I', target))
        LOOP
            EXECUTE format('ALTER INDEX {{schema}}.%I RENAME TO %I', index, left(index, 58) || '__old');
        END LOOP;
        EXECUTE format('ALTER TABLE {{schema}}.%I RENAME TO %I', target, target || '_before_spanflow');
    END LOOP;

    IF to_regclass('{{schema}}.omni2_config') IS NOT NULL THEN
        IF (SELECT relkind FROM pg_class WHERE oid = to_regclass('{{schema}}.omni2_config')) <> 'r' THEN
            RAISE EXCEPTION '{{schema_name}}.omni2_config is no ordinary table and cannot be used'
                USING HINT = 'Choose another schema with SPANFLOW_SCHEMA, or rename it.';
        END IF;
        EXECUTE 'INSERT INTO {{schema}}.adoptions (table_name, row_count, keep_until) '
                'SELECT ''omni2_config'', count(*), now() FROM {{schema}}.omni2_config';
    END IF;
END
$set_aside$;
