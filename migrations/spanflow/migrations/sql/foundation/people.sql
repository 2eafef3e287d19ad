-- Settings of this deployment, who its users are, who did what here, and what could not be stored.

CREATE TABLE IF NOT EXISTS {{schema}}.omni2_config (
    config_key   text        PRIMARY KEY,
    config_value jsonb,
    description  text,
    is_active    boolean     NOT NULL DEFAULT true,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    legacy       jsonb
);

-- Every run of three characters in a text, for an index that finds any part of it without an extension.
CREATE OR REPLACE FUNCTION {{schema}}.grams(value text)
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $body$
    SELECT coalesce(array_agg(DISTINCT substr(value, place, 3)), '{}')
    FROM generate_series(1, length(value) - 2) AS place
$body$;

CREATE TABLE IF NOT EXISTS {{schema}}.user_directory (
    user_id    text        PRIMARY KEY,
    email      text,
    full_name  text,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen  timestamptz NOT NULL DEFAULT now(),
    haystack   text   GENERATED ALWAYS AS (
        lower(left(coalesce(email, ''), 320) || ' ' || left(coalesce(full_name, ''), 200) || ' ' || left(user_id, 128))
    ) STORED,
    grams      text[] GENERATED ALWAYS AS ({{schema}}.grams(
        lower(left(coalesce(email, ''), 320) || ' ' || left(coalesce(full_name, ''), 200) || ' ' || left(user_id, 128))
    )) STORED
);

CREATE INDEX IF NOT EXISTS user_directory_grams ON {{schema}}.user_directory USING gin (grams);
CREATE INDEX IF NOT EXISTS user_directory_seen ON {{schema}}.user_directory (last_seen DESC);
CREATE INDEX IF NOT EXISTS user_directory_id ON {{schema}}.user_directory (lower(user_id) text_pattern_ops);
CREATE INDEX IF NOT EXISTS user_directory_email ON {{schema}}.user_directory (lower(email) text_pattern_ops);
CREATE INDEX IF NOT EXISTS user_directory_name ON {{schema}}.user_directory (lower(full_name) text_pattern_ops);

CREATE OR REPLACE FUNCTION {{schema}}.search_users(q text, max_rows integer DEFAULT 20)
RETURNS TABLE (user_id text, email text, full_name text, last_seen timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
DECLARE
    needle text := lower(btrim(coalesce(q, '')));
    beyond text := lower(btrim(coalesce(q, ''))) || chr(1114111);
    bound  integer := least(greatest(max_rows, 1), 1000);
BEGIN
    IF needle = '' THEN
        RETURN QUERY
        SELECT person.user_id, person.email, person.full_name, person.last_seen
        FROM {{schema}}.user_directory AS person
        ORDER BY person.last_seen DESC LIMIT bound;
    ELSIF length(needle) >= 3 THEN
        RETURN QUERY
        SELECT person.user_id, person.email, person.full_name, person.last_seen
        FROM {{schema}}.user_directory AS person
        WHERE person.grams @> {{schema}}.grams(needle) AND strpos(person.haystack, needle) > 0
        ORDER BY person.last_seen DESC, person.user_id LIMIT bound;
    ELSE
        -- One or two characters are in nearly every row: take them as a beginning.
        RETURN QUERY
        SELECT found.user_id, found.email, found.full_name, found.last_seen
        FROM (
            (SELECT * FROM {{schema}}.user_directory AS person
              WHERE lower(person.user_id) ~>=~ needle AND lower(person.user_id) ~<~ beyond LIMIT bound)
            UNION
            (SELECT * FROM {{schema}}.user_directory AS person
              WHERE lower(person.email) ~>=~ needle AND lower(person.email) ~<~ beyond LIMIT bound)
            UNION
            (SELECT * FROM {{schema}}.user_directory AS person
              WHERE lower(person.full_name) ~>=~ needle AND lower(person.full_name) ~<~ beyond LIMIT bound)
        ) AS found
        ORDER BY found.last_seen DESC, found.user_id LIMIT bound;
    END IF;
END
$body$;

COMMENT ON FUNCTION {{schema}}.search_users(text, integer) IS
    'People whose id, e-mail address or name contains the text (begins with it, when it has one or two characters)';

CREATE TABLE IF NOT EXISTS {{schema}}.audit_log (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    actor       text        NOT NULL,
    actor_role  text,
    action      text        NOT NULL,
    target_user text,
    target      text,
    reason      text,
    remote      text,
    outcome     text        NOT NULL DEFAULT 'ok',
    detail      jsonb       NOT NULL DEFAULT '{}'
);

CREATE INDEX IF NOT EXISTS audit_log_at ON {{schema}}.audit_log (at DESC, id DESC);
CREATE INDEX IF NOT EXISTS audit_log_target ON {{schema}}.audit_log (target_user, at DESC, id DESC);
CREATE INDEX IF NOT EXISTS audit_log_actor ON {{schema}}.audit_log (actor, at DESC, id DESC);

CREATE TABLE IF NOT EXISTS {{schema}}.poison_records (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    kind     text        NOT NULL,
    flow_id  text,
    user_id  text,
    instance text,
    error    text        NOT NULL,
    sqlstate text,
    payload  bytea       NOT NULL
);

CREATE INDEX IF NOT EXISTS poison_records_at ON {{schema}}.poison_records (at);

-- One-time codes and tickets that were used, and sessions that were signed out, over all viewer processes.
CREATE TABLE IF NOT EXISTS {{schema}}.spent_tokens (
    token_hash bytea       PRIMARY KEY,
    kind       text        NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS spent_tokens_expire ON {{schema}}.spent_tokens (expires_at);
