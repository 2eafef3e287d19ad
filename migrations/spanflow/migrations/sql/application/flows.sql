-- Up to when flows go to the partition of those that are older than Spanflow; null when there is none. Looking through
-- the partitions takes longer than taking over a flow.
CREATE OR REPLACE FUNCTION {{schema}}.older_flows_until()
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT max(upper_key) FROM {{schema}}.flow_partitions() WHERE NOT weekly
$body$;

-- Take over a flow of the application's: its row as a document, and the columns that tell rows apart. `anew` replaces
-- what was taken over before; `old_until` is what `older_flows_until` gives, which is looked up for an old flow if it is
-- null. Gives whether there was anything to do.
CREATE OR REPLACE FUNCTION {{schema}}.take_flow(was jsonb, keys text[], anew boolean, old_until timestamptz)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $body$
DECLARE
    document jsonb := was -> 'flow_data';
    id       text;
    place    timestamptz;
    seen     record;
BEGIN
    -- Mirrored rows are ours already, unless they are all that is left of an earlier installation.
    IF document ? 'spanflow'
       AND (anew OR EXISTS (SELECT FROM {{schema}}.interaction_flows WHERE session_id = was ->> 'session_id')) THEN
        RETURN false;
    END IF;
    SELECT md5('application ' || string_agg(coalesce(was ->> key, ''), ' ' ORDER BY place_of)) INTO id
    FROM unnest(keys) WITH ORDINALITY AS known (key, place_of);
    IF NOT anew AND EXISTS (SELECT FROM {{schema}}.flow_keys WHERE flow_id = id) THEN
        RETURN false;
    END IF;
    IF jsonb_typeof(document) = 'string' THEN
        BEGIN
            document := (document #>> '{}')::jsonb;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END IF;
    SELECT * INTO seen
    FROM {{schema}}.legacy_summary(document, (was ->> 'created_at')::timestamptz, (was ->> 'completed_at')::timestamptz);
    -- Spanflow begins with the week before it was installed: what is newer than a week is in one of its own partitions.
    IF old_until IS NULL AND seen.started_at < now() - interval '7 days' THEN
        old_until := {{schema}}.older_flows_until();
    END IF;
    IF seen.started_at < old_until THEN
        INSERT INTO {{schema}}.flow_keys (flow_id, start_key) VALUES (id, seen.started_at) ON CONFLICT DO NOTHING;
        SELECT start_key INTO place FROM {{schema}}.flow_keys WHERE flow_id = id;
    ELSE
        SELECT start_key INTO place FROM {{schema}}.claim_flow_keys(ARRAY[id], ARRAY[seen.started_at]);
    END IF;
    INSERT INTO {{schema}}.interaction_flows AS known (
        flow_id, start_key, started_at, ended_at, session_id, user_id, conversation_id, source, name,
        created_at, completed_at, duration_ms, outcome, gate, reason, status,
        error_count, denied_count, span_count, checkpoint_count, tokens_in, tokens_out,
        event_types, tools, mcp_servers, models, complete_why, search, flow_data, flow_bytes, legacy
    )
    VALUES (
        id, place, seen.started_at, seen.ended_at, left(was ->> 'session_id', 128), left(was ->> 'user_id', 128),
        left(was ->> 'conversation_id', 128), left(was ->> 'source', 128), seen.name,
        seen.created_at, seen.completed_at, seen.duration_ms, seen.outcome, seen.gate, seen.reason, seen.status,
        seen.error_count, seen.denied_count, seen.event_count, seen.event_count, seen.tokens_in, seen.tokens_out,
        seen.event_types, seen.tools, seen.mcp_servers, seen.models, 'legacy', seen.search, seen.document,
        pg_column_size(seen.document),
        was - ARRAY['session_id', 'user_id', 'conversation_id', 'source', 'flow_data', 'created_at', 'completed_at']
    )
    ON CONFLICT (start_key, flow_id) DO UPDATE SET
        started_at = excluded.started_at, ended_at = excluded.ended_at, session_id = excluded.session_id,
        user_id = excluded.user_id, conversation_id = excluded.conversation_id, source = excluded.source,
        name = excluded.name, created_at = excluded.created_at, completed_at = excluded.completed_at,
        duration_ms = excluded.duration_ms, outcome = excluded.outcome, gate = excluded.gate, reason = excluded.reason,
        status = excluded.status, error_count = excluded.error_count, denied_count = excluded.denied_count,
        span_count = excluded.span_count, checkpoint_count = excluded.checkpoint_count,
        tokens_in = excluded.tokens_in, tokens_out = excluded.tokens_out, event_types = excluded.event_types,
        tools = excluded.tools, mcp_servers = excluded.mcp_servers, models = excluded.models,
        search = excluded.search, flow_data = excluded.flow_data, flow_bytes = excluded.flow_bytes,
        legacy = excluded.legacy, revision = known.revision + 1, updated_at = now();
    RETURN true;
END
$body$;

-- Its trigger: takes over what the application writes, and lets go of what it deletes.
CREATE OR REPLACE FUNCTION {{schema}}.application_flow_changed()
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
            DELETE FROM {{schema}}.interaction_flows AS flow USING {{schema}}.flow_keys AS known
            WHERE known.flow_id = (SELECT md5('application ' || string_agg(coalesce(was ->> key, ''), ' ' ORDER BY place_of))
                                   FROM unnest(TG_ARGV) WITH ORDINALITY AS of_row (key, place_of))
              AND flow.start_key = known.start_key AND flow.flow_id = known.flow_id;
        ELSE
            PERFORM {{schema}}.take_flow(was, TG_ARGV, true, NULL);
        END IF;
    EXCEPTION WHEN OTHERS THEN
        PERFORM {{schema}}.not_in_step('application flow', SQLERRM, SQLSTATE, was);
    END;
    RETURN NULL;
END
$body$;

-- The events of a session's row: what other flows of the session have brought stays.
CREATE OR REPLACE FUNCTION {{schema}}.with_events_of(before jsonb, id text, events jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT coalesce(jsonb_agg(entry ORDER BY at NULLS LAST, place), '[]')
    FROM (
        SELECT entry, {{schema}}.legacy_number(entry, 'timestamp') AS at, place
        FROM (
            SELECT entry, place FROM jsonb_array_elements(
                CASE jsonb_typeof(before -> 'events') WHEN 'array' THEN before -> 'events' ELSE '[]' END
            ) WITH ORDINALITY AS known (entry, place)
            WHERE entry ->> 'flow_id' IS DISTINCT FROM id
            UNION ALL
            SELECT entry, 1000000 + place FROM jsonb_array_elements(events) WITH ORDINALITY AS added (entry, place)
        ) AS every
        ORDER BY at DESC NULLS LAST, place DESC LIMIT 10000
    ) AS latest
$body$;

-- Make the function that mirrors a flow into the application's table, for the columns and types which that has.
CREATE OR REPLACE FUNCTION {{schema}}.connect_flows(theirs regclass)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    optional record;
    columns  text := 'session_id, user_id, flow_data';
    given    text := format('mirrored.session_id::%s, mirrored.user_id::%s, %%s::%s',
                            {{schema}}.application_column(theirs, 'session_id'),
                            {{schema}}.application_column(theirs, 'user_id'),
                            {{schema}}.application_column(theirs, 'flow_data'));
    changes  text := '';
    writing  text;
BEGIN
    FOR optional IN
        SELECT name, value, change, {{schema}}.application_column(theirs, name) AS kind
        FROM (VALUES
            ('conversation_id', 'mirrored.conversation_id', 'coalesce(excluded.conversation_id, known.conversation_id)'),
            ('source', 'coalesce(mirrored.source, ''chat'')', 'excluded.source'),
            ('created_at', 'mirrored.started_at', 'least(known.created_at, excluded.created_at)'),
            ('completed_at', 'mirrored.completed_at', 'greatest(known.completed_at, excluded.completed_at)')
        ) AS wanted (name, value, change)
        WHERE {{schema}}.application_column(theirs, name) IS NOT NULL
    LOOP
        columns := columns || ', ' || optional.name;
        given := given || format(', (%s)::%s', replace(optional.value, '%', '%%'), optional.kind);
        changes := changes || format(', %s = %s', optional.name, optional.change);
    END LOOP;
    IF {{schema}}.is_unique(theirs, 'session_id') THEN
        writing := format(
            'INSERT INTO %1$s AS known (%2$s) VALUES (%3$s) ON CONFLICT (session_id) DO UPDATE SET flow_data = '
            '(jsonb_build_object(''session_id'', mirrored.session_id, ''user_id'', known.user_id, ''spanflow'', true, '
            '''events'', {{schema}}.with_events_of(known.flow_data::jsonb, mirrored.flow_id, mirrored.events)))::%5$s%4$s;',
            theirs, columns,
            format(given, 'jsonb_build_object(''session_id'', mirrored.session_id, ''user_id'', mirrored.user_id::' ||
                          {{schema}}.application_column(theirs, 'user_id') ||
                          ', ''spanflow'', true, ''events'', mirrored.events)'),
            changes, {{schema}}.application_column(theirs, 'flow_data')
        );
    ELSE
        writing := format(
            'DELETE FROM %1$s WHERE session_id = mirrored.session_id::%4$s '
            'AND flow_data::jsonb ->> ''spanflow'' = mirrored.flow_id; INSERT INTO %1$s (%2$s) VALUES (%3$s);',
            theirs, columns,
            format(given, 'jsonb_build_object(''session_id'', mirrored.session_id, ''user_id'', mirrored.user_id::' ||
                          {{schema}}.application_column(theirs, 'user_id') ||
                          ', ''spanflow'', mirrored.flow_id, ''events'', mirrored.events)'),
            {{schema}}.application_column(theirs, 'session_id')
        );
    END IF;
    EXECUTE format(
        $function$
        CREATE OR REPLACE FUNCTION {{schema}}.mirror_flow(mirrored jsonb)
        RETURNS boolean
        LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp
        SET lock_timeout = '2s'
        SET timezone = 'UTC'
        SET "spanflow.mirroring" = 'on'
        AS $mirror$
        DECLARE
            document ALIAS FOR mirrored;
        BEGIN
            IF NOT has_table_privilege(session_user, '{{schema}}.interaction_flows', 'INSERT') THEN
                RAISE EXCEPTION 'only who may write flows may mirror them' USING ERRCODE = 'insufficient_privilege';
            END IF;
            DECLARE
                mirrored record;
            BEGIN
                SELECT * INTO mirrored FROM jsonb_to_record(document) AS flow (
                    flow_id text, session_id text, user_id text, conversation_id text, source text,
                    started_at timestamptz, completed_at timestamptz, events jsonb
                );
                %s
            EXCEPTION
                -- Ids that are none in the application: such a flow cannot be one of its own.
                WHEN invalid_text_representation OR numeric_value_out_of_range OR not_null_violation
                     OR string_data_right_truncation THEN
                    RETURN false;
                WHEN OTHERS THEN
                    PERFORM {{schema}}.not_in_step('mirrored flow', SQLERRM, SQLSTATE, document);
                    RETURN false;
            END;
            RETURN true;
        END
        $mirror$
        $function$, writing
    );
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER spanflow_takes_over AFTER INSERT OR UPDATE OR DELETE ON %s '
        'FOR EACH ROW EXECUTE FUNCTION {{schema}}.application_flow_changed(%s)',
        theirs, (SELECT string_agg(quote_literal(key), ', ') FROM unnest({{schema}}.application_key(theirs)) AS key)
    );
END
$body$;
