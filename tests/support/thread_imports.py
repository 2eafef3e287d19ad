"""A small gateway that tells what is imported on other threads than its own.

Run as `python -m tests.support.thread_imports SETTINGS` with a JSON object of settings; prints a JSON list.
"""

import logging
import sys
import threading
from collections.abc import Sequence
from typing import Any

import orjson
from opentelemetry.sdk.trace import TracerProvider

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings


class Noting:
    """The import machinery asks it first, for every module that is not there yet; it finds none."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> None:
        thread = threading.current_thread()
        if thread is not threading.main_thread():
            self.noted.append(f"{thread.name}: {name}")


def main() -> None:
    logging.basicConfig(format="%(asctime)s %(message)s")
    settings = Settings(flow_grace=0.05, **orjson.loads(sys.argv[1]))
    pipeline = build_pipeline(settings)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(FlowSpanProcessor(pipeline))
    tracer = provider.get_tracer("gateway")
    noting = Noting()
    sys.meta_path.insert(0, noting)
    with tracer.start_as_current_span(
        "POST /ask", attributes={"user.id": "7", "text": "Straße 北京 token=abc"}
    ) as root:
        with tracer.start_as_current_span("tool_call") as step:
            step.record_exception(ValueError("a wrong value"))
        activity = Activity("user_message", 1_767_614_400_000_000_000, {"text": "What is the weather like?"})
        pipeline.record_activity(root.get_span_context().trace_id, activity)
    # What cannot be encoded: its traceback goes to the log.
    pipeline.identify(1, None)  # type: ignore[arg-type]
    pipeline.force_flush(1)
    pipeline.shutdown(2)
    sys.stdout.write(orjson.dumps(noting.noted).decode())


if __name__ == "__main__":
    main()
