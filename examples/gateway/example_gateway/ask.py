"""One question over HTTP; the answer streams back as server-sent events."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Header, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from example_gateway.gates import Refused
from example_gateway.people import Person
from example_gateway.tracing import identify, record_user_message
from example_gateway.turn import Assistant

router = APIRouter()


class Question(BaseModel):
    message: str = Field(min_length=1, max_length=4000)
    conversation_id: str | None = Field(default=None, max_length=128)


@router.post("/api/v1/ask/stream")
async def ask(
    question: Question,
    request: Request,
    authorization: Annotated[str | None, Header()] = None,
    x_session_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    assistant: Assistant = request.app.state.assistant
    identify(session_id=x_session_id or str(uuid4()), conversation_id=question.conversation_id, source="web")
    try:
        person = assistant.gates.authenticate(authorization)
        record_user_message(question.message)
        assistant.gates.admit(person, question.message)
    except Refused as refused:
        raise HTTPException(refused.status_code, refused.detail) from None
    return StreamingResponse(_events(assistant, person, question.message), media_type="text/event-stream")


async def _events(assistant: Assistant, person: Person, message: str) -> AsyncIterator[str]:
    async with aclosing(assistant.answer(person, message)) as pieces:
        async for piece in pieces:
            yield f"data: {json.dumps(piece)}\n\n"
