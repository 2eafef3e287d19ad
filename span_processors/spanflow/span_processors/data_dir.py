"""Where Spanflow keeps files on this machine."""

import os
import sys
from pathlib import Path

from spanflow.span_processors.shared_settings import SharedSettings


def data_directory(settings: SharedSettings) -> Path:
    """The configured data directory, else the platform's."""
    return Path(settings.data_dir).expanduser().absolute() if settings.data_dir else default_data_directory()


def default_data_directory() -> Path:
    """Where data belongs on this platform, for this user."""
    if os.geteuid() == 0:
        return Path("/var/lib/spanflow")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "spanflow"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "spanflow"
