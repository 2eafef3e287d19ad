"""The settings of a viewer: what `spanflow serve` reads beside those of signing in and the shared ones."""

from dataclasses import dataclass

from spanflow.span_processors.setting_parsers import (
    days_or_for_ever,
    decimal,
    flag,
    names,
    one_of,
    seconds,
    text,
    url_with,
    whole,
)
from spanflow.span_processors.setting_table import MIB, setting
from spanflow.viewer_api.settings.parsers import folder, networks, origins, relation, trace_url, user_columns
from spanflow.viewer_api.settings.sign_in_settings import SignInSettings


@dataclass(frozen=True, slots=True)
class ViewerSettings(SignInSettings):
    """Everything that a viewer reads. Build it with `from_environ` when a process starts, or by hand."""

    # -- the viewer ----------------------------------------------------------------------------------------------------
    viewer_host: str = setting(
        "SPANFLOW_VIEWER_HOST",
        "127.0.0.1",
        "Address the viewer listens on. Any address other than loopback requires a sign-in method: tokens, JWT, "
        "OIDC or a forward-auth proxy.",
        parse=text,
    )
    viewer_port: int = setting(
        "SPANFLOW_VIEWER_PORT", 8600, "Port the viewer listens on; 0 takes a free one.", parse=whole(0, 65535)
    )
    viewer_frame_ancestors: tuple[str, ...] = setting(
        "SPANFLOW_VIEWER_FRAME_ANCESTORS",
        (),
        "Origins of pages that may embed the dashboard in a frame, such as https://portal.example.com, or self; "
        "comma-separated. They must be on the viewer's own site, because browsers send the session cookie to no "
        "other.",
        parse=origins,
    )
    viewer_read_dsn: str = setting(
        "SPANFLOW_VIEWER_READ_DSN",
        "",
        "Separate database connection for reading stored flows: a read-only role, or a replica. Empty: read-only "
        "transactions on the main connection.",
        parse=url_with("postgresql", "postgres"),
        secret=True,
    )
    viewer_erase_dsn: str = setting(
        "SPANFLOW_VIEWER_ERASE_DSN",
        "",
        "Separate database connection for erasing people, with the role that may do so. Empty: the viewer's own "
        "role is tried, which lacks the right if it has only the documented ones.",
        parse=url_with("postgresql", "postgres"),
        secret=True,
    )
    trace_copies: tuple[str, ...] = setting(
        "SPANFLOW_TRACE_COPIES",
        (),
        "Other places your traces are sent to, such as https://jaeger.example.com or tempo:4317. Receipts of "
        "erasures list them, because Spanflow cannot erase there.",
        parse=names,
    )
    viewer_statement_timeout: float = setting(
        "SPANFLOW_VIEWER_STATEMENT_TIMEOUT",
        10.0,
        "Timeout for one database query of the viewer, in seconds.",
        parse=seconds(0.1, 600),
    )
    viewer_client_queue: int = setting(
        "SPANFLOW_VIEWER_CLIENT_QUEUE",
        1000,
        "Maximum frames queued per live client and user before the client has to catch up from the stream.",
        parse=whole(1, 100_000),
    )
    viewer_client_queue_bytes: int = setting(
        "SPANFLOW_VIEWER_CLIENT_QUEUE_BYTES",
        8 * MIB,
        "Maximum bytes queued per live client and user.",
        parse=whole(1024, 1024 * MIB),
    )
    viewer_max_sockets: int = setting(
        "SPANFLOW_VIEWER_MAX_SOCKETS", 500, "Maximum live sockets per viewer process.", parse=whole(1, 100_000)
    )
    viewer_heartbeat_seconds: float = setting(
        "SPANFLOW_VIEWER_HEARTBEAT_SECONDS",
        15.0,
        "Interval of heartbeats on live sockets, in seconds.",
        parse=seconds(0.05, 300),
    )
    viewer_recheck_seconds: float = setting(
        "SPANFLOW_VIEWER_RECHECK_SECONDS",
        10.0,
        "Interval at which permissions of live sockets and the watched users are checked again, in seconds.",
        parse=seconds(0.05, 300),
    )
    users_view: tuple[str, ...] = setting(
        "SPANFLOW_USERS_VIEW",
        (),
        "Your own table or view of users in the same database, such as auth_service.users. Users are found there "
        "as well as among those that gateways have reported.",
        parse=relation,
    )
    users_columns: tuple[str, str, str] = setting(
        "SPANFLOW_USERS_COLUMNS",
        ("id", "email", "full_name"),
        "Its columns, in this order or by name, such as id=user_id, email=mail, full_name=display_name; an empty "
        "name means that there is no such column.",
        parse=user_columns,
    )
    monitoring_max_hours: float = setting(
        "SPANFLOW_MONITORING_MAX_HOURS",
        168.0,
        "Maximum duration of a watch, in hours.",
        parse=decimal(0.01, 24 * 366),
    )
    monitoring_default_hours: float = setting(
        "SPANFLOW_MONITORING_DEFAULT_HOURS",
        24.0,
        "Default duration of a watch, in hours.",
        parse=decimal(0.01, 24 * 366),
    )
    monitoring_max_users: int = setting(
        "SPANFLOW_MONITORING_MAX_USERS",
        5000,
        "Maximum number of users watched at the same time.",
        parse=whole(1, 100_000),
    )
    monitoring_reason_required: bool = setting(
        "SPANFLOW_MONITORING_REASON_REQUIRED",
        False,
        "Require a reason for every watch. Dashboards that cannot send one stop working.",
        parse=flag,
    )
    monitoring_reason_length: int = setting(
        "SPANFLOW_MONITORING_REASON_LENGTH",
        1,
        "Minimum length of a reason, in characters.",
        parse=whole(1, 500),
    )
    monitoring_metadata_only: str = setting(
        "SPANFLOW_MONITORING_METADATA_ONLY",
        "off",
        "Whether operators see steps without contents: off leaves it to each watch, default does so unless a watch "
        "says otherwise, always permits nothing else. Set it for every viewer alike.",
        parse=one_of("off", "default", "always"),
    )

    # -- sharing -------------------------------------------------------------------------------------------------------
    share_days: float = setting(
        "SPANFLOW_SHARE_DAYS",
        7.0,
        "Default lifetime of a link to one flow, in days.",
        parse=decimal(0.01, 3660),
    )
    share_max_days: float = setting(
        "SPANFLOW_SHARE_MAX_DAYS",
        30.0,
        "Maximum lifetime of a link to one flow, in days; 0 disables sharing, including existing links.",
        parse=decimal(0, 3660),
    )

    # -- alerts --------------------------------------------------------------------------------------------------------
    alert_seconds: float = setting(
        "SPANFLOW_ALERT_SECONDS",
        10.0,
        "Interval at which one of the viewers evaluates the alert rules, in seconds.",
        parse=seconds(1, 300),
    )
    alert_networks: tuple[str, ...] = setting(
        "SPANFLOW_ALERT_NETWORKS",
        (),
        "Non-public addresses or networks that webhooks may be sent to, such as 10.1.0.0/16; comma-separated.",
        parse=networks,
    )
    alert_apprise: str = setting(
        "SPANFLOW_ALERT_APPRISE",
        "",
        "Apprise configuration file with the destinations of e-mail and chat messages about alerts, by tag. Needs "
        "spanflow[apprise].",
        parse=text,
    )

    # -- received spans ------------------------------------------------------------------------------------------------
    viewer_otlp: bool = setting(
        "SPANFLOW_VIEWER_OTLP",
        True,
        "Accept spans and log records about them over OTLP/HTTP (/v1/traces, /v1/logs) from clients with the role "
        "ingest or admin. Gateway settings (SPANFLOW_CONTENT, SPANFLOW_REDACT_KEYS, SPANFLOW_CHECKPOINT_RULES and "
        "so on) apply to these spans too: set them for viewers as well.",
        parse=flag,
    )
    viewer_otlp_grpc_port: int = setting(
        "SPANFLOW_VIEWER_OTLP_GRPC_PORT",
        0,
        "Port for OTLP/gRPC, usually 4317, on SPANFLOW_VIEWER_HOST and unencrypted; 0 disables it. Needs "
        "spanflow[grpc].",
        parse=whole(0, 65535),
    )
    viewer_otlp_unpacked_bytes: int = setting(
        "SPANFLOW_VIEWER_OTLP_UNPACKED_BYTES",
        32 * MIB,
        "Maximum size of one OTLP request after decompression, in bytes. The compressed limit is 16 MiB.",
        parse=whole(64 * 1024, 1024 * MIB),
    )
    viewer_otlp_queue_bytes: int = setting(
        "SPANFLOW_VIEWER_OTLP_QUEUE_BYTES",
        64 * MIB,
        "Maximum bytes of decompressed OTLP requests being read, decoded or queued. Beyond that, clients are told "
        "to retry.",
        parse=whole(1 * MIB, 16 * 1024 * MIB),
    )

    # -- operating the viewer ------------------------------------------------------------------------------------------
    viewer_root_path: str = setting(
        "SPANFLOW_VIEWER_ROOT_PATH",
        "",
        "Path at which a reverse proxy serves the viewer, such as /tools/spanflow. It works whether or not the "
        "proxy strips it.",
        parse=folder,
    )
    viewer_trace_url: str = setting(
        "SPANFLOW_VIEWER_TRACE_URL",
        "",
        "URL of a trace in Jaeger or Grafana, with {trace_id} in place of the id, such as "
        "https://jaeger.example.org/trace/{trace_id}. The flow's page, its API document and log lines about it "
        "link there.",
        parse=trace_url,
    )
    viewer_metrics_peers: tuple[str, ...] = setting(
        "SPANFLOW_VIEWER_METRICS_PEERS",
        (),
        "Addresses or networks (10.0.0.0/8) that may read /metrics without signing in, but not through a proxy. "
        "Other clients need a monitor's or admin's token.",
        parse=names,
    )
    viewer_stop_seconds: float = setting(
        "SPANFLOW_VIEWER_STOP_SECONDS",
        5.0,
        "How long a stopping viewer lets requests and sockets finish, in seconds.",
        parse=seconds(0.1, 300),
    )
    log_format: str = setting(
        "SPANFLOW_LOG_FORMAT",
        "text",
        "Log format of the viewer: text, or json with one object per line.",
        parse=one_of("text", "json"),
    )
    log_level: str = setting(
        "SPANFLOW_LOG_LEVEL",
        "info",
        "Minimum log level of the viewer: debug, info, warning or error. Health checks and static files are logged "
        "at debug.",
        parse=one_of("debug", "info", "warning", "error"),
    )

    # -- retention -----------------------------------------------------------------------------------------------------
    flow_retention_days: int = setting(
        "SPANFLOW_FLOW_RETENTION_DAYS",
        90,
        "Days that flows are kept. Whole weeks are deleted, so some stay up to a week longer.",
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
        "Days that entries of the audit log are kept, at least 30; 0 keeps them forever.",
        parse=days_or_for_ever(30, 36_500),
    )
