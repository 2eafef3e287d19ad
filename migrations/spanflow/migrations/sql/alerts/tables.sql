-- Alerts: rules, what they found, where that is sent, and what became of each delivery. Rows hold ids, never contents.

CREATE TABLE IF NOT EXISTS {{schema}}.alert_rules (
    rule_id       text        PRIMARY KEY,
    definition    jsonb       NOT NULL,
    -- The users that the rule is about; NULL: all flows.
    user_ids      text[],
    enabled       boolean     NOT NULL DEFAULT true,
    snoozed_until timestamptz,
    version       integer     NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    created_by    text        NOT NULL,
    changed_at    timestamptz NOT NULL DEFAULT now(),
    changed_by    text        NOT NULL
);

-- Written by the evaluator alone.
CREATE TABLE IF NOT EXISTS {{schema}}.alert_states (
    rule_id    text        PRIMARY KEY REFERENCES {{schema}}.alert_rules ON DELETE CASCADE,
    -- The version of the rule that it was evaluated with.
    version    integer     NOT NULL,
    memory     jsonb       NOT NULL,
    flow_ids   text[]      NOT NULL DEFAULT '{}',
    checked_at timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS {{schema}}.alert_events (
    event_id  bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule_id   text             NOT NULL REFERENCES {{schema}}.alert_rules ON DELETE CASCADE,
    at        timestamptz      NOT NULL,
    kind      text             NOT NULL,
    level     text,
    value     double precision,
    threshold double precision,
    since     timestamptz      NOT NULL,
    until     timestamptz      NOT NULL,
    flow_ids  text[]           NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS alert_events_of_rule ON {{schema}}.alert_events (rule_id, event_id DESC);
CREATE INDEX IF NOT EXISTS alert_events_at ON {{schema}}.alert_events (at);

CREATE TABLE IF NOT EXISTS {{schema}}.alert_channels (
    channel_id text        PRIMARY KEY,
    name       text        NOT NULL,
    kind       text        NOT NULL,
    -- What may be shown, and what never leaves the database again but to be used.
    shown      jsonb       NOT NULL DEFAULT '{}',
    hidden     jsonb       NOT NULL DEFAULT '{}',
    enabled    boolean     NOT NULL DEFAULT true,
    version    integer     NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text        NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text        NOT NULL
);

CREATE TABLE IF NOT EXISTS {{schema}}.alert_deliveries (
    delivery_id  text        PRIMARY KEY,
    -- NULL: a test of the channel.
    event_id     bigint      REFERENCES {{schema}}.alert_events ON DELETE CASCADE,
    channel_id   text        NOT NULL REFERENCES {{schema}}.alert_channels ON DELETE CASCADE,
    created_at   timestamptz NOT NULL,
    -- When it is sent, or sent again; NULL: it is done.
    due_at       timestamptz,
    attempts     integer     NOT NULL DEFAULT 0,
    attempted_at timestamptz,
    outcome      text        NOT NULL DEFAULT 'queued',
    status       integer,
    problem      text
);
CREATE INDEX IF NOT EXISTS alert_deliveries_due ON {{schema}}.alert_deliveries (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS alert_deliveries_at ON {{schema}}.alert_deliveries (created_at DESC, delivery_id DESC);
CREATE INDEX IF NOT EXISTS alert_deliveries_of_event ON {{schema}}.alert_deliveries (event_id);
CREATE INDEX IF NOT EXISTS alert_deliveries_of_channel ON {{schema}}.alert_deliveries (channel_id);

-- What processes have lost, as they report it: only what was added since the report before.
CREATE TABLE IF NOT EXISTS {{schema}}.loss_reports (
    at      timestamptz NOT NULL,
    process text        NOT NULL,
    kind    text        NOT NULL,
    number  bigint      NOT NULL
);
CREATE INDEX IF NOT EXISTS loss_reports_at ON {{schema}}.loss_reports (at);

-- One row: when the rules were evaluated last, by whichever viewer.
CREATE TABLE IF NOT EXISTS {{schema}}.alert_rounds (
    only_row  boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    at        timestamptz NOT NULL
);
INSERT INTO {{schema}}.alert_rounds (at) VALUES ('epoch') ON CONFLICT DO NOTHING;

COMMENT ON TABLE {{schema}}.alert_rules IS 'What is watched for';
COMMENT ON TABLE {{schema}}.alert_states IS 'The state of each rule, as of its last evaluation';
COMMENT ON TABLE {{schema}}.alert_events IS 'When rules fired, resolved and so on';
COMMENT ON TABLE {{schema}}.alert_channels IS 'Where events are sent';
COMMENT ON TABLE {{schema}}.alert_deliveries IS 'What was sent, what waits to be sent, and the outcome of each';
COMMENT ON TABLE {{schema}}.loss_reports IS 'Spans and flows that viewers and gateways could not keep, by reason';

-- Ids of flows that were erased are in no new row.
CREATE OR REPLACE FUNCTION {{schema}}.leave_out_erased_flows()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF EXISTS (SELECT FROM {{schema}}.erased_flows WHERE flow_id = ANY (NEW.flow_ids)) THEN
        NEW.flow_ids := ARRAY(
            SELECT id FROM unnest(NEW.flow_ids) AS id
            WHERE NOT EXISTS (SELECT FROM {{schema}}.erased_flows WHERE flow_id = id)
        );
    END IF;
    RETURN NEW;
END
$body$;

CREATE OR REPLACE TRIGGER erased_flow_stays_away
    BEFORE INSERT OR UPDATE ON {{schema}}.alert_events
    FOR EACH ROW WHEN (NEW.flow_ids <> '{}') EXECUTE FUNCTION {{schema}}.leave_out_erased_flows();
CREATE OR REPLACE TRIGGER erased_flow_stays_away
    BEFORE INSERT OR UPDATE ON {{schema}}.alert_states
    FOR EACH ROW WHEN (NEW.flow_ids <> '{}') EXECUTE FUNCTION {{schema}}.leave_out_erased_flows();

-- A step of an erasure, after the flows: rules about the person, and the ids of their flows in what rules found.
CREATE OR REPLACE FUNCTION {{schema}}.erase_alerts(who text)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    removed bigint;
    total   bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM {{schema}}.erasures WHERE user_id = who AND finished_at IS NULL) THEN
        RAISE EXCEPTION 'no erasure of this user has begun';
    END IF;
    DELETE FROM {{schema}}.alert_rules WHERE user_ids = ARRAY[who];
    GET DIAGNOSTICS total = ROW_COUNT;
    UPDATE {{schema}}.alert_rules
    SET user_ids   = array_remove(user_ids, who),
        definition = jsonb_set(definition, '{filters,user_id}', to_jsonb(array_remove(user_ids, who))),
        version    = version + 1
    WHERE who = ANY (user_ids);
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    -- The triggers leave them out.
    UPDATE {{schema}}.alert_states SET flow_ids = flow_ids
    WHERE EXISTS (SELECT FROM {{schema}}.erased_flows WHERE flow_id = ANY (flow_ids));
    UPDATE {{schema}}.alert_events SET flow_ids = flow_ids
    WHERE EXISTS (SELECT FROM {{schema}}.erased_flows WHERE flow_id = ANY (flow_ids));
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    PERFORM {{schema}}.count_erased(who, 'alerts', total);
    RETURN total;
END
$body$;

-- Events and deliveries are kept as long as flows.
CREATE OR REPLACE FUNCTION {{schema}}.expire_alerts(days integer, batch integer DEFAULT 10000)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    oldest  timestamptz := now() - make_interval(days => greatest(days, 1));
    removed bigint;
    total   bigint;
BEGIN
    DELETE FROM {{schema}}.alert_events WHERE event_id IN (
        SELECT event_id FROM {{schema}}.alert_events WHERE at < oldest LIMIT greatest(batch, 1) FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS total = ROW_COUNT;
    DELETE FROM {{schema}}.alert_deliveries WHERE delivery_id IN (
        SELECT delivery_id FROM {{schema}}.alert_deliveries
        WHERE created_at < oldest LIMIT greatest(batch, 1) FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS removed = ROW_COUNT;
    total := total + removed;
    DELETE FROM {{schema}}.loss_reports WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {{schema}}.loss_reports WHERE at < oldest LIMIT greatest(batch, 1)
    ));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN total + removed;
END
$body$;

REVOKE ALL ON FUNCTION
    {{schema}}.leave_out_erased_flows(), {{schema}}.erase_alerts(text), {{schema}}.expire_alerts(integer, integer)
FROM PUBLIC;

-- Roles that had their rights before.
DO $rights$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT DISTINCT role.rolname AS name, proname AS function
        FROM pg_proc, aclexplode(proacl) AS right_ JOIN pg_roles AS role ON role.oid = right_.grantee
        WHERE pg_proc.oid IN ('{{schema}}.expire_spent_tokens()'::regprocedure,
                              '{{schema}}.expire_flow_keys(integer)'::regprocedure,
                              '{{schema}}.begin_erasure(text)'::regprocedure)
          AND right_.grantee <> proowner
    LOOP
        IF given.function = 'begin_erasure' THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION {{schema}}.erase_alerts(text) TO %I', given.name);
        ELSE
            EXECUTE format('GRANT EXECUTE ON FUNCTION {{schema}}.expire_alerts(integer, integer) TO %I', given.name);
        END IF;
        IF given.function = 'expire_spent_tokens' THEN
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON {{schema}}.alert_rules, {{schema}}.alert_channels '
                           'TO %I', given.name);
            EXECUTE format('GRANT SELECT, INSERT, UPDATE ON {{schema}}.alert_states, {{schema}}.alert_deliveries '
                           'TO %I', given.name);
            EXECUTE format('GRANT SELECT, INSERT ON {{schema}}.alert_events, {{schema}}.loss_reports TO %I',
                           given.name);
            EXECUTE format('GRANT SELECT, UPDATE ON {{schema}}.alert_rounds TO %I', given.name);
        END IF;
    END LOOP;
END
$rights$;
