-- What the person saw: messages, tool calls and their answers, numbered within a conversation.

CREATE TABLE IF NOT EXISTS {{schema}}.user_activities (
    activity_id     text             PRIMARY KEY DEFAULT gen_random_uuid()::text,
    conversation_id text,
    session_id      text,
    user_id         text,
    flow_id         text,
    node_id         text,
    -- Not unique within a conversation: a number that the caller gave (`own_number`) is kept.
    sequence_num    integer          NOT NULL DEFAULT 0,
    own_number      boolean          NOT NULL DEFAULT false,
    activity_type   text             NOT NULL,
    activity_data   jsonb            NOT NULL DEFAULT '{}',
    duration_ms     double precision,
    source          text,
    created_at      timestamptz      NOT NULL DEFAULT now(),
    legacy          jsonb
);

CREATE INDEX IF NOT EXISTS idx_activities_conversation ON {{schema}}.user_activities (conversation_id, sequence_num);
CREATE INDEX IF NOT EXISTS idx_activities_user ON {{schema}}.user_activities (user_id, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_activities_session ON {{schema}}.user_activities (session_id, created_at);
CREATE INDEX IF NOT EXISTS idx_activities_type ON {{schema}}.user_activities (activity_type, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_activities_created ON {{schema}}.user_activities (created_at);
CREATE INDEX IF NOT EXISTS idx_activities_mcp_server
    ON {{schema}}.user_activities ((activity_data ->> 'mcp_server'), created_at DESC)
    WHERE activity_data ? 'mcp_server';
CREATE INDEX IF NOT EXISTS user_activities_flow ON {{schema}}.user_activities (flow_id) WHERE flow_id IS NOT NULL;

-- One row per conversation, so that a list of conversations reads no activities. Only the triggers below write it.
CREATE TABLE IF NOT EXISTS {{schema}}.conversations (
    conversation_id text             PRIMARY KEY,
    user_id         text,
    session_id      text,
    title           text,
    started_at      timestamptz      NOT NULL,
    ended_at        timestamptz      NOT NULL,
    activity_count  integer          NOT NULL,
    tool_calls      integer          NOT NULL,
    tokens          bigint           NOT NULL,
    cost            double precision,
    mcp_servers     text[]           NOT NULL
);

CREATE INDEX IF NOT EXISTS conversations_user
    ON {{schema}}.conversations (user_id, ended_at DESC, conversation_id DESC);
CREATE INDEX IF NOT EXISTS conversations_ended ON {{schema}}.conversations (ended_at DESC, conversation_id DESC);
CREATE INDEX IF NOT EXISTS conversations_mcp_servers ON {{schema}}.conversations USING gin (mcp_servers);

-- A number in a document, or null when it is something else.
CREATE OR REPLACE FUNCTION {{schema}}.json_number(document jsonb, field text)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $body$
    SELECT CASE WHEN jsonb_typeof(document -> field) = 'number' AND length(document ->> field) < 40
                THEN (document ->> field)::double precision END
$body$;

CREATE OR REPLACE FUNCTION {{schema}}.conversations_after_insert()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO {{schema}}.conversations AS known (
        conversation_id, user_id, session_id, title, started_at, ended_at,
        activity_count, tool_calls, tokens, cost, mcp_servers
    )
    SELECT added.conversation_id,
           (array_agg(added.user_id ORDER BY added.sequence_num, added.created_at) FILTER (WHERE added.user_id IS NOT NULL))[1],
           (array_agg(added.session_id ORDER BY added.sequence_num, added.created_at) FILTER (WHERE added.session_id IS NOT NULL))[1],
           left((array_agg(added.activity_data ->> 'message' ORDER BY added.sequence_num, added.created_at)
                 FILTER (WHERE added.activity_type = 'user_message'))[1], 200),
           min(added.created_at),
           max(added.created_at),
           count(*),
           count(*) FILTER (WHERE added.activity_type = 'mcp_tool_call'),
           coalesce(sum({{schema}}.json_number(added.activity_data, 'tokens_used')), 0),
           sum({{schema}}.json_number(added.activity_data, 'cost')),
           coalesce(array_agg(DISTINCT added.activity_data ->> 'mcp_server')
                    FILTER (WHERE added.activity_data ->> 'mcp_server' IS NOT NULL), '{}')
    FROM added
    WHERE added.conversation_id IS NOT NULL
    GROUP BY added.conversation_id
    ORDER BY added.conversation_id  -- everybody locks in one order
    ON CONFLICT (conversation_id) DO UPDATE SET
        user_id        = coalesce(known.user_id, excluded.user_id),
        session_id     = coalesce(known.session_id, excluded.session_id),
        title          = coalesce(known.title, excluded.title),
        started_at     = least(known.started_at, excluded.started_at),
        ended_at       = greatest(known.ended_at, excluded.ended_at),
        activity_count = known.activity_count + excluded.activity_count,
        tool_calls     = known.tool_calls + excluded.tool_calls,
        tokens         = known.tokens + excluded.tokens,
        cost           = CASE WHEN known.cost IS NULL THEN excluded.cost
                              ELSE known.cost + coalesce(excluded.cost, 0) END,
        mcp_servers    = CASE WHEN known.mcp_servers @> excluded.mcp_servers THEN known.mcp_servers
                              ELSE ARRAY(SELECT server FROM unnest(known.mcp_servers || excluded.mcp_servers) AS server
                                         GROUP BY server ORDER BY server) END;
    RETURN NULL;
END
$body$;

-- After a change of what is there already: count those conversations anew. New numbers alone change nothing here.
CREATE OR REPLACE FUNCTION {{schema}}.conversations_after_change()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    touched text[];
BEGIN
    IF TG_OP = 'DELETE' THEN
        SELECT array_agg(DISTINCT conversation_id) INTO touched FROM before WHERE conversation_id IS NOT NULL;
    ELSE
        SELECT array_agg(DISTINCT conversation.id) INTO touched
        FROM before
        FULL JOIN after USING (activity_id)
        CROSS JOIN LATERAL (VALUES (before.conversation_id), (after.conversation_id)) AS conversation (id)
        WHERE conversation.id IS NOT NULL
          AND (before.conversation_id, before.user_id, before.session_id, before.activity_type,
               before.activity_data, before.created_at)
              IS DISTINCT FROM
              (after.conversation_id, after.user_id, after.session_id, after.activity_type,
               after.activity_data, after.created_at);
    END IF;
    IF touched IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM FROM {{schema}}.conversations WHERE conversation_id = ANY (touched) ORDER BY conversation_id FOR UPDATE;
    DELETE FROM {{schema}}.conversations WHERE conversation_id = ANY (touched);
    PERFORM {{schema}}.count_conversations(touched);
    RETURN NULL;
END
$body$;

-- `wanted` null means all of them.
CREATE OR REPLACE FUNCTION {{schema}}.count_conversations(wanted text[])
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $body$
    INSERT INTO {{schema}}.conversations (
        conversation_id, user_id, session_id, title, started_at, ended_at,
        activity_count, tool_calls, tokens, cost, mcp_servers
    )
    SELECT stored.conversation_id,
           (array_agg(stored.user_id ORDER BY stored.sequence_num, stored.created_at) FILTER (WHERE stored.user_id IS NOT NULL))[1],
           (array_agg(stored.session_id ORDER BY stored.sequence_num, stored.created_at) FILTER (WHERE stored.session_id IS NOT NULL))[1],
           left((array_agg(stored.activity_data ->> 'message' ORDER BY stored.sequence_num, stored.created_at)
                 FILTER (WHERE stored.activity_type = 'user_message'))[1], 200),
           min(stored.created_at),
           max(stored.created_at),
           count(*),
           count(*) FILTER (WHERE stored.activity_type = 'mcp_tool_call'),
           coalesce(sum({{schema}}.json_number(stored.activity_data, 'tokens_used')), 0),
           sum({{schema}}.json_number(stored.activity_data, 'cost')),
           coalesce(array_agg(DISTINCT stored.activity_data ->> 'mcp_server')
                    FILTER (WHERE stored.activity_data ->> 'mcp_server' IS NOT NULL), '{}')
    FROM {{schema}}.user_activities AS stored
    WHERE stored.conversation_id IS NOT NULL AND (wanted IS NULL OR stored.conversation_id = ANY (wanted))
    GROUP BY stored.conversation_id
$body$;
