-- Copy the rows of an old user_activities table.

DO $adopt$
DECLARE
    old_table regclass := to_regclass('{{schema}}.user_activities_before_spanflow');
    own_id    text;
    adopted   bigint;
    mapped    text[] := ARRAY['activity_id', 'conversation_id', 'session_id', 'user_id', 'flow_id', 'node_id',
                              'sequence_num', 'activity_type', 'activity_data', 'duration_ms', 'source', 'created_at'];
BEGIN
    IF old_table IS NULL OR EXISTS (SELECT FROM {{schema}}.adoptions WHERE table_name = 'user_activities') THEN
        RETURN;
    END IF;
    -- Tables of old name their key either way.
    own_id := {{schema}}.spanflow_old_column(old_table, 'activity_id', 'text');
    IF own_id LIKE 'NULL%' THEN
        own_id := {{schema}}.spanflow_old_column(old_table, 'id', 'text');
        mapped := mapped || 'id'::text;
    END IF;
    EXECUTE format(
        $copy$
        INSERT INTO {{schema}}.user_activities (
            activity_id, conversation_id, session_id, user_id, flow_id, node_id, sequence_num, own_number,
            activity_type, activity_data, duration_ms, source, created_at, legacy
        )
        SELECT coalesce(%1$s, gen_random_uuid()::text), %2$s, %3$s, %4$s, %5$s, %6$s, coalesce(%7$s, 0), %7$s IS NOT NULL,
               coalesce(%8$s, 'unknown'), coalesce(%9$s, '{}'),
               coalesce(%10$s, {{schema}}.json_number(%9$s, 'duration_ms')), %11$s, coalesce(%12$s, now()),
               to_jsonb(old) - $1
        FROM %13$s AS old
        $copy$,
        own_id,
        {{schema}}.spanflow_old_column(old_table, 'conversation_id', 'text'),
        {{schema}}.spanflow_old_column(old_table, 'session_id', 'text'),
        {{schema}}.spanflow_old_column(old_table, 'user_id', 'text'),
        {{schema}}.spanflow_old_column(old_table, 'flow_id', 'text'),
        {{schema}}.spanflow_old_column(old_table, 'node_id', 'text'),
        {{schema}}.spanflow_old_column(old_table, 'sequence_num', 'integer'),
        {{schema}}.spanflow_old_column(old_table, 'activity_type', 'text'),
        {{schema}}.spanflow_old_column(old_table, 'activity_data', 'jsonb'),
        {{schema}}.spanflow_old_column(old_table, 'duration_ms', 'double precision'),
        {{schema}}.spanflow_old_column(old_table, 'source', 'text'),
        {{schema}}.spanflow_old_column(old_table, 'created_at', 'timestamptz'),
        old_table
    ) USING mapped;
    GET DIAGNOSTICS adopted = ROW_COUNT;
    PERFORM {{schema}}.count_conversations(NULL);
    INSERT INTO {{schema}}.adoptions (table_name, row_count, keep_until)
    VALUES ('user_activities', adopted, now() + interval '90 days');
    PERFORM {{schema}}.spanflow_same_rights(old_table, '{{schema}}.user_activities');
    EXECUTE format('TRUNCATE %s', old_table);
END
$adopt$;
