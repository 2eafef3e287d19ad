"""The viewer's rows about running it: logs, metrics, the folder it is served at, how it stops; and the terminal's."""

from dataclasses import dataclass

from spanflow.span_processors.setting_parsers import folder, names, one_of, seconds, text
from spanflow.span_processors.setting_row import setting
from spanflow.span_processors.sign_in_settings import SignInSettings


@dataclass(frozen=True, slots=True)
class OperationSettings(SignInSettings):
    """What the people who run a viewer set."""

    # -- operating the viewer ------------------------------------------------------------------------------------------
    viewer_root_path: str = setting(
        "SPANFLOW_VIEWER_ROOT_PATH",
        "",
        "Folder at which a reverse proxy serves the viewer, such as /tools/spanflow. It works whether or not the proxy "
        "removes it from the path.",
        parse=folder,
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
        "How long a viewer that is told to stop lets requests and sockets come to their end, in seconds.",
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

    # -- looking from a terminal ---------------------------------------------------------------------------------------
    client_url: str = setting(
        "SPANFLOW_URL",
        "",
        "Address of the viewer that commands such as `spanflow tail` ask. Empty: the one that `spanflow up` runs here, "
        "or this machine's.",
        parse=text,
    )
    client_token: str = setting(
        "SPANFLOW_TOKEN",
        "",
        "Access token with which these commands sign in.",
        parse=text,
        secret=True,
        also="SPANFLOW_VIEWER_TOKEN",
    )
    client_token_file: str = setting(
        "SPANFLOW_TOKEN_FILE",
        "",
        "File that holds this token instead.",
        parse=text,
    )
