"""Makes the SDK's spans cheaper for everything in the process: the application, its instrumentations and ourselves.

Most of what a traced request costs is the SDK's own making and ending of spans. The provider, and the tracers that were
made already, stay the objects that they are; only their class becomes one that knows the shorter way.
"""

import logging
from importlib.metadata import version
from typing import Any, Final

from opentelemetry.sdk.trace import TracerProvider

_log = logging.getLogger(__name__)

_OWN_SPANS: Final = (
    "OpenTelemetry's SDK %s makes the spans itself, which costs more than ours (they need 1.45 or newer)"
)


def quicken(provider: Any) -> bool:
    """True when spans of this provider are made the quick way from now on.

    An SDK with an unknown span layout and custom providers are left alone.
    """
    try:
        from spanflow.instrumentation.quick.quick_class import QuickTracerProvider, is_known_sdk

        if type(provider) is not TracerProvider:
            return False
        if not is_known_sdk():
            _log.info(_OWN_SPANS, version("opentelemetry-sdk"))
            return False
        provider.__class__ = QuickTracerProvider
        for tracer in list(provider._tracers.values()):
            QuickTracerProvider.adopt(tracer)
        return True
    except Exception:  # what an unknown SDK lacks
        _log.info(_OWN_SPANS, version("opentelemetry-sdk"), exc_info=_log.isEnabledFor(logging.DEBUG))
        return False
