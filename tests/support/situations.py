"""What a doctor's check looks at, with nothing there but what a test names."""

from typing import Any

from spanflow.cli.checks.finding import Situation
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.shared_settings import SharedSettings
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings


def situation(**known: Any) -> Situation:
    blank: dict[str, Any] = {
        "settings": SharedSettings(),
        "gateway": Settings(),
        "gateway_problem": "",
        "viewer": ViewerSettings(),
        "viewer_problem": "",
        "environ": {},
        "module": "",
        "redis": None,
        "redis_problem": "no answer",
        "postgres": None,
        "postgres_problem": "no answer",
        "startup": None,
        "startup_problem": "not asked",
    }
    return Situation(**{**blank, **known})
