"""A daemon thread of ours: started at first need, suppressed instrumentation, an empty context."""

import contextvars
import threading
from collections.abc import Callable

from opentelemetry import context as otel_context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context

from spanflow.span_processors.stages.fork_guard import THREAD_PREFIX, prepare_libraries


def suppressed_context() -> Context:
    """The OpenTelemetry context our own threads work in: nothing they do is ever traced."""
    return otel_context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True, Context())


class OwnThread:
    """Runs `body` once. Never started at import or configuration: those happen in processes that serve no request.

    Fork: a child has no such thread; `after_fork` makes it startable again.
    """

    def __init__(self, name: str, body: Callable[[], None]) -> None:
        prepare_libraries()
        self._name = THREAD_PREFIX + name
        self._body = body
        self.after_fork()

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        return self._thread is not None

    def ensure_started(self) -> bool:
        """Start it unless it was. False when the interpreter is shutting down and starts no more threads."""
        if self._thread is not None:
            return True
        with self._lock:
            if self._thread is None:
                # A request's context must not live on in here, so the thread gets an empty one.
                empty = contextvars.Context()
                thread = threading.Thread(target=empty.run, args=(self._main,), name=self._name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    return False
                self._thread = thread
        return True

    def join(self, timeout: float) -> bool:
        """Wait for its end; True when it has ended or never began."""
        thread = self._thread
        if thread is None:
            return True
        thread.join(max(0.0, timeout))
        return not thread.is_alive()

    def _main(self) -> None:
        otel_context.attach(suppressed_context())
        self._body()
