"""Every public name: Redis keys and channels, tables, span attributes, event words.

Change nothing here without a migration for its readers: `tests/span_processors/test_names.py` freezes all of it.
"""

from typing import Final

# -- checkpoints -------------------------------------------------------------------------------------------------------
AUTH_CHECK: Final = "auth_check"
SECURITY_CHECK: Final = "security_check"
BLOCK_CHECK: Final = "block_check"
USAGE_CHECK: Final = "usage_check"
MCP_PERMISSION_CHECK: Final = "mcp_permission_check"
TOOL_FILTER: Final = "tool_filter"
LLM_THINKING: Final = "llm_thinking"
TOOL_CALL: Final = "tool_call"
LLM_COMPLETE: Final = "llm_complete"
ERROR: Final = "error"

#: The ten types that dashboards know; a gateway may add its own.
CHECKPOINT_TYPES: Final = (
    AUTH_CHECK,
    SECURITY_CHECK,
    BLOCK_CHECK,
    USAGE_CHECK,
    MCP_PERMISSION_CHECK,
    TOOL_FILTER,
    LLM_THINKING,
    TOOL_CALL,
    LLM_COMPLETE,
    ERROR,
)
#: Further types, made of what instrumentations say; no name of a span alone makes one of these.
AGENT: Final = "agent"
PLAN: Final = "plan"
RETRIEVAL: Final = "retrieval"
EMBEDDING: Final = "embedding"
MEMORY: Final = "memory"
PROMPT_GET: Final = "prompt_get"
RESOURCE_READ: Final = "resource_read"
#: Waiting for a person's answer, which may take as long as it takes.
ELICITATION: Final = "elicitation"
#: Checkpoints that can refuse a request. A refused request is a complete flow, not a broken one.
GATES: Final = (AUTH_CHECK, SECURITY_CHECK, BLOCK_CHECK, USAGE_CHECK, MCP_PERMISSION_CHECK)
#: The `event_type` of a span that is no checkpoint (an HTTP client call, a query, the server span).
PLAIN_SPAN: Final = "span"

# -- activities --------------------------------------------------------------------------------------------------------
USER_MESSAGE: Final = "user_message"
MCP_TOOL_CALL: Final = "mcp_tool_call"
MCP_TOOL_RESPONSE: Final = "mcp_tool_response"
ASSISTANT_RESPONSE: Final = "assistant_response"
ACTIVITY_TYPES: Final = (USER_MESSAGE, MCP_TOOL_CALL, MCP_TOOL_RESPONSE, ASSISTANT_RESPONSE)

# -- the event ---------------------------------------------------------------------------------------------------------
EVENT_VERSION: Final = 1
START: Final = "start"
UPDATE: Final = "update"
END: Final = "end"
PHASES: Final = (START, UPDATE, END)

STATUS_OK: Final = "ok"
STATUS_ERROR: Final = "error"
#: Of spans that came by OTLP and have no kind.
KIND_UNSPECIFIED: Final = "unspecified"

STATUS_UNSET: Final = "unset"

OUTCOME_OK: Final = "ok"
OUTCOME_DENIED: Final = "denied"
OUTCOME_ERROR: Final = "error"
OUTCOME_CANCELLED: Final = "cancelled"
OUTCOME_INTERRUPTED: Final = "interrupted"
OUTCOMES: Final = (OUTCOME_OK, OUTCOME_DENIED, OUTCOME_ERROR, OUTCOME_CANCELLED, OUTCOME_INTERRUPTED)

#: Which kind of denial or error it was, read from what the request was answered.
UNAUTHENTICATED: Final = "unauthenticated"
FORBIDDEN: Final = "forbidden"
RATE_LIMITED: Final = "rate_limited"
CALLER_ERROR: Final = "caller_error"
SERVER_ERROR: Final = "server_error"
OUTCOME_REASONS: Final = (UNAUTHENTICATED, FORBIDDEN, RATE_LIMITED, CALLER_ERROR, SERVER_ERROR)

#: What an open node may honestly be said to be.
NODE_RUNNING: Final = "running"
NODE_SLOW: Final = "slow"
NODE_STALLED: Final = "stalled"
NODE_LOST: Final = "lost"
NODE_ENDED: Final = "ended"
NODE_STATES: Final = (NODE_RUNNING, NODE_SLOW, NODE_STALLED, NODE_LOST, NODE_ENDED)

