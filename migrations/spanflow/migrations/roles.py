"""What each part of Spanflow may do in the database: SQL for the DBA who makes its roles."""

from spanflow.migrations.scripts import quoted
from spanflow.span_processors.names import DEFAULT_SCHEMA

_GATEWAY = """\
-- {role}: the gateway. Writes flows and activities, changes no table, cannot read the audit log.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, INSERT, UPDATE ON
    {schema}.interaction_flows, {schema}.flow_keys, {schema}.user_activities, {schema}.user_directory TO {role};
GRANT SELECT ON {schema}.omni2_config, {schema}.spanflow_schema_version TO {role};
GRANT SELECT, INSERT ON {schema}.poison_records TO {role};
GRANT EXECUTE ON FUNCTION
    {schema}.ensure_flow_partitions(integer), {schema}.drop_flow_partitions(integer, boolean),
    {schema}.expire_flow_keys(integer), {schema}.expire_activities(integer, integer, boolean),
    {schema}.expire_poison_records(integer, boolean), {schema}.expire_statistics(integer),
    {schema}.expire_alerts(integer, integer), {schema}.expire_annotations(integer) TO {role};
"""

_VIEWER = """\
-- {role}: the viewer. Reads all, archives what a dead gateway left, deletes no flow; appends to the audit log only.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};
GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role};
GRANT INSERT, UPDATE ON
    {schema}.interaction_flows, {schema}.flow_keys, {schema}.user_activities, {schema}.user_directory,
    {schema}.omni2_config TO {role};
GRANT INSERT ON {schema}.poison_records, {schema}.spent_tokens TO {role};
GRANT INSERT, DELETE ON {schema}.step_statistics, {schema}.flow_statistics TO {role};
GRANT DELETE ON {schema}.changed_periods TO {role};
GRANT INSERT, UPDATE, DELETE ON {schema}.alert_rules, {schema}.alert_channels TO {role};
GRANT INSERT, UPDATE ON {schema}.alert_states, {schema}.alert_deliveries, {schema}.process_losses TO {role};
GRANT INSERT ON {schema}.alert_events, {schema}.loss_reports TO {role};
GRANT UPDATE ON {schema}.alert_rounds TO {role};
GRANT INSERT, UPDATE (revoked_at, revoked_by, opened_at, opened) ON {schema}.share_links TO {role};
GRANT INSERT, UPDATE, DELETE ON {schema}.flow_notes, {schema}.saved_filters TO {role};
GRANT INSERT (actor, actor_role, action, target_user, target, reason, remote, outcome, detail)
    ON {schema}.audit_log TO {role};
GRANT EXECUTE ON FUNCTION
    {schema}.expire_audit_log(integer, integer, boolean), {schema}.expire_spent_tokens(),
    {schema}.ensure_flow_partitions(integer), {schema}.drop_flow_partitions(integer, boolean),
    {schema}.expire_flow_keys(integer), {schema}.expire_activities(integer, integer, boolean),
    {schema}.expire_poison_records(integer, boolean), {schema}.expire_statistics(integer),
    {schema}.expire_alerts(integer, integer), {schema}.expire_annotations(integer) TO {role};
"""

_READER = """\
-- {role}: reads flows, for reports and for the viewer's own reads.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON
    {schema}.interaction_flows, {schema}.flow_keys, {schema}.user_activities, {schema}.conversations,
    {schema}.conversation_titles, {schema}.user_directory, {schema}.omni2_config,
    {schema}.step_statistics, {schema}.flow_statistics, {schema}.changed_periods, {schema}.flow_notes,
    {schema}.spanflow_schema_version TO {role};
"""

_ERASER = """\
-- {role}: erases people, by the steps of an erasure and nothing else; reads and changes no table itself.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT EXECUTE ON FUNCTION
    {schema}.begin_erasure(text), {schema}.flows_to_erase(text, integer), {schema}.erase_flows(text, text[], boolean),
    {schema}.erase_alerts(text), {schema}.erase_annotations(text), {schema}.erase_rest(text, integer),
    {schema}.finish_erasure(text) TO {role};
"""


def grants(
    schema: str = DEFAULT_SCHEMA, *, gateway: str = "", viewer: str = "", reader: str = "", eraser: str = ""
) -> str:
    """Statements that give each named role what it needs. The roles must exist; giving twice does no harm."""
    parts = ((_GATEWAY, gateway), (_VIEWER, viewer), (_READER, reader), (_ERASER, eraser))
    return "\n".join(text.format(schema=quoted(schema), role=quoted(role)) for text, role in parts if role)
