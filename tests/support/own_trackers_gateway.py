"""A gateway that traces itself: its trackers, and the routes that call them, in all the ways in which such gateways do.

Run as a process of its own; `APPLICATION_DSN` says where its tables are. Under Spanflow its classes may be replaced.
"""

import json
import os
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID, uuid4

import fastapi
from fastapi import Depends, Header, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from tests.support.own_trackers import Application, event

application = Application(os.environ["APPLICATION_DSN"])
app = fastapi.FastAPI()


class FlowTracker:
    """Its events wait here until they are saved; the real one keeps them in Redis."""

    waiting: dict[str, list[dict[str, Any]]] = {}

    def __init__(self, redis_client: object) -> None:
        self.redis = redis_client

    async def is_monitored(self, user_id: int, db: AsyncSession) -> bool:
        return time.time() < (await application.watched()).get(user_id, 0)

    async def log_event(
        self,
        session_id: UUID | str,
        user_id: int,
        event_type: str,
        db: AsyncSession,
        parent_id: str | None = None,
        **data: Any,
    ) -> str:
        added = event(event_type, time.time(), **data)
        self.waiting.setdefault(str(session_id), []).append({**added, "parent_id": parent_id or ""})
        return str(added["node_id"])

    async def save_to_db(
        self,
        session_id: UUID | str,
        user_id: int,
        db: AsyncSession,
        conversation_id: UUID | None = None,
        source: str = "chat",
    ) -> None:
        events = self.waiting[str(session_id)]
        await application.save_flow(
            UUID(str(session_id)), user_id, events, conversation_id=conversation_id, source=source
        )


class ActivityTracker:
    async def record_user_message(
        self, db: AsyncSession, conversation_id: UUID, session_id: UUID, user_id: int, sequence_num: int, message: str
    ) -> UUID:
        data = {"message": message, "message_length": len(message)}
        return await application.save_activity(conversation_id, session_id, user_id, sequence_num, "user_message", data)

    async def record_tool_call(
        self,
        db: AsyncSession,
        conversation_id: UUID,
        session_id: UUID,
        user_id: int,
        sequence_num: int,
        mcp_server: str,
        tool_name: str,
        parameters: dict[str, Any],
    ) -> UUID:
        data = {"mcp_server": mcp_server, "tool_name": tool_name, "parameters": parameters}
        return await application.save_activity(
            conversation_id, session_id, user_id, sequence_num, "mcp_tool_call", data
        )

    async def record_assistant_response(
        self,
        db: AsyncSession,
        conversation_id: UUID,
        session_id: UUID,
        user_id: int,
        sequence_num: int,
        message: str,
        tokens_used: int,
        model: str | None = None,
    ) -> UUID:
        data = {"message": message, "tokens_used": tokens_used, "model": model}
        return await application.save_activity(
            conversation_id, session_id, user_id, sequence_num, "assistant_response", data
        )


_activities: ActivityTracker | None = None


def get_activity_tracker() -> ActivityTracker:
    global _activities
    if _activities is None:
        _activities = ActivityTracker()
    return _activities


async def get_flow_tracker() -> FlowTracker:
    return FlowTracker(object())


async def get_db() -> AsyncIterator[AsyncSession]:
    async with application.session() as db:
        yield db


Tracker = Annotated[FlowTracker, Depends(get_flow_tracker)]
User = Annotated[int, Header(alias="X-User-Id")]


@app.on_event("startup")
async def start() -> None:
    configured = await application.configuration("health_check")
    assert configured is not None and configured.id == 1


@app.post("/ask")
async def ask(request: Request, tracker: Tracker, user_id: User) -> StreamingResponse:
    """One answer, streamed: every event names its parent, the database session is a keyword."""
    session = uuid4()
    async for db in get_db():
        auth = await tracker.log_event(session, user_id, "auth_check", db=db, status="passed")
        usage = await tracker.log_event(session, user_id, "usage_check", parent_id=auth, db=db, remaining=3)
        thinking = await tracker.log_event(session, user_id, "llm_thinking", parent_id=usage, db=db)
        break

    async def answer() -> AsyncIterator[str]:
        yield f"data: {json.dumps({'session': str(session)})}\n\n"
        async for db in get_db():
            await tracker.log_event(session, user_id, "tool_call", parent_id=thinking, db=db, mcp="qa_mcp", tool="list")
            await tracker.log_event(session, user_id, "llm_complete", parent_id=thinking, db=db, tokens=12)
            await tracker.save_to_db(session, user_id, db, source="chat")
            break
        yield "data: done\n\n"

    return StreamingResponse(answer(), media_type="text/event-stream")


@app.post("/mcp")
async def mcp(tracker: Tracker, user_id: User, session: UUID) -> dict[str, Any]:
    """One call of many in a session: the database session is an argument by position."""
    try:
        async for db in get_db():
            await tracker.is_monitored(user_id, db)
            await tracker.log_event(
                str(session), user_id, "tool_call", db, mcp="qa_mcp", tool="count", source="mcp_gateway"
            )
            await tracker.save_to_db(str(session), user_id, db, source="mcp_gateway")
            break
    except Exception as why:
        return {"jsonrpc": "2.0", "error": {"code": -32603, "message": str(why)}}
    return {"jsonrpc": "2.0", "result": {}}


@app.websocket("/ws")
async def chat(socket: WebSocket, tracker: Tracker) -> None:
    """A conversation: each message is a session, activities are numbered from the highest number that is stored."""
    user_id = int(socket.headers["x-user-id"])
    await socket.accept()
    conversation = uuid4()
    try:
        while True:
            message = await socket.receive_text()
            session, activities = uuid4(), get_activity_tracker()
            async for db in get_db():
                await tracker.log_event(session, user_id, "auth_check", db=db, status="passed")
                number = await application.next_number(conversation)
                await activities.record_user_message(
                    db=db,
                    conversation_id=conversation,
                    session_id=session,
                    user_id=user_id,
                    sequence_num=number,
                    message=message,
                )
                await activities.record_tool_call(
                    db, conversation, session, user_id, number + 1, "qa_mcp", "list", {"all": True}
                )
                await tracker.log_event(session, user_id, "llm_thinking", db=db)
                await tracker.log_event(session, user_id, "llm_complete", db=db, tokens=5)
                await activities.record_assistant_response(
                    db=db,
                    conversation_id=conversation,
                    session_id=session,
                    user_id=user_id,
                    sequence_num=number + 2,
                    message="done",
                    tokens_used=5,
                    model="m-1",
                )
                await tracker.save_to_db(session, user_id, db, conversation_id=conversation)
                break
            await socket.send_json({"session": str(session), "conversation": str(conversation)})
    except WebSocketDisconnect:
        pass
