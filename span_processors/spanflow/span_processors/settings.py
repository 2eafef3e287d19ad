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

    # -- switches ------------------------------------------------------------------------------------------------------
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

    # -- recorded data -------------------------------------------------------------------------------------------------
    content: str = setting(
        "SPANFLOW_CONTENT",
        "off",
        "Contents (prompts, answers, tool arguments and results, documents) on spans, their events and exported "
        "log records: full keeps them (redacted), hash keeps a fingerprint and the length, off leaves them out. "
        "Explicitly recorded activities have a separate switch.",
        parse=one_of("full", "hash", "off"),
    )
    redact_emails: bool = setting(
        "SPANFLOW_REDACT_EMAILS", False, "Also redact e-mail addresses inside texts (never the user's own).", parse=flag
    )
    redact_keys: tuple[str, ...] = setting(
        "SPANFLOW_REDACT_KEYS",
        (),
        "Further attribute or field names whose values are redacted, comma-separated.",
        parse=names,
    )
    redact_keep_keys: tuple[str, ...] = setting(
        "SPANFLOW_REDACT_KEEP_KEYS",
        (),
        "Attribute names that are not redacted although they look like secrets, comma-separated.",
        parse=names,
    )
    activities_enabled: bool = setting(
        "SPANFLOW_ACTIVITIES_ENABLED",
        True,
        "Store the activities that a gateway records explicitly (record_user_message and related functions).",
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
        "Your gateway's own FlowTracker classes to replace when they are imported, as package.module.Class.",
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
        "Maximum length of stored strings, in characters; longer ones are truncated.",
        parse=whole(64, 1_000_000),
    )
    max_flow_text: int = setting(
        "SPANFLOW_MAX_FLOW_TEXT",
        4_000_000,
        "Characters per flow that are searched for secrets. Beyond that, further strings are truncated to 256 "
        "characters and counted in spanflow.redaction.shortened.",
        parse=whole(10_000, 1_000_000_000),
    )

    # -- identity and trace context ------------------------------------------------------------------------------------
    trusted_peers: tuple[str, ...] = setting(
        "SPANFLOW_TRUSTED_PEERS",
        ("127.0.0.0/8", "::1", "unix", "forwarded"),
        "Networks whose identity headers are trusted, comma-separated (your forward-auth proxy). unix: a Unix "
        "socket. forwarded: requests whose X-Forwarded-For the server itself accepted. nobody: no peer.",
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
        "Request header with the source of a request (web, slack, …); `off` reads none.",
        parse=text,
    )
    team_header: str = setting(
        "SPANFLOW_TEAM_HEADER",
        "x-user-team",
        "Request header with the user's team, from trusted peers only; `off` reads none.",
        parse=text,
    )
    jwt_claims: tuple[str, ...] = setting(
        "SPANFLOW_JWT_CLAIMS",
        (),
        "Claims of a request's JSON Web Token that identify its user, as field=claim, comma-separated, such as "
        "user_id=sub,email=email; standard is user_id=sub,email=email,full_name=name. Signatures are not verified.",
        parse=claims,
    )
    jwt_header: str = setting(
        "SPANFLOW_JWT_HEADER",
        "authorization",
        "Request header with that token, with or without Bearer.",
        parse=text,
    )
    body_user: tuple[str, ...] = setting(
        "SPANFLOW_BODY_USER",
        (),
        "Fields of JSON bodies that name the user if nothing else does, in order of preference, comma-separated: "
        "user,metadata.user_id is what OpenAI's and Anthropic's clients send. Bodies over 256 KiB are skipped.",
        parse=names,
    )
    extractors: tuple[str, ...] = setting(
        "SPANFLOW_EXTRACTORS",
        (),
        "Functions of your gateway that return the identity from a request's ASGI scope, as module:function, "
        "comma-separated.",
        parse=functions,
    )
    trusted_callers: tuple[str, ...] = setting(
        "SPANFLOW_TRUSTED_CALLERS",
        (),
        "Networks whose traceparent is joined: the caller's flow continues here. Other callers' traces are only "
        "linked.",
        parse=peers,
    )
    join_caller: bool = setting(
        "SPANFLOW_JOIN_CALLER",
        False,
        "Join every caller's flow. For processes that only your own gateway calls, such as an MCP server.",
        parse=flag,
    )
    mcp_baggage: tuple[str, ...] = setting(
        "SPANFLOW_MCP_BAGGAGE",
        (),
        "OpenTelemetry baggage entries that are sent to MCP servers; * for all. By default none is.",
        parse=names,
    )
    websocket_turns: bool = setting(
        "SPANFLOW_WEBSOCKET_TURNS",
        True,
        "Start a separate flow for each incoming WebSocket message, linked to the connection.",
        parse=flag,
    )
    fastapi_message_spans: bool = setting(
        "SPANFLOW_FASTAPI_MESSAGE_SPANS",
        False,
        "Also record a span for each ASGI message (one per chunk of a streamed response).",
        parse=flag,
    )
    fastapi_operation_spans: bool = setting(
        "SPANFLOW_FASTAPI_OPERATION_SPANS",
        False,
        "Also record the fastapi.* spans of FastAPI's own tracing, if that is used: dependencies, endpoint, "
        "serialization.",
        parse=flag,
    )
    private_providers: bool = setting(
        "SPANFLOW_PRIVATE_PROVIDERS",
        True,
        "Also record spans of tracer providers that libraries create beside the global one.",
        parse=flag,
    )
    checkpoint_rules: tuple[str, ...] = setting(
        "SPANFLOW_CHECKPOINT_RULES",
        (),
        "Which other spans are checkpoints, by name or attribute, with * as wildcard, separated by semicolons: "
        "check_token=auth_check; @http.route:/guard/*=security_check; noisy.chat=span.",
        parse=rules,
    )
    gateway: str = setting(
        "SPANFLOW_GATEWAY",
        "auto",
        "Gateway whose span names and background noise are recognised: litellm, contextforge, fastmcp or "
        "omni2-bridge; auto detects it from imported modules, off recognises none. With omni2-bridge, its trackers "
        "are replaced as well.",
        parse=one_of("auto", "off", "litellm", "contextforge", "fastmcp", "omni2-bridge"),
    )
    leave_out_noise: bool = setting(
        "SPANFLOW_LEAVE_OUT_NOISE",
        True,
        "Leave out flows of health checks, scrapes, the gateway's background jobs and single queries outside of "
        "any request, if they succeed and have no checkpoint. spanflow.flows.left_out counts them.",
        parse=flag,
    )
    noise_rules: tuple[str, ...] = setting(
        "SPANFLOW_NOISE_RULES",
        (),
        "Further flows to leave out, by their first span, with * as wildcard, separated by semicolons: a path that "
        "is read (/internal/*), a name (nightly *), or an attribute (@user_agent.original:Pingdom*).",
        parse=noise_rules,
    )
    openinference: bool = setting(
        "SPANFLOW_OPENINFERENCE",
        False,
        "Set openinference.span.kind on checkpoints, for Phoenix and other tools that use OpenInference.",
        parse=flag,
    )
    flush_timeout: float = setting(
        "SPANFLOW_FLUSH_TIMEOUT",
        5.0,
        "Maximum seconds that a gateway's shutdown takes once its application has stopped, to store or spool the "
        "last flows and flush exporters.",
        parse=seconds(0, 300),
    )

    # -- pipeline ------------------------------------------------------------------------------------------------------
    stream_maxlen: int = setting(
        "SPANFLOW_STREAM_MAXLEN",
        10_000,
        "Events kept in the Redis stream of one flow, approximately; older ones are trimmed.",
        parse=whole(100, 10_000_000),
    )
    queue_spans: int = setting(
        "SPANFLOW_QUEUE_SPANS",
        65_536,
        "Maximum number of starts and ends of spans that wait in a process to be encoded.",
        parse=whole(16, 10_000_000),
    )
    queue_bytes: int = setting(
        "SPANFLOW_QUEUE_BYTES",
        64 * MIB,
        "Maximum bytes that wait to be encoded, and again for each sink (Redis, Postgres) after that.",
        parse=whole(64 * 1024, 16 * 1024 * MIB),
    )
    batch_interval: float = setting(
        "SPANFLOW_BATCH_INTERVAL",
        0.005,
        "Seconds for which events are collected into a batch. Events of watched users do not wait for it.",
        parse=seconds(0, 1),
    )
    quick_spans: bool = setting(
        "SPANFLOW_QUICK_SPANS",
        True,
        "Create the SDK's spans on a fast path, in processes started by `opentelemetry-instrument` or with "
        "`configure`.",
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
        "Collect garbage once when the gateway's application has started, and exclude the remaining objects from "
        "later collections. For gateways with tight tail latency.",
        parse=flag,
    )
    gc_threshold: int = setting(
        "SPANFLOW_GC_THRESHOLD",
        0,
        "Garbage collection threshold of the youngest generation in a gateway, such as 50000. 0 leaves it unchanged.",
        parse=whole(0, 100_000_000),
    )
    watched_refresh: float = setting(
        "SPANFLOW_WATCHED_REFRESH",
        3.0,
        "Seconds between refreshes of the set of watched users; announced changes take effect at once.",
        parse=seconds(0.05, 300),
    )

    # -- completion of flows -------------------------------------------------------------------------------------------
    flow_grace: float = setting(
        "SPANFLOW_FLOW_GRACE",
        2.0,
        "Seconds without an open span after which a flow whose root has ended is complete. Later spans are merged.",
        parse=seconds(0, 600),
    )
    flow_unfinished: float = setting(
        "SPANFLOW_FLOW_UNFINISHED",
        60.0,
        "Seconds without any event after which a flow whose root has ended is complete although another span never "
        "ended.",
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
        "Seconds after which an unfinished flow is archived even if it is still active. Later spans are merged.",
        parse=seconds(0.05, 30 * 86_400),
    )
    open_flows: int = setting(
        "SPANFLOW_OPEN_FLOWS",
        10_000,
        "Maximum number of open flows in one process; beyond that, the one that has been idle longest is archived "
        "as it is.",
        parse=whole(1, 10_000_000),
    )
    open_flows_bytes: int = setting(
        "SPANFLOW_OPEN_FLOWS_BYTES",
        256 * MIB,
        "Maximum bytes of all open flows of one process; beyond that, the one that has been idle longest is "
        "archived as it is.",
        parse=whole(64 * 1024, 64 * 1024 * MIB),
    )
