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
        "Address the viewer listens on. Anything but a loopback address needs a way to sign in: tokens, JWT, OIDC or a "
        "forward-auth proxy.",
        parse=text,
    )
    viewer_port: int = setting(
        "SPANFLOW_VIEWER_PORT", 8600, "Port the viewer listens on; 0 takes a free one.", parse=whole(0, 65535)
    )
    viewer_frame_ancestors: tuple[str, ...] = setting(
        "SPANFLOW_VIEWER_FRAME_ANCESTORS",
        (),
        "Origins of pages that may show the dashboard in a frame, such as https://portal.example.com, or self; "
        "comma-separated. They must be of the viewer's own site, or the browser keeps the session from the frame.",
        parse=origins,
    )
    viewer_read_dsn: str = setting(
        "SPANFLOW_VIEWER_READ_DSN",
        "",
        "A second way to the database, for everything that is only read about the past: a role that cannot write, or a "
        "replica. Without it, such reads are transactions that cannot write.",
        parse=url_with("postgresql", "postgres"),
        secret=True,
    )
    viewer_erase_dsn: str = setting(
        "SPANFLOW_VIEWER_ERASE_DSN",
        "",
        "A way to the database for erasing people, with the role that may do so. Without it the viewer's own role is "
        "tried, which may not where it has only the rights that it needs.",
        parse=url_with("postgresql", "postgres"),
        secret=True,
    )
    trace_copies: tuple[str, ...] = setting(
        "SPANFLOW_TRACE_COPIES",
        (),
        "Where else your traces go, such as https://jaeger.example.com or tempo:4317. Receipts of erasures name these "
        "places, which Spanflow cannot erase from.",
        parse=names,
    )
    viewer_statement_timeout: float = setting(
        "SPANFLOW_VIEWER_STATEMENT_TIMEOUT",
        10.0,
        "Longest time one query of the viewer may take, in seconds.",
        parse=seconds(0.1, 600),
    )
    viewer_client_queue: int = setting(
        "SPANFLOW_VIEWER_CLIENT_QUEUE",
        1000,
        "Frames that may wait for one slow live client and user before it has to catch up from the stream.",
        parse=whole(1, 100_000),
    )
    viewer_client_queue_bytes: int = setting(
        "SPANFLOW_VIEWER_CLIENT_QUEUE_BYTES",
        8 * MIB,
        "Bytes that may wait for one slow live client and user.",
        parse=whole(1024, 1024 * MIB),
    )
    viewer_max_sockets: int = setting(
        "SPANFLOW_VIEWER_MAX_SOCKETS", 500, "Live sockets one viewer process serves at once.", parse=whole(1, 100_000)
    )
    viewer_heartbeat_seconds: float = setting(
        "SPANFLOW_VIEWER_HEARTBEAT_SECONDS",
        15.0,
        "How often a live socket is asked whether its client is still there.",
        parse=seconds(0.05, 300),
    )
    viewer_recheck_seconds: float = setting(
        "SPANFLOW_VIEWER_RECHECK_SECONDS",
        10.0,
        "How often a live socket's right and the watched users are checked again.",
        parse=seconds(0.05, 300),
    )
    users_view: tuple[str, ...] = setting(
        "SPANFLOW_USERS_VIEW",
        (),
        "A table or view of your own in the same database that names your users, such as auth_service.users. People "
        "are found in it as well as among those that gateways have seen.",
        parse=relation,
    )
    users_columns: tuple[str, str, str] = setting(
        "SPANFLOW_USERS_COLUMNS",
        ("id", "email", "full_name"),
        "Its columns, in this order or by name, such as id=user_id, email=mail, full_name=display_name; with nothing "
        "after the = there is none.",
        parse=user_columns,
    )
    monitoring_max_hours: float = setting(
        "SPANFLOW_MONITORING_MAX_HOURS",
        168.0,
        "Longest time a user can be watched at once, in hours.",
        parse=decimal(0.01, 24 * 366),
    )
    monitoring_default_hours: float = setting(
        "SPANFLOW_MONITORING_DEFAULT_HOURS",
        24.0,
        "How long a user is watched by default, in hours.",
        parse=decimal(0.01, 24 * 366),
    )
    monitoring_max_users: int = setting(
        "SPANFLOW_MONITORING_MAX_USERS",
        5000,
        "Users that can be watched at the same time.",
        parse=whole(1, 100_000),
    )
    monitoring_reason_required: bool = setting(
        "SPANFLOW_MONITORING_REASON_REQUIRED",
        False,
        "Refuse to watch a user without a reason. Dashboards that cannot state one stop working.",
        parse=flag,
    )
    monitoring_reason_length: int = setting(
        "SPANFLOW_MONITORING_REASON_LENGTH",
        1,
        "Characters that a reason must have at least, where one is given or required.",
        parse=whole(1, 500),
    )
    monitoring_metadata_only: str = setting(
        "SPANFLOW_MONITORING_METADATA_ONLY",
        "off",
        "Whether watchers see what happened but not what was said: off leaves it to each watch, default does so where "
        "a watch says nothing else, always allows nothing else. Set it for every viewer alike.",
        parse=one_of("off", "default", "always"),
    )

    # -- sharing -------------------------------------------------------------------------------------------------------
    share_days: float = setting(
        "SPANFLOW_SHARE_DAYS",
        7.0,
        "How many days a link to one flow works by default.",
        parse=decimal(0.01, 3660),
    )
    share_max_days: float = setting(
        "SPANFLOW_SHARE_MAX_DAYS",
        30.0,
        "The most days that a link to one flow may work; 0 lets nobody make one, and ends those that there are.",
        parse=decimal(0, 3660),
    )

    # -- alerts --------------------------------------------------------------------------------------------------------
    alert_seconds: float = setting(
        "SPANFLOW_ALERT_SECONDS",
        10.0,
        "How often alert rules are evaluated, by one of the viewers, in seconds.",
        parse=seconds(1, 300),
    )
    alert_networks: tuple[str, ...] = setting(
        "SPANFLOW_ALERT_NETWORKS",
        (),
        "Addresses or networks that are not public and that webhooks may be sent to all the same, such as 10.1.0.0/16; "
        "comma-separated.",
        parse=networks,
    )
    alert_apprise: str = setting(
        "SPANFLOW_ALERT_APPRISE",
        "",
        "A configuration file of Apprise that says, by tag, where e-mail and chat messages about alerts go. Needs "
        "spanflow[apprise].",
        parse=text,
    )

    # -- spans from other programs -------------------------------------------------------------------------------------
    viewer_otlp: bool = setting(
        "SPANFLOW_VIEWER_OTLP",
        True,
        "Take in spans and log records about them by OTLP/HTTP (/v1/traces, /v1/logs), from those who have the role "
        "ingest or admin. What gateways read (SPANFLOW_CONTENT, SPANFLOW_REDACT_KEYS, SPANFLOW_CHECKPOINT_RULES and so "
        "on) holds for these spans too: set it for viewers as well.",
        parse=flag,
    )
    viewer_otlp_grpc_port: int = setting(
        "SPANFLOW_VIEWER_OTLP_GRPC_PORT",
        0,
        "Port at which the viewer takes in the same by OTLP/gRPC, usually 4317, at SPANFLOW_VIEWER_HOST and "
        "unencrypted; 0 takes in none. Needs spanflow[grpc].",
        parse=whole(0, 65535),
    )
    viewer_otlp_unpacked_bytes: int = setting(
        "SPANFLOW_VIEWER_OTLP_UNPACKED_BYTES",
        32 * MIB,
        "Bytes that one OTLP request may have once it is unpacked. As sent it may have 16 MiB.",
        parse=whole(64 * 1024, 1024 * MIB),
    )
    viewer_otlp_queue_bytes: int = setting(
        "SPANFLOW_VIEWER_OTLP_QUEUE_BYTES",
        64 * MIB,
        "Bytes of OTLP requests, unpacked, that may be read, decoded or waiting at once. Beyond, clients are told to "
        "try again.",
        parse=whole(1 * MIB, 16 * 1024 * MIB),
    )

    # -- operating the viewer ------------------------------------------------------------------------------------------
    viewer_root_path: str = setting(
        "SPANFLOW_VIEWER_ROOT_PATH",
        "",
        "Folder at which a reverse proxy serves the viewer, such as /tools/spanflow. It works whether or not the proxy "
        "removes it from the path.",
        parse=folder,
    )
    viewer_trace_url: str = setting(
        "SPANFLOW_VIEWER_TRACE_URL",
        "",
        "Address of a flow in Jaeger or Grafana, with {trace_id} where its id stands, such as "
        "https://jaeger.example.org/trace/{trace_id}. The flow's page, its document and the log lines about it link "
        "there.",
        parse=trace_url,
    )
    viewer_metrics_peers: tuple[str, ...] = setting(
        "SPANFLOW_VIEWER_METRICS_PEERS",
        (),
        "Addresses or networks (10.0.0.0/8) that may read /metrics without signing in, not through a proxy. Others "
        "need a monitor's or admin's token.",
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
        "How the viewer writes its log: text for people, or json, one object per line.",
        parse=one_of("text", "json"),
    )
    log_level: str = setting(
        "SPANFLOW_LOG_LEVEL",
        "info",
        "From which level on the viewer logs: debug, info, warning or error. Health checks and files are debug.",
        parse=one_of("debug", "info", "warning", "error"),
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
