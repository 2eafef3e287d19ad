"""The settings of a gateway: what a process that is traced reads beside the shared ones.

The viewer has a table of its own, so that a mistake in one of its variables never keeps a gateway from being traced.
"""

from dataclasses import dataclass

from spanflow.span_processors.setting_parsers import (
    claims,
    flag,
    functions,
    names,
    noise_rules,
    one_of,
    peers,
    rules,
    seconds,
    text,
    whole,
)
from spanflow.span_processors.setting_table import MIB, setting
from spanflow.span_processors.shared_settings import SharedSettings


@dataclass(frozen=True, slots=True)
class Settings(SharedSettings):
    """Everything that a gateway's tracing reads. Build it with `from_environ` when a process starts, or by hand."""

    # -- switched on ---------------------------------------------------------------------------------------------------
    enabled: bool = setting(
        "SPANFLOW_ENABLED",
        False,
        "Trace this process. Off by default, because installing a package must not change a running gateway.",
        parse=flag,
    )
    mirror_enabled: bool = setting(
        "SPANFLOW_REDIS_ENABLED", True, "Mirror events into Redis.", parse=flag, also="REDIS_ENABLED"
    )
    archive_enabled: bool = setting("SPANFLOW_ARCHIVE_ENABLED", True, "Write completed flows to Postgres.", parse=flag)

    # -- what is recorded ----------------------------------------------------------------------------------------------
    content: str = setting(
        "SPANFLOW_CONTENT",
        "off",
        "What people and models said (prompts, answers, tool arguments and results, documents) on spans, on their "
        "events and on exported log records: full keeps it (redacted), hash keeps a fingerprint and the length, off "
        "leaves it out. Activities that are recorded explicitly have a switch of their own.",
        parse=one_of("full", "hash", "off"),
    )
    redact_emails: bool = setting(
        "SPANFLOW_REDACT_EMAILS", False, "Hide e-mail addresses inside texts too (never the user's own).", parse=flag
    )
    redact_keys: tuple[str, ...] = setting(
        "SPANFLOW_REDACT_KEYS",
        (),
        "More attribute or field names whose values are hidden, separated by commas.",
        parse=names,
    )
    redact_keep_keys: tuple[str, ...] = setting(
        "SPANFLOW_REDACT_KEEP_KEYS",
        (),
        "Attribute names that are kept though they sound like secrets, separated by commas.",
        parse=names,
    )
    activities_enabled: bool = setting(
        "SPANFLOW_ACTIVITIES_ENABLED",
        True,
        "Keep the activities that a gateway records on purpose (record_user_message and its siblings).",
        parse=flag,
        also="ACTIVITY_TRACKING_ENABLED",
    )
    activities_validate_ids: bool = setting(
        "SPANFLOW_ACTIVITIES_VALIDATE_IDS",
        False,
        "Leave out activities whose conversation id is not a UUID.",
        parse=flag,
        also="ACTIVITY_TRACKING_VALIDATE_IDS",
    )
    replace_flow_tracker: tuple[str, ...] = setting(
        "SPANFLOW_REPLACE_FLOW_TRACKER",
        (),
        "Your gateway's own FlowTracker classes to replace as they are imported, as package.module.Class.",
        parse=names,
    )
    replace_activity_tracker: tuple[str, ...] = setting(
        "SPANFLOW_REPLACE_ACTIVITY_TRACKER",
        (),
        "The same for its ActivityTracker classes.",
        parse=names,
    )
    max_value_length: int = setting(
        "SPANFLOW_MAX_VALUE_LENGTH",
        8192,
        "Longer texts are shortened to this many characters before they are stored anywhere.",
        parse=whole(64, 1_000_000),
    )
    max_flow_text: int = setting(
        "SPANFLOW_MAX_FLOW_TEXT",
        4_000_000,
        "Characters of one flow that are searched for secrets. When they are used up, its further texts are shortened "
        "to 256 characters, which spanflow.redaction.shortened counts.",
        parse=whole(10_000, 1_000_000_000),
    )

    # -- who a request belongs to, and where its flow begins -----------------------------------------------------------
    trusted_peers: tuple[str, ...] = setting(
        "SPANFLOW_TRUSTED_PEERS",
        ("127.0.0.0/8", "::1", "unix", "forwarded"),
        "Networks whose identity headers are believed, comma-separated (your forward-auth proxy). unix: a Unix "
        "socket. forwarded: requests whose X-Forwarded-For the server itself accepted. nobody: no peer at all.",
        parse=peers,
    )
    user_id_header: str = setting(
        "SPANFLOW_USER_ID_HEADER", "x-user-id", "Request header with the user's id; `off` reads none.", parse=text
    )
    email_header: str = setting(
        "SPANFLOW_EMAIL_HEADER", "x-user-email", "Request header with the user's e-mail; `off` reads none.", parse=text
    )
    session_id_header: str = setting(
        "SPANFLOW_SESSION_ID_HEADER", "x-session-id", "Request header with the session; `off` reads none.", parse=text
    )
    conversation_id_header: str = setting(
        "SPANFLOW_CONVERSATION_ID_HEADER",
        "x-conversation-id",
        "Request header with the conversation; `off` reads none.",
        parse=text,
    )
    source_header: str = setting(
        "SPANFLOW_SOURCE_HEADER",
        "x-source",
        "Request header that says where a request comes from (web, slack, …); `off` reads none.",
        parse=text,
    )
    team_header: str = setting(
        "SPANFLOW_TEAM_HEADER",
        "x-user-team",
        "Request header with the user's team, believed on connections of trusted peers only; `off` reads none.",
        parse=text,
    )
    jwt_claims: tuple[str, ...] = setting(
        "SPANFLOW_JWT_CLAIMS",
        (),
        "What a request's JSON Web Token says of its user, as field=claim, separated by commas, such as "
        "user_id=sub,email=email; standard is user_id=sub,email=email,full_name=name. Signatures are not verified.",
        parse=claims,
    )
    jwt_header: str = setting(
        "SPANFLOW_JWT_HEADER",
        "authorization",
        "Request header that the token stands in, after Bearer or alone.",
        parse=text,
    )
    body_user: tuple[str, ...] = setting(
        "SPANFLOW_BODY_USER",
        (),
        "Fields of JSON bodies that name the user where nothing else does, the best first, separated by commas: "
        "user,metadata.user_id is what OpenAI's and Anthropic's clients send. Bodies over 256 KiB are not looked at.",
        parse=names,
    )
    extractors: tuple[str, ...] = setting(
        "SPANFLOW_EXTRACTORS",
        (),
        "Functions of the gateway's own that look at a request's ASGI scope and say whose it is, as module:function, "
        "separated by commas.",
        parse=functions,
    )
    trusted_callers: tuple[str, ...] = setting(
        "SPANFLOW_TRUSTED_CALLERS",
        (),
        "Networks whose traceparent is followed: their flow is continued here. Everybody else's is only linked to.",
        parse=peers,
    )
    join_caller: bool = setting(
        "SPANFLOW_JOIN_CALLER",
        False,
        "This process is called by your own gateway (an MCP server of yours): every caller's flow is continued.",
        parse=flag,
    )
    mcp_baggage: tuple[str, ...] = setting(
        "SPANFLOW_MCP_BAGGAGE",
        (),
        "Names of OpenTelemetry baggage entries that may go to MCP servers; * for all. By default none does.",
        parse=names,
    )
    websocket_turns: bool = setting(
        "SPANFLOW_WEBSOCKET_TURNS",
        True,
        "Each message that comes in on a WebSocket begins a flow of its own, linked to the connection.",
        parse=flag,
    )
    fastapi_message_spans: bool = setting(
        "SPANFLOW_FASTAPI_MESSAGE_SPANS",
        False,
        "A span for each ASGI message too (one per chunk of a streamed answer).",
        parse=flag,
    )
    fastapi_operation_spans: bool = setting(
        "SPANFLOW_FASTAPI_OPERATION_SPANS",
        False,
        "The fastapi.* spans of FastAPI's own tracing, where that is used: dependencies, endpoint, serialization.",
        parse=flag,
    )
    private_providers: bool = setting(
        "SPANFLOW_PRIVATE_PROVIDERS",
        True,
        "Record the spans of tracer providers, too, that libraries make for themselves beside the global one.",
        parse=flag,
    )
    checkpoint_rules: tuple[str, ...] = setting(
        "SPANFLOW_CHECKPOINT_RULES",
        (),
        "Which other spans are checkpoints, by name or attribute, with * as wildcard; separated by semicolons: "
        "check_token=auth_check; @http.route:/guard/*=security_check; noisy.chat=span.",
        parse=rules,
    )
    gateway: str = setting(
        "SPANFLOW_GATEWAY",
        "auto",
        "Which gateway's own names of spans and noise are known: litellm, contextforge, fastmcp or omni2-bridge; auto "
        "goes by what the process has imported, off knows none. Named, omni2-bridge has its trackers replaced as well.",
        parse=one_of("auto", "off", "litellm", "contextforge", "fastmcp", "omni2-bridge"),
    )
    leave_out_noise: bool = setting(
        "SPANFLOW_LEAVE_OUT_NOISE",
        True,
        "Leave out flows of health checks, scrapes, the gateway's own jobs and single queries outside of any request, "
        "as long as they end well and have no checkpoint. spanflow.flows.left_out counts them.",
        parse=flag,
    )
    noise_rules: tuple[str, ...] = setting(
        "SPANFLOW_NOISE_RULES",
        (),
        "More flows that are left out then, by their first span, with * as wildcard; separated by semicolons: a path "
        "that is read (/internal/*), a name (nightly *), or an attribute (@user_agent.original:Pingdom*).",
        parse=noise_rules,
    )
    openinference: bool = setting(
        "SPANFLOW_OPENINFERENCE",
        False,
        "Say openinference.span.kind on checkpoints, for Phoenix and other readers of OpenInference.",
        parse=flag,
    )
    flush_timeout: float = setting(
        "SPANFLOW_FLUSH_TIMEOUT",
        5.0,
        "Seconds that a gateway's end takes at most once its application has stopped: until its last flows are stored, "
        "or spooled, and exporters have sent what they hold.",
        parse=seconds(0, 300),
    )

    # -- from a span to Redis ------------------------------------------------------------------------------------------
    stream_maxlen: int = setting(
        "SPANFLOW_STREAM_MAXLEN",
        10_000,
        "Events kept in the Redis stream of one flow, approximately; older ones are trimmed.",
        parse=whole(100, 10_000_000),
    )
    queue_spans: int = setting(
        "SPANFLOW_QUEUE_SPANS",
        65_536,
        "Starts and ends of spans that may wait in a process before they are encoded.",
        parse=whole(16, 10_000_000),
    )
    queue_bytes: int = setting(
        "SPANFLOW_QUEUE_BYTES",
        64 * MIB,
        "Bytes that may wait before they are encoded, and again for each sink (Redis, Postgres) after it.",
        parse=whole(64 * 1024, 16 * 1024 * MIB),
    )
    batch_interval: float = setting(
        "SPANFLOW_BATCH_INTERVAL",
        0.005,
        "Seconds for which events are collected before they are encoded together. Watched users do not wait for it.",
        parse=seconds(0, 1),
    )
    quick_spans: bool = setting(
        "SPANFLOW_QUICK_SPANS",
        True,
        "Make the SDK's spans in a cheaper way of our own where `opentelemetry-instrument` or `configure` started us.",
        parse=flag,
    )
    native: str = setting(
        "SPANFLOW_NATIVE",
        "off",
        "Whether the native core (the package spanflow-core, experimental) does what it can do quicker: auto uses it "
        "where it is installed, require refuses to trace without it, off uses Python. Events are the same.",
        parse=one_of("auto", "off", "require"),
    )
    gc_freeze: bool = setting(
        "SPANFLOW_GC_FREEZE",
        False,
        "When the gateway's application has started, collect garbage once and leave out of all later collections what "
        "is there then. For gateways whose slowest requests matter.",
        parse=flag,
    )
    gc_threshold: int = setting(
        "SPANFLOW_GC_THRESHOLD",
        0,
        "New objects after which Python looks for garbage in a gateway, such as 50000. 0 leaves it as it is.",
        parse=whole(0, 100_000_000),
    )
    watched_refresh: float = setting(
        "SPANFLOW_WATCHED_REFRESH",
        3.0,
        "Seconds after which a gateway reads the watched users again even without an announced change.",
        parse=seconds(0.05, 300),
    )

    # -- when a flow is complete, and how large it may grow ------------------------------------------------------------
    flow_grace: float = setting(
        "SPANFLOW_FLOW_GRACE",
        2.0,
        "Seconds without an open span after the root has ended, then the flow is complete. Later spans are merged.",
        parse=seconds(0, 600),
    )
    flow_unfinished: float = setting(
        "SPANFLOW_FLOW_UNFINISHED",
        60.0,
        "Seconds without any event after which a flow is complete whose root has ended, though another span never did.",
        parse=seconds(0, 86_400),
    )
    flow_idle: float = setting(
        "SPANFLOW_FLOW_IDLE",
        1800.0,
        "Seconds without any event after which an unfinished flow is archived as it is. Later spans are merged.",
        parse=seconds(0.05, 7 * 86_400),
    )
    flow_max_age: float = setting(
        "SPANFLOW_FLOW_MAX_AGE",
        86_400.0,
        "Seconds after which an unfinished flow is archived although it is still busy. Later spans are merged.",
        parse=seconds(0.05, 30 * 86_400),
    )
    open_flows: int = setting(
        "SPANFLOW_OPEN_FLOWS",
        10_000,
        "Flows that may be open in one process; beyond, the one that was quiet longest is archived as it is.",
        parse=whole(1, 10_000_000),
    )
    open_flows_bytes: int = setting(
        "SPANFLOW_OPEN_FLOWS_BYTES",
        256 * MIB,
        "Bytes that all open flows of one process may hold; beyond, the quietest is archived as it is.",
        parse=whole(64 * 1024, 64 * 1024 * MIB),
    )
