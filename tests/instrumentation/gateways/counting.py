"""A gateway that tells which flow a request was, and beside its traced application what its pipeline has counted."""

from typing import Any

import orjson
from fastapi import FastAPI
from opentelemetry import trace

from spanflow.instrumentation.startup import started

tracer = trace.get_tracer("gateway")
traced = FastAPI()


@traced.get("/ask")
async def ask() -> dict[str, str]:
    with tracer.start_as_current_span("auth_check"):
        pass
    with tracer.start_as_current_span("llm_thinking"), tracer.start_as_current_span("tool_call"):
        pass
    return {"flow": f"{trace.get_current_span().get_span_context().trace_id:032x}"}


@traced.get("/fail")
async def fail() -> None:
    raise ValueError("model gone")


def counts() -> dict[str, Any]:
    running = started()
    assert running is not None
    found = running.pipeline.counters
    stages = {"intake": found.intake, **found.sinks}
    told = {
        name: {
            "accepted": stage.accepted,
            "delivered": stage.delivered,
            "dropped": dict(stage.dropped),
            "waiting": stage.waiting,
        }
        for name, stage in stages.items()
    }
    return {"stages": told, "open_flows": found.open_flows, "spool_bytes": found.spool_bytes}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Asking for the counts is no request of the traced application, so that it changes none of them."""
    if scope["type"] != "http" or scope["path"] != "/counts":
        await traced(scope, receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": orjson.dumps(counts())})
