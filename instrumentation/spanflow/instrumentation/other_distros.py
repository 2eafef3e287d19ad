"""OpenTelemetry takes the first distro and configurator it finds. When that is ours, the others must not get lost."""

import os
from typing import Any, Final

from opentelemetry.instrumentation.environment_variables import OTEL_PYTHON_CONFIGURATOR, OTEL_PYTHON_DISTRO
from opentelemetry.util._importlib_metadata import entry_points

from spanflow.instrumentation.runtime import logger

OURS: Final = "spanflow"
_CHOICES: Final = {
    "opentelemetry_distro": OTEL_PYTHON_DISTRO,
    "opentelemetry_configurator": OTEL_PYTHON_CONFIGURATOR,
}


def other(group: str) -> Any:
    """Another package's distro or configurator, instantiated; None if there is none or ours was selected by name."""
    if os.environ.get(_CHOICES[group]) == OURS:
        return None
    for entry_point in entry_points(group=group):
        if entry_point.name == OURS:
            continue
        try:
            return entry_point.load()()
        except Exception:
            logger.exception("%s %s cannot be used", group, entry_point.name)
    return None
