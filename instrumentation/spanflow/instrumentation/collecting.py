"""What an operator may ask of Python's garbage collector in a gateway. Unless asked, it is left as it is.

A full collection looks at everything that the application has loaded, while all requests of the process wait.

Fork: a child has its parent's thresholds, and what was frozen stays frozen. Workers freeze for themselves: it is they
that start an application.
"""

import gc

from spanflow.instrumentation.runtime import logger
from spanflow.span_processors.settings import Settings


class Threshold:
    """Collect after so many new objects. A part of the start; 0 changes nothing."""

    def __init__(self, settings: Settings) -> None:
        self._wanted = settings.gc_threshold
        self._before: tuple[int, int, int] | None = None

    def install(self) -> None:
        if self._wanted and self._before is None:
            self._before = gc.get_threshold()
            gc.set_threshold(self._wanted, *self._before[1:])

    def remove(self) -> None:
        if self._before is not None:
            gc.set_threshold(*self._before)
            self._before = None


class Freezer:
    """Takes out of all later collections what is there when the application has started."""

    def __init__(self, settings: Settings) -> None:
        #: Whether there is something to be done yet.
        self.wanted = settings.gc_freeze

    def application_started(self) -> None:
        """Called at the application's startup event, or after its first request where there is none."""
        if not self.wanted:
            return
        self.wanted = False
        gc.collect()
        gc.freeze()
        logger.info("%d objects are frozen: the garbage collector passes them by", gc.get_freeze_count())
