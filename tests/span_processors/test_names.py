"""Names that dashboards, gateways and operators rely on. A failing test here means: others break."""

from inline_snapshot import snapshot

from spanflow.span_processors import names


def test_constants_are_frozen() -> None:
    constants = {key: value for key, value in vars(names).items() if key.isupper()}
    assert constants == snapshot(
        {
            "AUTH_CHECK": "auth_check",
            "SECURITY_CHECK": "security_check",
            "BLOCK_CHECK": "block_check",
            "USAGE_CHECK": "usage_check",
            "MCP_PERMISSION_CHECK": "mcp_permission_check",
            "TOOL_FILTER": "tool_filter",
            "LLM_THINKING": "llm_thinking",
            "TOOL_CALL": "tool_call",
            "LLM_COMPLETE": "llm_complete",
            "ERROR": "error",
            "CHECKPOINT_TYPES": (
                "auth_check",
                "security_check",
                "block_check",
                "usage_check",
                "mcp_permission_check",
                "tool_filter",
                "llm_thinking",
                "tool_call",
                "llm_complete",
                "error",
            ),
            "GATES": ("auth_check", "security_check", "block_check", "usage_check", "mcp_permission_check"),
            "PLAIN_SPAN": "span",
            "USER_MESSAGE": "user_message",
            "MCP_TOOL_CALL": "mcp_tool_call",
            "MCP_TOOL_RESPONSE": "mcp_tool_response",
            "ASSISTANT_RESPONSE": "assistant_response",
            "ACTIVITY_TYPES": ("user_message", "mcp_tool_call", "mcp_tool_response", "assistant_response"),
            "EVENT_VERSION": 1,
            "START": "start",
            "UPDATE": "update",
            "END": "end",
            "PHASES": ("start", "update", "end"),
            "STATUS_OK": "ok",
            "STATUS_ERROR": "error",
            "STATUS_UNSET": "unset",
            "OUTCOME_OK": "ok",
            "OUTCOME_DENIED": "denied",
            "OUTCOME_ERROR": "error",
            "OUTCOME_CANCELLED": "cancelled",
            "OUTCOME_INTERRUPTED": "interrupted",
            "OUTCOMES": ("ok", "denied", "error", "cancelled", "interrupted"),
            "NODE_RUNNING": "running",
            "NODE_SLOW": "slow",
            "NODE_STALLED": "stalled",
            "NODE_LOST": "lost",
            "NODE_ENDED": "ended",
            "NODE_STATES": ("running", "slow", "stalled", "lost", "ended"),
            "ATTR_USER_ID": "user.id",
            "ATTR_USER_EMAIL": "user.email",
            "ATTR_USER_FULL_NAME": "user.full_name",
            "ATTR_SESSION_ID": "session.id",
            "ATTR_CONVERSATION_ID": "gen_ai.conversation.id",
            "ATTR_CHECKPOINT_TYPE": "flow.checkpoint.type",
            "ATTR_FLOW_SESSION_ID": "flow.session_id",
            "ATTR_WITHIN": "flow.checkpoint.within",
            "ATTR_SOURCE": "flow.source",
            "ATTR_OUTCOME": "flow.outcome",
            "ATTR_DENIED_REASON": "flow.denied.reason",
            "ATTR_MONITORED": "flow.monitored",
            "ATTR_REDACTED": "flow.redacted",
            "ATTR_DATA_PREFIX": "flow.data.",
            "STREAM_FIELD": "e",
            "OPEN_FLOWS": "flows:open",
            "MONITORED_USERS": "monitored_users",
            "MONITORED_UNTIL": "monitored_until",
            "MONITORED_METADATA_ONLY": "monitored_metadata_only",
            "MONITORING_CHANGED": "monitoring_changed",
            "DEFAULT_SCHEMA": "omni2",
            "TABLE_FLOWS": "interaction_flows",
            "TABLE_FLOW_KEYS": "flow_keys",
            "TABLE_ACTIVITIES": "user_activities",
            "TABLE_CONFIG": "omni2_config",
            "TABLE_USERS": "user_directory",
            "TABLE_AUDIT": "audit_log",
            "TABLE_POISON": "poison_records",
        }
    )


def test_keys_and_channels_are_frozen() -> None:
    flow_id = "83a9" * 8
    assert {
        "stream": names.flow_stream(flow_id),
        "key beside it": names.flow_key(flow_id, "owner"),
        "flows of a user": names.user_flows("neo"),
        "flows of a session": names.session_flows("s1"),
        "flows of a conversation": names.conversation_flows("c1"),
        "heartbeat": names.process_heartbeat("i1"),
        "what a process is": names.process_description("i1"),
        "bell": names.flow_bell("neo"),
        "events": names.flow_events("neo"),
        "config row": names.monitor_config_key("neo"),
    } == snapshot(
        {
            "stream": "flow:{83a983a983a983a983a983a983a983a9}",
            "key beside it": "flow:{83a983a983a983a983a983a983a983a9}:owner",
            "flows of a user": "flows:user:neo",
            "flows of a session": "flows:session:s1",
            "flows of a conversation": "flows:conversation:c1",
            "heartbeat": "flows:process:i1",
            "what a process is": "flows:process:i1:about",
            "bell": "flow_bell:neo",
            "events": "flow_events:neo",
            "config row": "monitor_user_neo",
        }
    )
