"""A gateway that reports its steps to a `FlowTracker` of its own, as gateways did before Spanflow."""

import os

from fastapi import FastAPI

from tests.instrumentation.gateways.older_tracker import flow_tracker

app = FastAPI()


@app.get("/ask")
async def ask() -> dict[str, int]:
    session, user = "s-1", 7
    auth = await flow_tracker.log_event(session, user, "auth_check")
    thinking = await flow_tracker.log_event(session, user, "llm_thinking", parent_id=auth, model="m-1")
    await flow_tracker.log_event(session, user, "tool_call", parent_id=thinking, tool="list", duration_ms=1)
    await flow_tracker.log_event(session, user, "llm_complete", parent_id=thinking, tokens=5)
    await flow_tracker.save_to_db(session, user, db=None)
    return {"pid": os.getpid()}


if __name__ == "__main__":
    import sys

    import uvicorn

    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
