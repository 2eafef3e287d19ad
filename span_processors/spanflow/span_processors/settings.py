"""The one table of settings: each row is a typed field with its environment variable, default and help.

`Settings.from_environ` validates all of them at once, so that a person sees every mistake in one go, with what to
change. The page `docs/settings.md` and `spanflow settings` are generated from the same rows.
"""

import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, Final

from spanflow.span_processors.operation_settings import OperationSettings
from spanflow.span_processors.setting_parsers import (
    days_or_for_ever,
    flag,
    identifier,
    names,
    one_of,
    peers,
    redis_url,
    rules,
    seconds,
    text,
    url_with,
    whole,
)
from spanflow.span_processors.setting_row import MIB, setting
from spanflow.span_processors.sign_in_settings import SignInSettings
from spanflow.span_processors.viewer_settings import ViewerSettings


class SettingsError(ValueError):
    """One or more settings cannot be used. The message has a line per setting that says what to change."""


@dataclass(frozen=True, slots=True)
class Settings(ViewerSettings):
    """Everything that can be configured. Build it with `from_environ` at a process's start, or by hand in tests."""

    # -- switched on, and where the servers are ------------------------------------------------------------------------
    enabled: bool = setting(
        "SPANFLOW_ENABLED",
        False,
        "Trace this process. Off by default, because installing a package must not change a running gateway.",
        parse=flag,
    )
    redis_url: str = setting(
        "SPANFLOW_REDIS_URL",
        "redis://127.0.0.1:6379/0",
        "Redis 6.2 or newer: redis://, rediss://, unix://, redis+sentinel://host:port,host:port/service, "
        "redis+cluster://host:port (and rediss+ forms).",
        parse=redis_url,
        secret=True,
    )
    postgres_dsn: str = setting(
        "SPANFLOW_POSTGRES_DSN",
        "postgresql://127.0.0.1:5432/spanflow",
        "PostgreSQL 14 or newer, also behind pgbouncer in transaction mode.",
        parse=url_with("postgresql", "postgres"),
        secret=True,
    )
    schema: str = setting("SPANFLOW_SCHEMA", "omni2", "Postgres schema of all tables.", parse=identifier)
    data_dir: str = setting(
        "SPANFLOW_DATA_DIR",
        "",
        "Where the embedded servers and the spool keep their files. Empty: the platform's data directory "
        "(/var/lib/spanflow as root).",
        parse=text,
    )
    mirror_enabled: bool = setting(
        "SPANFLOW_REDIS_ENABLED", True, "Mirror events into Redis.", parse=flag, also="REDIS_ENABLED"
    )
    archive_enabled: bool = setting("SPANFLOW_ARCHIVE_ENABLED", True, "Write completed flows to Postgres.", parse=flag)

    # -- the archive and its spool -------------------------------------------------------------------------------------
    postgres_connect_timeout: float = setting(
        "SPANFLOW_POSTGRES_CONNECT_TIMEOUT",
        5.0,
        "Seconds that opening a connection to Postgres may take.",
        parse=seconds(0.1, 300),
    )
    postgres_timeout: float = setting(
        "SPANFLOW_POSTGRES_TIMEOUT",
        10.0,
        "Seconds that one statement, or waiting for a lock, may take before Postgres counts as away.",
        parse=seconds(0.1, 3600),
    )
    max_flow_spans: int = setting(
        "SPANFLOW_MAX_FLOW_SPANS",
        20_000,
        "Spans that are kept of one flow; what comes later in it is counted as cut.",
        parse=whole(1, 1_000_000),
    )
    max_flow_bytes: int = setting(
        "SPANFLOW_MAX_FLOW_BYTES",
        32 * MIB,
        "Bytes of JSON that are kept of one flow; what comes later in it is counted as cut.",
        parse=whole(1024, 200 * MIB),
    )
    prices: str = setting(
        "SPANFLOW_PRICES",
        "",
        "A JSON file with what tokens cost, by model. Empty: flows have no cost.",
        parse=text,
    )
    spool_max_bytes: int = setting(
        "SPANFLOW_SPOOL_MAX_BYTES",
        1024 * MIB,
        "Bytes of finished flows that one process keeps on disk while Postgres is away.",
        parse=whole(0, 1024 * 1024 * MIB),
    )
    spool_reserve_bytes: int = setting(
        "SPANFLOW_SPOOL_RESERVE_BYTES",
        256 * MIB,
        "Bytes that the spool leaves free on its disk.",
        parse=whole(0, 1024 * 1024 * MIB),
    )

    # -- what is recorded ----------------------------------------------------------------------------------------------
    content: str = setting(
        "SPANFLOW_CONTENT",
        "off",
        "Prompts, tool arguments and results on spans: full keeps them (redacted), hash keeps a fingerprint and the "
        "length, off leaves them out. Activities that are recorded explicitly have a switch of their own.",
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

    # -- who a request belongs to, and where its flow begins -----------------------------------------------------------
    trusted_peers: tuple[str, ...] = setting(
        "SPANFLOW_TRUSTED_PEERS",
        ("127.0.0.0/8", "::1", "unix", "forwarded"),
        "Networks whose identity headers are believed, comma-separated (your forward-auth proxy). unix: a Unix "
        "socket. forwarded: requests whose X-Forwarded-For the server itself accepted. nobody: no peer at all.",
        parse=peers,
    )
    user_id_header: str = setting(
        "SPANFLOW_USER_ID_HEADER", "x-user-id", "Request header with the user's id; «off» reads none.", parse=text
    )
    email_header: str = setting(
        "SPANFLOW_EMAIL_HEADER", "x-user-email", "Request header with the user's e-mail; «off» reads none.", parse=text
    )
    session_id_header: str = setting(
        "SPANFLOW_SESSION_ID_HEADER", "x-session-id", "Request header with the session; «off» reads none.", parse=text
    )
    conversation_id_header: str = setting(
        "SPANFLOW_CONVERSATION_ID_HEADER",
        "x-conversation-id",
        "Request header with the conversation; «off» reads none.",
        parse=text,
    )
    source_header: str = setting(
        "SPANFLOW_SOURCE_HEADER",
        "x-source",
        "Request header that says where a request comes from (web, slack, …); «off» reads none.",
        parse=text,
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
    checkpoint_rules: tuple[str, ...] = setting(
        "SPANFLOW_CHECKPOINT_RULES",
        (),
        "Which other spans are checkpoints, by name or attribute, with * as wildcard; separated by semicolons: "
        "check_token=auth_check; @http.route:/guard/*=security_check; noisy.chat=span.",
        parse=rules,
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
        "Seconds that a stopping application waits at most for its last flows to be stored.",
        parse=seconds(0, 300),
    )

    # -- from a span to Redis ------------------------------------------------------------------------------------------
    redis_timeout: float = setting(
        "SPANFLOW_REDIS_TIMEOUT",
        1.0,
        "Longest wait for Redis to accept a connection or to answer, in seconds.",
        parse=seconds(0.05, 60),
    )
    stream_maxlen: int = setting(
        "SPANFLOW_STREAM_MAXLEN",
        10_000,
        "Events kept in the Redis stream of one flow, approximately; older ones are trimmed.",
        parse=whole(100, 10_000_000),
    )
    stream_ttl: float = setting(
        "SPANFLOW_STREAM_TTL",
        86_400.0,
        "Seconds that a flow stays in Redis after its last event.",
        parse=seconds(60, 30 * 86_400),
    )
    stream_ttl_archived: float = setting(
        "SPANFLOW_STREAM_TTL_ARCHIVED",
        3600.0,
        "Seconds that a flow stays in Redis once it is safe in Postgres.",
        parse=seconds(1, 30 * 86_400),
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
        "Seconds after which a gateway reads the watched users anew although nobody announced a change.",
        parse=seconds(0.05, 300),
    )

    # -- when a flow is complete, and how large it may grow ------------------------------------------------------------
    flow_grace: float = setting(
        "SPANFLOW_FLOW_GRACE",
        2.0,
        "Seconds without an open span after the root has ended, then the flow is complete. Later spans are merged.",
        parse=seconds(0, 600),
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

    # -- how long things are kept --------------------------------------------------------------------------------------
    flow_retention_days: int = setting(
        "SPANFLOW_FLOW_RETENTION_DAYS",
        90,
        "Days that flows are kept. They go by whole weeks, so some stay up to a week longer.",
        parse=whole(1, 36_500),
    )
    activity_retention_days: int = setting(
        "SPANFLOW_ACTIVITY_RETENTION_DAYS",
        365,
        "Days that activities are kept.",
        parse=whole(1, 36_500),
        also="ACTIVITY_TRACKING_RETENTION_DAYS",
    )
    audit_retention_days: int = setting(
        "SPANFLOW_AUDIT_RETENTION_DAYS",
        0,
        "Days that entries of the audit log are kept, 30 at least; 0 keeps them for ever.",
        parse=days_or_for_ever(30, 36_500),
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read and validate every setting; raise one `SettingsError` that names all that is wrong."""
        source = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        mistakes: list[str] = []
        for row in rows():
            name, raw = _lookup(row, source)
            if raw is None:
                continue
            try:
                values[row.name] = row.metadata["parse"](raw)
            except ValueError as why:
                shown = "its value" if row.metadata["secret"] else repr(raw)
                mistakes.append(f"{name}: {shown} cannot be used; {why}.")
        if mistakes:
            raise SettingsError("\n".join(mistakes))
        return cls(**values)


def _lookup(row: "Field[Any]", source: Mapping[str, str]) -> tuple[str, str | None]:
    """The variable that counts for a row and its text; an empty variable counts as not set."""
    for name in (row.metadata["env"], row.metadata["also"]):
        if name and source.get(name, "").strip():
            return name, source[name]
    return row.metadata["env"], None


#: The parts of the table, in the order in which people read them.
PARTS: Final = (Settings, ViewerSettings, OperationSettings, SignInSettings)


def rows() -> tuple["Field[Any]", ...]:
    """The table itself, for `--help`, the documentation page and its test."""
    found = fields(Settings)
    for row in found:
        assert row.default is not MISSING
    inherited = [{row.name for row in fields(part)} for part in PARTS[1:]]
    return tuple(sorted(found, key=lambda row: sum(row.name in part for part in inherited)))
