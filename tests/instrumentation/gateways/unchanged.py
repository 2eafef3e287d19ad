"""A gateway of FastAPI and opentelemetry-api only: it has never heard of Spanflow."""

import os

from fastapi import FastAPI
from opentelemetry import trace

tracer = trace.get_tracer("gateway")
app = FastAPI()


@app.get("/ask")
async def ask() -> dict[str, int]:
    with tracer.start_as_current_span("auth_check"):
        pass
    with tracer.start_as_current_span("llm_thinking"), tracer.start_as_current_span("tool_call"):
        pass
    return {"pid": os.getpid()}


if __name__ == "__main__":
    import sys

    import uvicorn

    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
