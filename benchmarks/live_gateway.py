"""A gateway in a process of its own that makes spans of one user at a steady pace: `python -m benchmarks.live_gateway
<job>`. It waits for a line on its input before it begins."""

import sys
import time

import orjson
from opentelemetry.sdk.trace import TracerProvider

from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings

_STEPS = 10


def main() -> None:
    job = orjson.loads(sys.argv[1])
    pipeline = build_pipeline(Settings(redis_url=job["redis_url"], archive_enabled=False))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(FlowSpanProcessor(pipeline))
    tracer = provider.get_tracer("benchmark")
    # It must know who is watched before the first span.
    pipeline.force_flush(5)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    # A span is two events: its start, and its end one step later.
    pause = 2 / job["events_per_s"]
    due = time.perf_counter()
    flows = int(job["seconds"] / pause / (_STEPS + 1))
    for _ in range(flows):
        with tracer.start_as_current_span("ask", attributes={"user.id": job["user_id"]}):
            for _ in range(_STEPS):
                with tracer.start_as_current_span(
                    "tool_call", attributes={"flow.checkpoint.type": "tool_call", "user.id": job["user_id"]}
                ):
                    due += pause
                    if (wait := due - time.perf_counter()) > 0:
                        time.sleep(wait)
            due += pause
    pipeline.force_flush(10)
    counts = pipeline.counters
    assert counts.intake.lost + counts.sinks["mirror"].lost == 0
    pipeline.shutdown(5)
    sys.stdout.write(orjson.dumps({"spans": flows * (_STEPS + 1)}).decode() + "\n")


if __name__ == "__main__":
    main()
