-- People are found whatever the letter case, the accents and the order of the words; titles of conversations as well.

-- A text as it is searched: compatibility forms and accents removed, lower case. The same rules for what is stored
-- and for what is asked. `lower` follows the database's own locale, which may know ASCII only: take a better one.
DO $folded$
DECLARE
    letters text := '';
    shape   text := 'value';
BEGIN
    SELECT format(' COLLATE pg_catalog.%I', collname) INTO letters
    FROM pg_collation
    WHERE collnamespace = 'pg_catalog'::regnamespace
      AND collname IN ('pg_c_utf8', 'und-x-icu', 'C.utf8', 'C.UTF-8', 'en_US.utf8')
      AND collencoding IN (-1, pg_char_to_encoding(getdatabaseencoding()))
    ORDER BY array_position(ARRAY['pg_c_utf8', 'und-x-icu', 'C.utf8', 'C.UTF-8', 'en_US.utf8'], collname::text)
    LIMIT 1;
    IF getdatabaseencoding() = 'UTF8' THEN
        shape := 'translate(normalize(regexp_replace(normalize(value, NFKD), '
            '''[\u0300-\u036f\u0591-\u05c7\u064b-\u065f]'', '''', ''g''), NFKC), '
            '''ØøŁłĐđıĦħŦŧςẞß'', ''oollddihhttσss'')';
    END IF;
    EXECUTE format(
        $function$
        CREATE OR REPLACE FUNCTION {{schema}}.folded(value text)
        RETURNS text
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS $body$
            SELECT CASE WHEN octet_length(value) = length(value) THEN lower(value%2$s) ELSE lower(%1$s%2$s) END
        $body$
        $function$,
        shape, coalesce(letters, '')
    );
END
$folded$;

COMMENT ON FUNCTION {{schema}}.folded(text) IS 'A text as it is searched: without letter case and accents';

-- A text as words: what joins them in addresses and names is a space.
CREATE OR REPLACE FUNCTION {{schema}}.search_spaced(value text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $body$ SELECT ' ' || translate(value, '@._+-,''()"/&', '            ') $body$;

-- What a folded text can be found by, for an index without an extension: every run of three characters, with a space
-- before the first of each word; of other scripts single characters and pairs as well, which may be a whole name.
CREATE OR REPLACE FUNCTION {{schema}}.search_grams(value text)
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $body$
    SELECT CASE WHEN octet_length(value) = length(value) THEN (
        SELECT coalesce(array_agg(DISTINCT substr({{schema}}.search_spaced(value), place, 3)), '{}')
        FROM generate_series(1, length(value) - 1) AS place
    ) ELSE (
        SELECT coalesce(array_agg(DISTINCT substr(spaced, place, size)), '{}')
        FROM (SELECT {{schema}}.search_spaced(value) AS spaced) AS texts,
             generate_series(1, length(value) + 1) AS place,
             generate_series(1, 3) AS size
        WHERE place + size <= length(value) + 2
          AND (size = 3 OR (ascii(substr(spaced, place, 1)) > 127 AND ascii(substr(spaced, place + size - 1, 1)) > 127))
    ) END
$body$;

-- The words of a search, folded; all of them must be there.
CREATE OR REPLACE FUNCTION {{schema}}.search_words(q text)
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $body$
    SELECT coalesce(array_agg(word), '{}')
    FROM (
        SELECT DISTINCT word FROM regexp_split_to_table({{schema}}.folded(left(coalesce(q, ''), 200)), '\s+') AS word
        WHERE word <> '' ORDER BY word LIMIT 10
    ) AS words
$body$;

-- What an index must hold of a text with these words. One or two letters are in nearly every text: they are taken as
-- the beginning of a word, and one alone is in no index.
CREATE OR REPLACE FUNCTION {{schema}}.wanted_grams(words text[])
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $body$
    SELECT coalesce(array_agg(DISTINCT gram), '{}')
    FROM unnest(words) AS word,
         LATERAL (
             SELECT substr({{schema}}.search_spaced(word), place, 3) AS gram
             FROM generate_series(2, length(word) - 1) AS place
             UNION ALL
             SELECT word WHERE length(word) < 3 AND ascii(word) > 127 AND ascii(right(word, 1)) > 127
             UNION ALL
             SELECT {{schema}}.search_spaced(word)
             WHERE length(word) = 2 AND NOT (ascii(word) > 127 AND ascii(right(word, 1)) > 127)
         ) AS grams
$body$;

-- Whether all words are there; the index alone may say yes where the parts stand apart.
CREATE OR REPLACE FUNCTION {{schema}}.has_words(haystack text, words text[])
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $body$
    SELECT NOT EXISTS (
        SELECT FROM unnest(words) AS word
        WHERE CASE WHEN length(word) > 2 OR ascii(word) > 127 THEN strpos(haystack, word) = 0
                   ELSE strpos({{schema}}.search_spaced(haystack), {{schema}}.search_spaced(word)) = 0 END
    )
$body$;

-- A pattern for LIKE that finds this anywhere, and nothing more.
CREATE OR REPLACE FUNCTION {{schema}}.like_any_part(value text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $body$ SELECT '%' || regexp_replace({{schema}}.folded(value), '([\\%_])', '\\\1', 'g') || '%' $body$;

-- Stored anew once: what was there knows letter case only.
DO $columns$
BEGIN
    IF EXISTS (
        SELECT FROM pg_attrdef
        JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
        WHERE adrelid = '{{schema}}.user_directory'::regclass AND attname = 'haystack'
          AND pg_get_expr(adbin, adrelid) NOT LIKE '%folded%'
    ) THEN
        ALTER TABLE {{schema}}.user_directory DROP COLUMN haystack, DROP COLUMN grams;
        ALTER TABLE {{schema}}.user_directory
            ADD COLUMN haystack text GENERATED ALWAYS AS ({{schema}}.folded(
                left(coalesce(email, ''), 320) || ' ' || left(coalesce(full_name, ''), 200) || ' ' || left(user_id, 128)
            )) STORED,
            ADD COLUMN grams text[] GENERATED ALWAYS AS ({{schema}}.search_grams({{schema}}.folded(
                left(coalesce(email, ''), 320) || ' ' || left(coalesce(full_name, ''), 200) || ' ' || left(user_id, 128)
            ))) STORED;
        CREATE INDEX user_directory_grams ON {{schema}}.user_directory USING gin (grams);
    END IF;
END
$columns$;

DROP FUNCTION IF EXISTS {{schema}}.search_users(text, integer);

CREATE OR REPLACE FUNCTION {{schema}}.search_users(q text, max_rows integer DEFAULT 20, among text[] DEFAULT NULL)
RETURNS TABLE (user_id text, email text, full_name text, last_seen timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
-- How many people have these letters differs from search to search, and with it the quickest way.
SET plan_cache_mode = force_custom_plan
AS $body$
#variable_conflict use_column
DECLARE
    words  text[]  := {{schema}}.search_words(q);
    wanted text[]  := {{schema}}.wanted_grams(words);
    bound  integer := least(greatest(max_rows, 1), 1000);
    found  text[];
BEGIN
    IF among IS NOT NULL THEN
        RETURN QUERY
        SELECT person.user_id, person.email, person.full_name, person.last_seen
        FROM {{schema}}.user_directory AS person
        WHERE person.user_id = ANY (among) AND person.grams @> wanted AND {{schema}}.has_words(person.haystack, words)
        ORDER BY person.last_seen DESC, person.user_id LIMIT bound;
        RETURN;
    END IF;
    IF words = '{}' THEN
        RETURN QUERY
        SELECT person.user_id, person.email, person.full_name, person.last_seen
        FROM {{schema}}.user_directory AS person
        ORDER BY person.last_seen DESC, person.user_id LIMIT bound;
        RETURN;
    END IF;
    -- What many people have in common, such as the end of an address, is soon found among those who were here last.
    found := ARRAY(
        SELECT recent.user_id
        FROM (
            SELECT * FROM {{schema}}.user_directory AS person
            ORDER BY person.last_seen DESC LIMIT CASE WHEN wanted = '{}' THEN 20000 ELSE 2000 END
        ) AS recent
        WHERE recent.grams @> wanted AND {{schema}}.has_words(recent.haystack, words)
        ORDER BY recent.last_seen DESC, recent.user_id LIMIT bound
    );
    -- What few have is found by the index.
    IF cardinality(found) < bound AND wanted <> '{}' THEN
        WITH all_of_them AS MATERIALIZED (
            SELECT person.user_id, person.last_seen
            FROM {{schema}}.user_directory AS person
            WHERE person.grams @> wanted AND {{schema}}.has_words(person.haystack, words)
        )
        SELECT array_agg(best.user_id) INTO found
        FROM (SELECT * FROM all_of_them ORDER BY all_of_them.last_seen DESC, all_of_them.user_id LIMIT bound) AS best;
    END IF;
    RETURN QUERY
    SELECT person.user_id, person.email, person.full_name, person.last_seen
    FROM {{schema}}.user_directory AS person
    WHERE person.user_id = ANY (found)
    ORDER BY person.last_seen DESC, person.user_id;
END
$body$;

COMMENT ON FUNCTION {{schema}}.search_users(text, integer, text[]) IS
    'People whose id, e-mail address or name has all words of the text in it (one or two letters: begins with them)';

-- One or two letters are in the index over the parts now.
DROP INDEX IF EXISTS
    {{schema}}.user_directory_id, {{schema}}.user_directory_email, {{schema}}.user_directory_name;
