-- What gateways have lost, as they tell it: which service, which stage, and why.

ALTER TABLE {{schema}}.loss_reports ADD COLUMN IF NOT EXISTS service text, ADD COLUMN IF NOT EXISTS cause text;

-- What was usual at an event of a rule that compares with it, in milliseconds: its link finds exactly the flows that were slower.
ALTER TABLE {{schema}}.alert_events ADD COLUMN IF NOT EXISTS baseline double precision;

-- The totals of gateway processes that are in loss_reports already. Written by the evaluator alone.
CREATE TABLE IF NOT EXISTS {{schema}}.process_losses (
    process text        NOT NULL,
    cause   text        NOT NULL,
    total   bigint      NOT NULL,
    -- Refreshed hourly for as long as the process, or its last word, is in Redis.
    told_at timestamptz NOT NULL,
    PRIMARY KEY (process, cause)
);

COMMENT ON TABLE {{schema}}.process_losses IS 'How much of what each gateway process has lost is in loss_reports';

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
    total := total + removed;
    -- A process's totals outlive it in Redis by a day.
    DELETE FROM {{schema}}.process_losses WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {{schema}}.process_losses
        WHERE told_at < now() - interval '7 days' LIMIT greatest(batch, 1)
    ));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN total + removed;
END
$body$;

-- Roles that had their rights before.
DO $rights$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT DISTINCT role.rolname AS name
        FROM pg_class, aclexplode(relacl) AS right_ JOIN pg_roles AS role ON role.oid = right_.grantee
        WHERE pg_class.oid = '{{schema}}.loss_reports'::regclass AND right_.privilege_type = 'INSERT'
          AND right_.grantee <> relowner
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON {{schema}}.process_losses TO %I', given.name);
    END LOOP;
END
$rights$;
