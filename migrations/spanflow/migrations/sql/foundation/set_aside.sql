-- First of all: what is in this schema already?
--
-- A gateway that traced itself before Spanflow has tables named interaction_flows, user_activities and omni2_config.
-- They are renamed here, and adoption.sql copies their rows. The empty shells stay: going down fills them again.

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

    FOREACH target IN ARRAY ARRAY['interaction_flows', 'user_activities', 'omni2_config'] LOOP
        CONTINUE WHEN to_regclass(format('{{schema}}.%I', target)) IS NULL;

        IF (SELECT relkind FROM pg_class WHERE oid = to_regclass(format('{{schema}}.%I', target))) <> 'r' THEN
            RAISE EXCEPTION '{{schema_name}}.% is no ordinary table and cannot be adopted', target
                USING HINT = 'Choose another schema with SPANFLOW_SCHEMA, or rename it.';
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
END
$set_aside$;
