"""A chat over one WebSocket: any number of turns, each a flow of its own."""

import json
from contextlib import aclosing
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from example_gateway.gates import Refused
from example_gateway.people import Person
from example_gateway.tracing import Checkpoint, flow, identify, record_user_message
from example_gateway.turn import Assistant

router = APIRouter()


@router.websocket("/api/v1/chat")
async def chat(socket: WebSocket) -> None:
    """Send `{"message": …, "conversation_id": …}` for each turn; the answer comes in pieces and ends with `done`."""
    assistant: Assistant = socket.app.state.assistant
    await socket.accept()
    session_id = socket.headers.get("x-session-id") or str(uuid4())
    identify(session_id=session_id, source="chat")
    try:
        person = assistant.gates.authenticate(socket.headers.get("authorization"))
    except Refused as refused:
        await socket.send_json(_refusal(refused))
        await socket.close(code=4401, reason=refused.detail)
        return
    conversation_id = str(uuid4())
    try:
        while True:
            question = _question(await socket.receive_text())
            if question is None:
                await socket.send_json({"type": "error", "message": 'Send {"message": "…"}.'})
                continue
            conversation_id = str(question.get("conversation_id") or conversation_id)
            with flow("chat turn", conversation_id=conversation_id, source="chat") as turn:
                await _turn(assistant, turn, socket, person, question["message"])
    except WebSocketDisconnect:
        return


async def _turn(assistant: Assistant, turn: Checkpoint, socket: WebSocket, person: Person, message: str) -> None:
    record_user_message(message)
    try:
        assistant.gates.admit(person, message)
    except Refused as refused:
        turn.deny(refused.detail)
        await socket.send_json(_refusal(refused))
        return
    async with aclosing(assistant.answer(person, message)) as pieces:
        async for piece in pieces:
            if piece["type"] == "error":
                turn.fail(piece["message"])
            await socket.send_json(piece)


def _question(text: str) -> dict[str, Any] | None:
    try:
        question = json.loads(text)
    except ValueError:
        return None
    if not isinstance(question, dict) or not isinstance(question.get("message"), str):
        return None
    return question


def _refusal(refused: Refused) -> dict[str, Any]:
    return {"type": "refused", "gate": refused.gate, "status": refused.status_code, "message": refused.detail}
