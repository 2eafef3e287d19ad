-- The list of conversations: its order, its time range and its search.

-- Where a conversation begins hardly ever changes, so pages in this order stay as they are while others go on.
CREATE INDEX IF NOT EXISTS conversations_started
    ON {{schema}}.conversations (started_at DESC, conversation_id DESC);
CREATE INDEX IF NOT EXISTS conversations_user_started
    ON {{schema}}.conversations (user_id, started_at DESC, conversation_id DESC);
-- Those that have a part in a time, however long before it they began.
CREATE INDEX IF NOT EXISTS conversations_span
    ON {{schema}}.conversations USING gist (tstzrange(started_at, ended_at, '[]'));

-- In a table of its own: a conversation is written with each of its activities, its title once.
CREATE TABLE IF NOT EXISTS {{schema}}.conversation_titles (
    conversation_id text   PRIMARY KEY,
    haystack        text   NOT NULL,
    grams           text[] NOT NULL
);
CREATE INDEX IF NOT EXISTS conversation_titles_grams ON {{schema}}.conversation_titles USING gin (grams);

CREATE OR REPLACE FUNCTION {{schema}}.keep_conversation_title()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.title IS NULL THEN
        DELETE FROM {{schema}}.conversation_titles WHERE conversation_id = OLD.conversation_id;
    ELSE
        INSERT INTO {{schema}}.conversation_titles AS known (conversation_id, haystack, grams)
        VALUES (NEW.conversation_id, {{schema}}.folded(NEW.title),
                {{schema}}.search_grams({{schema}}.folded(NEW.title)))
        ON CONFLICT (conversation_id) DO UPDATE SET haystack = excluded.haystack, grams = excluded.grams;
    END IF;
    RETURN NULL;
END
$body$;

CREATE OR REPLACE TRIGGER conversation_title_added
    AFTER INSERT ON {{schema}}.conversations
    FOR EACH ROW WHEN (NEW.title IS NOT NULL) EXECUTE FUNCTION {{schema}}.keep_conversation_title();
CREATE OR REPLACE TRIGGER conversation_title_changed
    AFTER UPDATE ON {{schema}}.conversations
    FOR EACH ROW WHEN (NEW.title IS DISTINCT FROM OLD.title) EXECUTE FUNCTION {{schema}}.keep_conversation_title();
CREATE OR REPLACE TRIGGER conversation_title_gone
    AFTER DELETE ON {{schema}}.conversations
    FOR EACH ROW WHEN (OLD.title IS NOT NULL) EXECUTE FUNCTION {{schema}}.keep_conversation_title();

INSERT INTO {{schema}}.conversation_titles (conversation_id, haystack, grams)
SELECT conversation_id, {{schema}}.folded(title), {{schema}}.search_grams({{schema}}.folded(title))
FROM {{schema}}.conversations WHERE title IS NOT NULL
ON CONFLICT (conversation_id) DO NOTHING;

-- Which conversations called a tool.
CREATE INDEX IF NOT EXISTS user_activities_tool
    ON {{schema}}.user_activities ((activity_data ->> 'tool_name'), conversation_id)
    WHERE activity_type = 'mcp_tool_call';

-- Whoever may read conversations may search them.
DO $grants$
DECLARE
    reader record;
BEGIN
    FOR reader IN
        SELECT DISTINCT pg_get_userbyid(entry.grantee) AS name
        FROM pg_class, aclexplode(relacl) AS entry
        WHERE pg_class.oid = '{{schema}}.conversations'::regclass
          AND entry.privilege_type = 'SELECT' AND entry.grantee <> relowner AND entry.grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT ON {{schema}}.conversation_titles TO %I', reader.name);
    END LOOP;
END
$grants$;
