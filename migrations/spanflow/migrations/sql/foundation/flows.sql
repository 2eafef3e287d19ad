-- Flows: one row per trace, in weekly partitions.
--
-- The partition key `start_key` is chosen once per flow and kept in `flow_keys`, because a primary key over the
-- partition key alone would let one flow become two rows as soon as an earlier span arrives late.

CREATE TABLE IF NOT EXISTS {{schema}}.interaction_flows (
    -- The defaults let a gateway that still writes the table of old go on until it is replaced.
    flow_id          text             NOT NULL DEFAULT replace(gen_random_uuid()::text, '-', ''),
    start_key        timestamptz      NOT NULL DEFAULT now(),
    started_at       timestamptz      NOT NULL DEFAULT now(),
    ended_at         timestamptz,
    session_id       text,
    user_id          text,
    conversation_id  text,
    source           text,
    name             text,
    created_at       timestamptz      NOT NULL DEFAULT now(),
    completed_at     timestamptz,
    duration_ms      double precision,
    outcome          text,
    gate             text,
    reason           text,
    status           text,
    status_message   text,
    error_count      integer          NOT NULL DEFAULT 0,
    denied_count     integer          NOT NULL DEFAULT 0,
    span_count       integer          NOT NULL DEFAULT 0,
    checkpoint_count integer          NOT NULL DEFAULT 0,
    tokens_in        bigint           NOT NULL DEFAULT 0,
    tokens_out       bigint           NOT NULL DEFAULT 0,
    cost             double precision,
    event_types      text[]           NOT NULL DEFAULT '{}',
    tools            text[]           NOT NULL DEFAULT '{}',
    mcp_servers      text[]           NOT NULL DEFAULT '{}',
    models           text[]           NOT NULL DEFAULT '{}',
    processes        text[]           NOT NULL DEFAULT '{}',
    redacted_count   integer          NOT NULL DEFAULT 0,
    cut_spans        integer          NOT NULL DEFAULT 0,
    cut_bytes        bigint           NOT NULL DEFAULT 0,
    complete         boolean          NOT NULL DEFAULT true,
    complete_why     text,
    search           tsvector,
    flow_data        jsonb            NOT NULL DEFAULT '{}',
    flow_bytes       integer          NOT NULL DEFAULT 0,
    legacy           jsonb,
    revision         integer          NOT NULL DEFAULT 1,
    updated_at       timestamptz      NOT NULL DEFAULT now(),
    -- Also the order in which lists are paged: unlike `started_at` this key never changes.
    PRIMARY KEY (start_key, flow_id)
) PARTITION BY RANGE (start_key);

COMMENT ON COLUMN {{schema}}.interaction_flows.start_key IS 'Partition and paging key; fixed once per flow in flow_keys';
COMMENT ON COLUMN {{schema}}.interaction_flows.started_at IS 'The true start; moves when an earlier span arrives late';
COMMENT ON COLUMN {{schema}}.interaction_flows.legacy IS 'What an adopted row had in columns of its own';

CREATE INDEX IF NOT EXISTS interaction_flows_user
    ON {{schema}}.interaction_flows (user_id, start_key DESC, flow_id DESC);
CREATE INDEX IF NOT EXISTS interaction_flows_session
    ON {{schema}}.interaction_flows (session_id, start_key);
CREATE INDEX IF NOT EXISTS interaction_flows_conversation
    ON {{schema}}.interaction_flows (conversation_id, start_key) WHERE conversation_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS interaction_flows_outcome
    ON {{schema}}.interaction_flows (outcome, start_key DESC, flow_id DESC) WHERE outcome <> 'ok';
-- One index, so that a write fills one pending list.
CREATE INDEX IF NOT EXISTS interaction_flows_search
    ON {{schema}}.interaction_flows USING gin (search, tools, mcp_servers, models, event_types);

CREATE TABLE IF NOT EXISTS {{schema}}.flow_keys (
    flow_id   text        PRIMARY KEY,
    start_key timestamptz NOT NULL
);
-- Only the clean-up after a dropped partition reads by time; keys arrive nearly in its order.
CREATE INDEX IF NOT EXISTS flow_keys_start ON {{schema}}.flow_keys USING brin (start_key);

-- lz4 is quicker than the default and not in every server (it is a build option).
DO $lz4$
BEGIN
    IF EXISTS (
        SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)
    ) THEN
        ALTER TABLE {{schema}}.interaction_flows ALTER COLUMN flow_data SET COMPRESSION lz4;
    END IF;
END
$lz4$;
