"""The distro: defaults for the environment, nothing else. What makes flows is in `startup`, under any distro."""

from typing import Any

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]
from opentelemetry.util._importlib_metadata import EntryPoint

from spanflow.instrumentation.exporting import choose_defaults
from spanflow.instrumentation.other_distros import other
from spanflow.instrumentation.runtime import logger
from spanflow.instrumentation.startup import enabled_settings, started


class SpanflowDistro(BaseDistro):  # type: ignore[misc]
    """Stands in front of another installed distro, whose defaults stay in force."""

    _other: Any = None

    def _configure(self, **kwargs: Any) -> None:
        self._other = other("opentelemetry_distro")
        if self._other is not None:
            self._other.configure(**kwargs)
        if enabled_settings() is not None:
            choose_defaults()

    def load_instrumentor(self, entry_point: EntryPoint, **kwargs: Any) -> None:
        if entry_point.name == "fastapi" and started() is not None:
            return  # done in `startup`, without a span for each message
        try:
            if self._other is not None:
                self._other.load_instrumentor(entry_point, **kwargs)
            else:
                super().load_instrumentor(entry_point, **kwargs)
        except ImportError:
            raise  # the loader knows what to say about these
        except Exception:
            # Upstream one broken instrumentor keeps all the others, and their spans, from being there at all.
            logger.exception("The instrumentation of %s failed and is left out", entry_point.name)
