"""OpenTelemetry's process-wide state, put back to how a fresh process has it."""

from typing import Any

import opentelemetry._logs._internal as logs
import opentelemetry.metrics._internal as metrics
from opentelemetry import propagate, trace
from opentelemetry.util._once import Once

_PROPAGATOR = propagate.get_global_textmap()


def reset_otel_globals() -> None:
    """Forget the global providers and propagator, which can otherwise be set once per process."""
    _forget(trace, "TRACER")
    _forget(metrics, "METER")
    _forget(logs, "LOGGER")
    # A proxy remembers the meters it gave out and would tie the next test's provider to this test's.
    metrics._PROXY_METER_PROVIDER = metrics._ProxyMeterProvider()
    propagate.set_global_textmap(_PROPAGATOR)


def _forget(module: Any, signal: str) -> None:
    setattr(module, f"_{signal}_PROVIDER", None)
    setattr(module, f"_{signal}_PROVIDER_SET_ONCE", Once())
