-- Erasing a person. What has been erased must not come back from a spool, a stream or a process that is still running,
-- so the tables themselves refuse it: whoever writes, in whatever version, by whichever way.

CREATE TABLE IF NOT EXISTS {{schema}}.erasures (
    user_id      text        PRIMARY KEY,
    -- What began up to this moment is refused; a person who comes back later is recorded anew.
    erased_until timestamptz NOT NULL,
    begun_at     timestamptz NOT NULL,
    finished_at  timestamptz,
    erased       jsonb       NOT NULL DEFAULT '{}'
);

CREATE TABLE IF NOT EXISTS {{schema}}.erased_flows (
    flow_id   text        PRIMARY KEY,
    erased_at timestamptz NOT NULL DEFAULT now(),
    -- A process may still write to its stream.
    running   boolean     NOT NULL
);
CREATE INDEX IF NOT EXISTS erased_flows_at ON {{schema}}.erased_flows (erased_at);
CREATE INDEX IF NOT EXISTS erased_flows_running ON {{schema}}.erased_flows (erased_at) WHERE running;

COMMENT ON TABLE {{schema}}.erasures IS 'Whose data was erased, up to when, and how much it was';
COMMENT ON TABLE {{schema}}.erased_flows IS 'Flows that were erased: parts of them that arrive later are refused';


-- Writers share a lock until they commit, and an erasure takes it alone to say up to when it goes: whoever has stored
-- something without having seen that has committed before, and is found.
CREATE OR REPLACE FUNCTION {{schema}}.refuse_erased_flow()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    -- The transaction's number is part of it: a setting that somebody else has made says nothing.
    mark text := '{{schema_name}} ' || pg_current_xact_id()::text;
BEGIN
    -- A transaction stores many flows. What the first one has found stays true as long as the lock is held, because an
    -- erasure begins alone.
    IF current_setting('spanflow.nothing_is_erased', true) = mark THEN
        RETURN NEW;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('spanflow erasures {{schema_name}}', 0));
    IF NOT EXISTS (SELECT FROM {{schema}}.erasures) AND NOT EXISTS (SELECT FROM {{schema}}.erased_flows) THEN
        PERFORM set_config('spanflow.nothing_is_erased', mark, true);
        RETURN NEW;
    END IF;
    IF EXISTS (SELECT FROM {{schema}}.erased_flows WHERE flow_id = NEW.flow_id) THEN
        RETURN NULL;
    ELSIF EXISTS (
        SELECT FROM {{schema}}.erasures WHERE user_id = NEW.user_id AND NEW.started_at <= erased_until
    ) THEN
        -- Later parts of it may not say whose it is.
        INSERT INTO {{schema}}.erased_flows (flow_id, running) VALUES (NEW.flow_id, true) ON CONFLICT DO NOTHING;
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$body$;

-- It turns out only now whose a stored flow is.
CREATE OR REPLACE FUNCTION {{schema}}.remove_erased_flow()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('spanflow erasures {{schema_name}}', 0));
    IF EXISTS (
        SELECT FROM {{schema}}.erasures WHERE user_id = NEW.user_id AND NEW.started_at <= erased_until
    ) THEN
        INSERT INTO {{schema}}.erased_flows (flow_id, running) VALUES (NEW.flow_id, true) ON CONFLICT DO NOTHING;
        DELETE FROM {{schema}}.interaction_flows WHERE start_key = NEW.start_key AND flow_id = NEW.flow_id;
        DELETE FROM {{schema}}.user_activities
        WHERE flow_id = NEW.flow_id AND (user_id = NEW.user_id OR user_id IS NULL);
    END IF;
    RETURN NULL;
END
$body$;

CREATE OR REPLACE FUNCTION {{schema}}.refuse_erased_activity()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('spanflow erasures {{schema_name}}', 0));
    IF EXISTS (SELECT FROM {{schema}}.erased_flows WHERE flow_id = NEW.flow_id)
       OR EXISTS (SELECT FROM {{schema}}.erasures WHERE user_id = NEW.user_id AND NEW.created_at <= erased_until) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$body$;

CREATE OR REPLACE FUNCTION {{schema}}.refuse_erased_user()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('spanflow erasures {{schema_name}}', 0));
    IF EXISTS (SELECT FROM {{schema}}.erasures WHERE user_id = NEW.user_id AND NEW.last_seen <= erased_until) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$body$;

-- A record that could not be stored does not say when its flow began: none is kept of whoever was erased.
CREATE OR REPLACE FUNCTION {{schema}}.refuse_erased_record()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('spanflow erasures {{schema_name}}', 0));
    IF EXISTS (SELECT FROM {{schema}}.erased_flows WHERE flow_id = NEW.flow_id)
       OR EXISTS (SELECT FROM {{schema}}.erasures WHERE user_id = NEW.user_id) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$body$;

CREATE OR REPLACE TRIGGER erased_flow_stays_away
    BEFORE INSERT ON {{schema}}.interaction_flows
    FOR EACH ROW EXECUTE FUNCTION {{schema}}.refuse_erased_flow();
CREATE OR REPLACE TRIGGER erased_flow_is_removed
    AFTER UPDATE OF user_id ON {{schema}}.interaction_flows
    FOR EACH ROW WHEN (NEW.user_id IS NOT NULL AND NEW.user_id IS DISTINCT FROM OLD.user_id)
    EXECUTE FUNCTION {{schema}}.remove_erased_flow();
CREATE OR REPLACE TRIGGER erased_activity_stays_away
    BEFORE INSERT ON {{schema}}.user_activities
    FOR EACH ROW EXECUTE FUNCTION {{schema}}.refuse_erased_activity();
CREATE OR REPLACE TRIGGER erased_user_stays_away
    BEFORE INSERT ON {{schema}}.user_directory
    FOR EACH ROW EXECUTE FUNCTION {{schema}}.refuse_erased_user();
CREATE OR REPLACE TRIGGER erased_record_stays_away
    BEFORE INSERT ON {{schema}}.poison_records
    FOR EACH ROW EXECUTE FUNCTION {{schema}}.refuse_erased_record();
