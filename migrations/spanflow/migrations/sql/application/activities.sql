-- The same for activities.
CREATE OR REPLACE FUNCTION {{schema}}.take_activity(was jsonb, keys text[], anew boolean)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $body$
DECLARE
    id   text := coalesce(was ->> 'activity_id', was ->> 'id');
    data jsonb := coalesce(was -> 'activity_data', '{}');
BEGIN
    IF NOT anew AND EXISTS (SELECT FROM {{schema}}.user_activities WHERE activity_id = id) THEN
        RETURN false;
    END IF;
    IF jsonb_typeof(data) = 'string' THEN
        BEGIN
            data := (data #>> '{}')::jsonb;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END IF;
    INSERT INTO {{schema}}.user_activities AS known (
        activity_id, conversation_id, session_id, user_id, sequence_num, own_number, activity_type, activity_data,
        duration_ms, source, created_at, legacy
    )
    VALUES (
        id, left(was ->> 'conversation_id', 128), left(was ->> 'session_id', 128), left(was ->> 'user_id', 128),
        coalesce((was ->> 'sequence_num')::integer, 0), (was ->> 'sequence_num') IS NOT NULL,
        coalesce(was ->> 'activity_type', 'unknown'), data,
        coalesce((was ->> 'duration_ms')::double precision, {{schema}}.json_number(data, 'duration_ms')),
        left(was ->> 'source', 128), coalesce((was ->> 'created_at')::timestamptz, now()),
        was - ARRAY['activity_id', 'id', 'conversation_id', 'session_id', 'user_id', 'sequence_num', 'activity_type',
                    'activity_data', 'duration_ms', 'source', 'created_at']
    )
    ON CONFLICT (activity_id) DO UPDATE SET
        conversation_id = excluded.conversation_id, session_id = excluded.session_id, user_id = excluded.user_id,
        sequence_num = excluded.sequence_num, own_number = excluded.own_number, activity_type = excluded.activity_type,
        activity_data = excluded.activity_data, duration_ms = excluded.duration_ms, source = excluded.source,
        created_at = excluded.created_at, legacy = excluded.legacy;
    RETURN true;
END
$body$;

CREATE OR REPLACE FUNCTION {{schema}}.application_activity_changed()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $body$
DECLARE
    was jsonb := to_jsonb(CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END);
BEGIN
    IF current_setting('spanflow.mirroring', true) = 'on' THEN
        RETURN NULL;
    END IF;
    BEGIN
        IF TG_OP = 'DELETE' THEN
            DELETE FROM {{schema}}.user_activities
            WHERE activity_id = coalesce(was ->> 'activity_id', was ->> 'id') AND legacy IS NOT NULL;
        ELSE
            PERFORM {{schema}}.take_activity(was, TG_ARGV, true);
        END IF;
    EXCEPTION WHEN OTHERS THEN
        PERFORM {{schema}}.not_in_step('application activity', SQLERRM, SQLSTATE, was);
    END;
    RETURN NULL;
END
$body$;

CREATE OR REPLACE FUNCTION {{schema}}.connect_activities(theirs regclass)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    wanted  record;
    columns text := '';
    given   text := '';
    changes text := '';
BEGIN
    FOR wanted IN
        SELECT name, value, {{schema}}.application_column(theirs, name) AS kind
        FROM (VALUES
            ('activity_id', 'NEW.activity_id'), ('conversation_id', 'NEW.conversation_id'),
            ('session_id', 'NEW.session_id'), ('user_id', 'NEW.user_id'), ('sequence_num', 'NEW.sequence_num'),
            ('activity_type', 'NEW.activity_type'), ('activity_data', 'NEW.activity_data'),
            ('duration_ms', 'NEW.duration_ms'), ('source', 'NEW.source'), ('created_at', 'NEW.created_at')
        ) AS known (name, value)
        WHERE {{schema}}.application_column(theirs, name) IS NOT NULL
    LOOP
        columns := columns || ', ' || wanted.name;
        given := given || format(', (%s)::%s', wanted.value, wanted.kind);
        changes := changes || format(', %1$s = excluded.%1$s', wanted.name);
    END LOOP;
    EXECUTE format(
        $function$
        CREATE OR REPLACE FUNCTION {{schema}}.mirror_activity()
        RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp
        SET lock_timeout = '2s'
        SET timezone = 'UTC'
        SET "spanflow.mirroring" = 'on'
        AS $mirror$
        BEGIN
            BEGIN
                INSERT INTO %1$s (%2$s) VALUES (%3$s) ON CONFLICT (activity_id) DO UPDATE SET %4$s;
            EXCEPTION
                WHEN invalid_text_representation OR numeric_value_out_of_range OR not_null_violation
                     OR string_data_right_truncation THEN
                    NULL;
                WHEN OTHERS THEN
                    PERFORM {{schema}}.not_in_step('mirrored activity', SQLERRM, SQLSTATE, to_jsonb(NEW));
            END;
            RETURN NULL;
        END
        $mirror$
        $function$, theirs, substr(columns, 3), substr(given, 3), substr(changes, 3)
    );
    -- What was taken over from there has `legacy`.
    CREATE OR REPLACE TRIGGER spanflow_mirrors AFTER INSERT OR UPDATE ON {{schema}}.user_activities
        FOR EACH ROW WHEN (NEW.legacy IS NULL) EXECUTE FUNCTION {{schema}}.mirror_activity();
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER spanflow_takes_over AFTER INSERT OR UPDATE OR DELETE ON %s '
        'FOR EACH ROW EXECUTE FUNCTION {{schema}}.application_activity_changed()', theirs
    );
END
$body$;
