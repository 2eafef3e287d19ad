"""The viewer's rows of the table of settings; `settings.py` has the others and reads them all."""

from dataclasses import dataclass

from spanflow.span_processors.operation_settings import OperationSettings
from spanflow.span_processors.setting_parsers import (
    decimal,
    flag,
    names,
    one_of,
    relation,
    seconds,
    text,
    url_with,
    user_columns,
    whole,
)
from spanflow.span_processors.setting_row import MIB, setting


@dataclass(frozen=True, slots=True)
class ViewerSettings(OperationSettings):
    """What only the viewer reads."""

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
    viewer_read_dsn: str = setting(
        "SPANFLOW_VIEWER_READ_DSN",
        "",
        "A second way to the database, for everything that is only read about the past: a role that cannot write, or a "
        "replica. Without it, such reads are transactions that cannot write.",
        parse=url_with("postgresql", "postgres"),
        secret=True,
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
        "Its columns, such as id=user_id, email=mail, full_name=display_name; with nothing after the = there is none.",
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
        "How long a user is watched when nobody says how long, in hours.",
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
    metadata_keys: tuple[str, ...] = setting(
        "SPANFLOW_METADATA_KEYS",
        (),
        "More attributes (or words of checkpoints) that hold no contents, separated by commas. Set it for gateways and "
        "viewers alike.",
        parse=names,
    )
