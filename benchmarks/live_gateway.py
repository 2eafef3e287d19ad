"""A gateway in a process of its own that makes spans of one user at a steady pace: `python -m benchmarks.live_gateway
<job>`. Its first request comes at once; for the others it waits for a line on its input."""

import sys
import time

import orjson
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from spanflow.instrumentation.collecting import Freezer, Threshold
from spanflow.instrumentation.quick.quick_provider import quicken
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings

STEPS = 10


def main() -> None:
    job = orjson.loads(sys.argv[1])
    settings = Settings(redis_url=job["redis_url"], archive_enabled=False, **job["settings"])
    pipeline = build_pipeline(settings)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(FlowSpanProcessor(pipeline))
    quicken(provider)  # as in a gateway that was started under Spanflow
    tracer = provider.get_tracer("benchmark")
    # What the start under Spanflow does when the application has started.
    Threshold(settings).install()
    Freezer(settings).application_started()
    # It opens connections, starts threads and learns who is watched: that is once, and measured for itself.
    make(tracer, job["user_id"], 1, 0.01)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    # A span is two events: its start, and its end one step later.
    pause = 2 / job["events_per_s"]
    flows = int(job["seconds"] / pause / (STEPS + 1))
    make(tracer, job["user_id"], flows, pause)
    pipeline.force_flush(10)
    counts = pipeline.counters
    assert counts.intake.lost + counts.sinks["mirror"].lost == 0
    pipeline.shutdown(5)
    sys.stdout.write(orjson.dumps({"spans": flows * (STEPS + 1)}).decode() + "\n")


def make(tracer: Tracer, user_id: str, flows: int, pause: float) -> None:
    due = time.perf_counter()
    for _ in range(flows):
        with tracer.start_as_current_span("ask", attributes={"user.id": user_id}):
            for _ in range(STEPS):
                with tracer.start_as_current_span(
                    "tool_call", attributes={"flow.checkpoint.type": "tool_call", "user.id": user_id}
                ):
                    due += pause
                    if (wait := due - time.perf_counter()) > 0:
                        time.sleep(wait)
            due += pause


if __name__ == "__main__":
    main()
