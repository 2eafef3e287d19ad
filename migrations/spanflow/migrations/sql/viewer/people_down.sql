DROP FUNCTION IF EXISTS {{schema}}.like_any_part(text);
DROP FUNCTION IF EXISTS {{schema}}.search_users(text, integer, text[]);
DO $columns$
BEGIN
    IF to_regclass('{{schema}}.user_directory') IS NOT NULL THEN
        ALTER TABLE {{schema}}.user_directory DROP COLUMN haystack, DROP COLUMN grams;
        ALTER TABLE {{schema}}.user_directory
            ADD COLUMN haystack text GENERATED ALWAYS AS (
                lower(left(coalesce(email, ''), 320) || ' ' || left(coalesce(full_name, ''), 200) || ' ' || left(user_id, 128))
            ) STORED,
            ADD COLUMN grams text[] GENERATED ALWAYS AS ({{schema}}.grams(
                lower(left(coalesce(email, ''), 320) || ' ' || left(coalesce(full_name, ''), 200) || ' ' || left(user_id, 128))
            )) STORED;
    END IF;
END
$columns$;
DROP FUNCTION IF EXISTS {{schema}}.has_words(text, text[]);
DROP FUNCTION IF EXISTS {{schema}}.wanted_grams(text[]);
DROP FUNCTION IF EXISTS {{schema}}.search_words(text);
DROP FUNCTION IF EXISTS {{schema}}.search_grams(text);
DROP FUNCTION IF EXISTS {{schema}}.search_spaced(text);
DROP FUNCTION IF EXISTS {{schema}}.folded(text);
