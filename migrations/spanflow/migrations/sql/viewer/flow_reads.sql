-- The two reads that a dashboard makes all day, as functions: their plans are kept in each connection, behind a pooler
-- too. Planning them anew costs ten times what they do, because every partition has a dozen indexes to be considered.

CREATE OR REPLACE FUNCTION {{schema}}.flow_by_id(wanted text)
RETURNS SETOF {{schema}}.interaction_flows
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $body$
DECLARE
    place timestamptz;
BEGIN
    SELECT known.start_key INTO place FROM {{schema}}.flow_keys AS known WHERE known.flow_id = wanted;
    RETURN QUERY SELECT * FROM {{schema}}.interaction_flows AS flow
                 WHERE flow.start_key = place AND flow.flow_id = wanted;
END
$body$;

CREATE OR REPLACE FUNCTION {{schema}}.newest_flows_of(person text, below timestamptz, below_id text, most integer)
RETURNS SETOF {{schema}}.interaction_flows
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $body$
BEGIN
    RETURN QUERY SELECT * FROM {{schema}}.interaction_flows AS flow
                 WHERE flow.user_id = person AND (flow.start_key, flow.flow_id) < (below, below_id)
                 ORDER BY flow.start_key DESC, flow.flow_id DESC LIMIT most;
END
$body$;

COMMENT ON FUNCTION {{schema}}.flow_by_id(text) IS 'One flow with everything that is stored of it';
COMMENT ON FUNCTION {{schema}}.newest_flows_of(text, timestamptz, text, integer) IS
    'The newest flows of one user, from below a place in the list on; that place may be infinity';
