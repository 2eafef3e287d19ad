-- Which kind of denial or error a flow's request was answered with: unauthenticated, forbidden, rate_limited,
-- caller_error or server_error. A new column without a default takes no time, whatever the table holds.

ALTER TABLE {{schema}}.interaction_flows ADD COLUMN IF NOT EXISTS outcome_reason text;

COMMENT ON COLUMN {{schema}}.interaction_flows.outcome_reason IS
    'Which kind of denial or error: unauthenticated, forbidden, rate_limited, caller_error or server_error';

CREATE INDEX IF NOT EXISTS interaction_flows_outcome_reason
    ON ONLY {{schema}}.interaction_flows (outcome_reason, start_key DESC, flow_id DESC) WHERE outcome_reason IS NOT NULL;

DO $empty$
DECLARE
    missing record;
    filled  boolean;
BEGIN
    FOR missing IN SELECT * FROM {{schema}}.missing_flow_indexes() LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM {{schema}}.%I)', missing.partition) INTO filled;
        IF NOT filled THEN
            EXECUTE 'CREATE INDEX ' || missing.definition;
            EXECUTE format('ALTER INDEX {{schema}}.%I ATTACH PARTITION {{schema}}.%I', missing.parent, missing.index);
        END IF;
    END LOOP;
END
$empty$;