# -- span attributes ---------------------------------------------------------------------------------------------------
ATTR_USER_ID: Final = "user.id"
ATTR_USER_EMAIL: Final = "user.email"
ATTR_USER_FULL_NAME: Final = "user.full_name"
ATTR_USER_TEAM: Final = "user.team"
#: The conversation if there is one, else the session: Langfuse and Phoenix group turns by it.
ATTR_SESSION_ID: Final = "session.id"
ATTR_CONVERSATION_ID: Final = "gen_ai.conversation.id"
#: Where other instrumentations and gateways put the same, the best place first. They fill in what none of our own
#: attributes says. Key locations and hashes are not among them: they do not identify who holds the key.
USER_ID_ALIASES: Final = (
    "enduser.id",
    "langfuse.user.id",
    "traceloop.association.properties.user_id",
    "litellm.metadata.user_api_key_user_id",
    "metadata.user_api_key_user_id",
    "litellm.end_user.id",
    "litellm.metadata.user_api_key_end_user_id",
    "metadata.user_api_key_end_user_id",
    "gen_ai.user",
    "llm.user",
)
USER_EMAIL_ALIASES: Final = (
    "litellm.metadata.user_api_key_user_email",
    "metadata.user_api_key_user_email",
)
SESSION_ID_ALIASES: Final = (
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
    "litellm.session.id",
    "litellm.metadata.session_id",
    "metadata.session_id",
)
ATTR_CHECKPOINT_TYPE: Final = "flow.checkpoint.type"
#: On a span directly inside a checkpoint that an instrumentation may describe a second time: that checkpoint's type.
ATTR_WITHIN: Final = "flow.checkpoint.within"
#: On a span that the gateway itself reported as a step of its request, through a tracker older than Spanflow.
ATTR_REPORTED: Final = "flow.reported"
ATTR_FLOW_SESSION_ID: Final = "flow.session_id"
ATTR_SOURCE: Final = "flow.source"
ATTR_OUTCOME: Final = "flow.outcome"
ATTR_DENIED_REASON: Final = "flow.denied.reason"
ATTR_MONITORED: Final = "flow.monitored"
ATTR_REDACTED: Final = "flow.redacted"
#: The source of what a gateway reports that names none, as such gateways store it.
DEFAULT_SOURCE: Final = "chat"
#: Prefix of a checkpoint's own data (`checkpoint("tool_call", mcp="qa")` sets `flow.data.mcp`).
ATTR_DATA_PREFIX: Final = "flow.data."

# -- Redis -------------------------------------------------------------------------------------------------------------
#: The one field of a stream entry; its value is the event as JSON.
STREAM_FIELD: Final = "e"
OPEN_FLOWS: Final = "flows:open"
#: Sorted set: processes that have lost something, by when they told it last.
PROCESSES_WITH_LOSSES: Final = "flows:losses"
MONITORED_USERS: Final = "monitored_users"
MONITORED_UNTIL: Final = "monitored_until"
#: Set: those of them of whom watchers see what happened, but not what was said.
MONITORED_METADATA_ONLY: Final = "monitored_metadata_only"
#: Set: the Spanflows that share this Redis and watch users.
WATCH_OWNERS: Final = "flows:watch_owners"
#: Channel on which a change of the watched set is announced.
MONITORING_CHANGED: Final = "monitoring_changed"


def watched_by(owner: str) -> str:
    """Sorted set: whom one Spanflow watches, by when that ends."""
    return f"flows:watched_by:{owner}"


def withheld_by(owner: str) -> str:
    """Set: of whom it withholds what was said."""
    return f"flows:withheld_by:{owner}"


def flow_stream(flow_id: str) -> str:
    """The stream of one flow. The braces are literal: they keep all keys of a flow in one Redis Cluster slot."""
    return f"flow:{{{flow_id}}}"


def flow_key(flow_id: str, part: str) -> str:
    """A further key of a flow, in the same cluster slot as its stream."""
    return f"flow:{{{flow_id}}}:{part}"


def flow_activities(flow_id: str) -> str:
    """Stream: the activities of a flow that is not archived yet, should its process die before it is."""
    return flow_key(flow_id, "activities")


def flow_told(flow_id: str, instance_id: str) -> str:
    """Key: how many spans of a flow a process has told of, when they are more than its stream may hold."""
    return flow_key(flow_id, f"told:{instance_id}")


def user_flows(user_id: str) -> str:
    """Sorted set: flow ids of one user, by start in seconds."""
    return f"flows:user:{user_id}"


def session_flows(session_id: str) -> str:
    """Sorted set: flow ids of one session, by start in seconds."""
    return f"flows:session:{session_id}"


def conversation_flows(conversation_id: str) -> str:
    """Sorted set: flow ids of one conversation, by start in seconds."""
    return f"flows:conversation:{conversation_id}"


def process_heartbeat(instance_id: str) -> str:
    """Key that a living gateway process keeps refreshing."""
    return f"flows:process:{instance_id}"


def process_description(instance_id: str) -> str:
    """Key with what a process is (its resource and scopes, as in `flow_data.processes`); it outlives the process."""
    return f"flows:process:{instance_id}:about"


def process_losses(instance_id: str) -> str:
    """Key with what a process has lost since it began, once that is something; it outlives the process."""
    return f"flows:process:{instance_id}:losses"


def flow_bell(user_id: str) -> str:
    """Channel that says only `look at this flow`; the payload is the flow id."""
    return f"flow_bell:{user_id}"


def flow_events(user_id: str) -> str:
    """The channel that dashboards written before Spanflow listen to; one message per checkpoint."""
    return f"flow_events:{user_id}"


# -- Postgres ----------------------------------------------------------------------------------------------------------
DEFAULT_SCHEMA: Final = "omni2"
#: Where an application that traced itself before Spanflow has its tables.
DEFAULT_LEGACY_SCHEMA: Final = "omni2"
TABLE_FLOWS: Final = "interaction_flows"
TABLE_FLOW_KEYS: Final = "flow_keys"
TABLE_ACTIVITIES: Final = "user_activities"
TABLE_CONFIG: Final = "omni2_config"
TABLE_USERS: Final = "user_directory"
TABLE_AUDIT: Final = "audit_log"
TABLE_POISON: Final = "poison_records"


def monitor_config_key(user_id: str) -> str:
    """Row of the config table that makes watching a user survive a Redis flush."""
    return f"monitor_user_{user_id}"
