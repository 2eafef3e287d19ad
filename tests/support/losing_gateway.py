"""A gateway that loses spans: each line on its standard input is another burst that its queue has no room for, and it
answers each with what it has lost so far, as JSON. At the end of the input it ends."""

import json
import sys

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings

_BURST = 20_000


def main() -> None:
    pipeline = build_pipeline(Settings.from_environ())
    provider = TracerProvider(resource=Resource({"service.name": "edge-gateway"}), shutdown_on_exit=False)
    provider.add_span_processor(FlowSpanProcessor(pipeline))
    tracer = provider.get_tracer("gateway.code")
    for _ in sys.stdin:
        for _ in range(_BURST):
            tracer.start_span("POST /ask").end()
        pipeline.force_flush(30)
        told = {"process": pipeline.instance_id, "losses": pipeline.counters.losses}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
    pipeline.shutdown(10)


if __name__ == "__main__":
    main()
