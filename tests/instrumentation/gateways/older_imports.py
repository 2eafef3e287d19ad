"""The older gateway after it has changed two imports: each tracker now comes from Spanflow, every call is as before."""

import os

from fastapi import FastAPI

from spanflow.instrumentation import FlowTracker, get_activity_tracker

app = FastAPI()
flow_tracker = FlowTracker()


@app.get("/ask")
async def ask() -> dict[str, int]:
    session, user, db = "s-1", 7, object()
    activities = get_activity_tracker()
    await activities.record_user_message(db, "c-1", session, user, message="list")
    auth = await flow_tracker.log_event(session, user, "auth_check")
    thinking = await flow_tracker.log_event(session, user, "llm_thinking", parent_id=auth, model="m-1")
    await flow_tracker.log_event(session, user, "tool_call", parent_id=thinking, tool="list", duration_ms=1)
    await flow_tracker.log_event(session, user, "llm_complete", parent_id=thinking, tokens=5)
    await activities.record_assistant_response(db, "c-1", session, user, message="done", tokens_used=5)
    await flow_tracker.save_to_db(session, user, db)
    return {"pid": os.getpid()}
