-- Back to what was there before: adopted rows return to their own tables, everything else goes.

DO $back$
DECLARE
    target    text;
    old_table regclass;
    key       text;
    index     text;
    fields    text;
    part      record;
BEGIN
    FOREACH target IN ARRAY ARRAY['interaction_flows', 'user_activities', 'omni2_config'] LOOP
        old_table := to_regclass(format('{{schema}}.%I', target || '_before_spanflow'));
        IF old_table IS NOT NULL THEN
            SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO fields
            FROM pg_attribute
            WHERE attrelid = old_table AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
            key := CASE target WHEN 'user_activities' THEN 'jsonb_build_object(''id'', ours.activity_id)' ELSE '''{}''' END;
            EXECUTE format(
                'INSERT INTO %1$s (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM ('
                '    SELECT (jsonb_populate_record(NULL::%1$s, %3$s || to_jsonb(ours) || ours.legacy)).* '
                '    FROM {{schema}}.%4$I AS ours WHERE ours.legacy IS NOT NULL) AS back',
                old_table, fields, key, target
            );
        END IF;
        -- A configuration table that was there before is used as it is, and stays.
        CONTINUE WHEN target = 'omni2_config' AND old_table IS NULL
                      AND EXISTS (SELECT FROM {{schema}}.adoptions WHERE table_name = target);
        EXECUTE format('DROP TABLE IF EXISTS {{schema}}.%I', target);
        IF old_table IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %s RENAME TO %I', old_table, target);
            FOR index IN
                SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                WHERE indrelid = old_table AND relname LIKE '%\_\_old'
            LOOP
                EXECUTE format('ALTER INDEX {{schema}}.%I RENAME TO %I', index, left(index, -5));
            END LOOP;
        END IF;
    END LOOP;
END
$back$;

DROP TABLE IF EXISTS
    {{schema}}.flow_keys, {{schema}}.conversations, {{schema}}.user_directory, {{schema}}.audit_log,
    {{schema}}.poison_records, {{schema}}.spent_tokens, {{schema}}.adoptions;
DROP FUNCTION IF EXISTS {{schema}}.claim_flow_keys(text[], timestamptz[]);
DROP FUNCTION IF EXISTS {{schema}}.drop_flow_partitions(integer, boolean);
DROP FUNCTION IF EXISTS {{schema}}.expire_flow_keys(integer);
DROP FUNCTION IF EXISTS {{schema}}.expire_activities(integer, integer, boolean);
DROP FUNCTION IF EXISTS {{schema}}.expire_poison_records(integer, boolean);
DROP FUNCTION IF EXISTS {{schema}}.ensure_flow_partitions(integer);
DROP FUNCTION IF EXISTS {{schema}}.flow_partitions();
DROP FUNCTION IF EXISTS {{schema}}.conversations_after_insert();
DROP FUNCTION IF EXISTS {{schema}}.conversations_after_change();
DROP FUNCTION IF EXISTS {{schema}}.count_conversations(text[]);
DROP FUNCTION IF EXISTS {{schema}}.search_users(text, integer);
DROP FUNCTION IF EXISTS {{schema}}.grams(text);
DROP FUNCTION IF EXISTS {{schema}}.legacy_summary(jsonb, timestamptz, timestamptz);
DROP FUNCTION IF EXISTS {{schema}}.legacy_number(jsonb, text);
DROP FUNCTION IF EXISTS {{schema}}.json_number(jsonb, text);
