"""The settings of the commands that look at flows from a terminal."""

from dataclasses import dataclass

from spanflow.span_processors.setting_parsers import text
from spanflow.span_processors.setting_table import SettingTable, setting


@dataclass(frozen=True, slots=True)
class TerminalSettings(SettingTable):
    """Which viewer `spanflow tail` and its siblings ask, and as whom."""

    # -- connection to the viewer --------------------------------------------------------------------------------------
    client_url: str = setting(
        "SPANFLOW_URL",
        "",
        "Address of the viewer that commands such as `spanflow tail` use. Empty: that of a local `spanflow up`, or "
        "this machine's default.",
        parse=text,
    )
    client_token: str = setting(
        "SPANFLOW_TOKEN",
        "",
        "Access token for these commands.",
        parse=text,
        secret=True,
        also="SPANFLOW_VIEWER_TOKEN",
    )
    client_token_file: str = setting(
        "SPANFLOW_TOKEN_FILE",
        "",
        "File with this token.",
        parse=text,
    )
