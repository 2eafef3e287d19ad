"""A chat on a WebSocket: each message is a flow of its own, linked to the connection."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import fastapi
import httpx
import pytest
from fastapi import WebSocket, WebSocketDisconnect
from inline_snapshot import snapshot
from opentelemetry import trace
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from spanflow.instrumentation import checkpoint, flow, identify
from tests.instrumentation.conftest import Recorded
from tests.support.asgi_server import serving
from tests.support.poll import eventually

Start = Callable[..., Recorded]
SHOWN = ["user.id", "session.id", "http.route", "flow.outcome", "gen_ai.operation.name"]

Handler = Callable[[WebSocket], Any]
#: FastAPI before 0.142 has no tracing of its own.
with_own_tracing = pytest.mark.skipif(not hasattr(fastapi.FastAPI(), "_telemetry"), reason="FastAPI is too old")


def chat(handler: Handler) -> Any:
    app = fastapi.FastAPI()

    @app.websocket("/chat/{room}")
    async def room(socket: WebSocket) -> None:
        await socket.accept()
        await handler(socket)

    return app


def talk(address: str, *messages: str, path: str = "/chat/1", user: str | None = "ann") -> list[str]:
    """Send each message and wait for its answer."""
    headers = {} if user is None else {"X-User-Id": user}

    async def conversation() -> list[str]:
        async with connect(f"ws://{address}{path}", additional_headers=headers) as socket:
            return [await exchange(socket, message) for message in messages]

    return asyncio.run(conversation())


async def exchange(socket: ClientConnection, message: str) -> str:
    await socket.send(message)
    return str(await asyncio.wait_for(socket.recv(), 5))


def finished(recorded: Recorded, roots: int) -> None:
    eventually(lambda: len(recorded.trace_ids()) == roots)


async def unchanged(socket: WebSocket) -> None:
    tracer = trace.get_tracer("gateway")
    try:
        while True:
            text = await socket.receive_text()
            with tracer.start_as_current_span("auth_check"):
                pass
            with checkpoint("llm_thinking"):
                await socket.send_text(text.upper())
    except WebSocketDisconnect:
        pass


@pytest.mark.parametrize("disabled", ["", pytest.param("fastapi", marks=with_own_tracing)])
def test_an_unchanged_gateway_gets_a_flow_per_message(
    started: Start, disabled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", disabled)
    recorded = started()
    with serving(chat(unchanged)) as address:
        assert talk(address, "one", "two") == ["ONE", "TWO"]
        finished(recorded, 3)
    turns = [node for node in recorded.tree(SHOWN) if node["name"] == "WS /chat/{room} message"]
    assert turns == snapshot(
        [
            {
                "name": "WS /chat/{room} message",
                "kind": "server",
                "attributes": {
                    "flow.outcome": "ok",
                    "gen_ai.operation.name": "invoke_agent",
                    "http.route": "/chat/{room}",
                    "user.id": "ann",
                },
                "links": 1,
                "children": [
                    {"name": "auth_check", "kind": "internal", "attributes": {"user.id": "ann"}},
                    {
                        "name": "llm_thinking",
                        "kind": "client",
                        "attributes": {"flow.outcome": "ok", "gen_ai.operation.name": "chat", "user.id": "ann"},
                    },
                ],
            },
            {
                "name": "WS /chat/{room} message",
                "kind": "server",
                "attributes": {
                    "flow.outcome": "ok",
                    "gen_ai.operation.name": "invoke_agent",
                    "http.route": "/chat/{room}",
                    "user.id": "ann",
                },
                "links": 1,
                "children": [
                    {"name": "auth_check", "kind": "internal", "attributes": {"user.id": "ann"}},
                    {
                        "name": "llm_thinking",
                        "kind": "client",
                        "attributes": {"flow.outcome": "ok", "gen_ai.operation.name": "chat", "user.id": "ann"},
                    },
                ],
            },
        ]
    )
    (connection,) = [node for node in recorded.tree(SHOWN) if node not in turns]
    assert "children" not in connection
    assert connection["attributes"]["user.id"] == "ann"


@pytest.mark.parametrize("turns", [True, False])
def test_a_refused_connection_is_said_to_be_refused(started: Start, turns: bool) -> None:
    recorded = started(websocket_turns=turns)
    app = fastapi.FastAPI()

    @app.websocket("/chat/{room}")
    async def room(socket: WebSocket) -> None:
        await socket.close(1008)

    with serving(app) as address, pytest.raises(InvalidStatus) as refused:
        talk(address, "hello")
    assert refused.value.response.status_code == 403
    finished(recorded, 1)
    (connection,) = recorded.spans
    assert connection.name == "WS /chat/{room}"
    assert (connection.attributes or {})["http.response.status_code"] == 403


@pytest.mark.parametrize(("code", "outcome"), [(1008, "denied"), (4403, "denied"), (1000, "ok"), (1011, "ok")])
def test_a_connection_that_is_closed_for_what_its_client_did_is_denied(started: Start, code: int, outcome: str) -> None:
    async def strict(socket: WebSocket) -> None:
        await socket.receive_text()
        await socket.close(code, "token=sk-aaaaaaaaaaaaaaaaaaaaaaaa1234 is not allowed")

    recorded = started()
    with serving(chat(strict)) as address, pytest.raises(ConnectionClosed) as closed:
        talk(address, "hello")
    assert closed.value.rcvd is not None and closed.value.rcvd.code == code
    finished(recorded, 2)
    turn, connection = (recorded.only(f"WS /chat/{{room}}{what}") for what in (" message", ""))
    assert (turn.attributes or {})["flow.outcome"] == outcome
    assert (connection.attributes or {}).get("flow.outcome", "ok") == outcome
    for span in (turn, connection):
        reason = (span.attributes or {}).get("flow.denied.reason")
        assert reason == ("token=[redacted] is not allowed" if outcome == "denied" else None)


def test_a_refusal_before_it_is_accepted_keeps_its_reason(started: Start) -> None:
    recorded = started()
    app = fastapi.FastAPI()

    @app.websocket("/chat")
    async def room(socket: WebSocket) -> None:
        await socket.close(1008, "account inactive")

    with serving(app) as address, pytest.raises(InvalidStatus):
        talk(address, "hello", path="/chat")
    finished(recorded, 1)
    (connection,) = recorded.spans
    assert (connection.attributes or {})["flow.denied.reason"] == "account inactive"
    assert (connection.attributes or {})["http.response.status_code"] == 403


def test_flow_takes_the_automatic_turn_over(started: Start) -> None:
    async def changed(socket: WebSocket) -> None:
        async for text in socket.iter_text():
            with checkpoint("auth_check"):
                pass
            with flow("chat turn", conversation_id=text), checkpoint("llm_thinking"):
                pass
            with flow("second flow of the same message"):
                pass
            await socket.send_text("ok")

    recorded = started()
    with serving(chat(changed)) as address:
        talk(address, "c-1", "c-2")
        finished(recorded, 5)
    assert recorded.tree(["user.id", "session.id"])[1:] == snapshot(
        [
            {
                "name": "chat turn",
                "kind": "server",
                "attributes": {"session.id": "c-1", "user.id": "ann"},
                "links": 1,
                "children": [
                    {"name": "auth_check", "kind": "internal", "attributes": {"user.id": "ann"}},
                    {"name": "llm_thinking", "kind": "client", "attributes": {"session.id": "c-1", "user.id": "ann"}},
                ],
            },
            {
                "name": "second flow of the same message",
                "kind": "internal",
                "attributes": {"session.id": "c-1", "user.id": "ann"},
                "links": 1,
            },
            {
                "name": "chat turn",
                "kind": "server",
                "attributes": {"session.id": "c-2", "user.id": "ann"},
                "links": 1,
                "children": [
                    {"name": "auth_check", "kind": "internal", "attributes": {"user.id": "ann"}},
                    {"name": "llm_thinking", "kind": "client", "attributes": {"session.id": "c-2", "user.id": "ann"}},
                ],
            },
            {
                "name": "second flow of the same message",
                "kind": "internal",
                "attributes": {"session.id": "c-2", "user.id": "ann"},
                "links": 1,
            },
        ]
    )


def test_a_gateway_that_reads_inside_its_flow_gets_no_other_turns(started: Start) -> None:
    async def changed(socket: WebSocket) -> None:
        try:
            while True:
                with flow("chat turn"):
                    text = await socket.receive_text()
                    with checkpoint("llm_thinking"):
                        await socket.send_text(text)
        except WebSocketDisconnect:
            pass

    recorded = started()
    with serving(chat(changed)) as address:
        talk(address, "one", "two")
        finished(recorded, 4)
    assert recorded.outline()[1:] == snapshot(
        ["chat turn [ok]", "  llm_thinking [ok]", "chat turn [ok]", "  llm_thinking [ok]", "chat turn [cancelled]"]
    )


def test_asking_back_in_the_middle_of_a_step_stays_in_the_turn(started: Start) -> None:
    async def asking(socket: WebSocket) -> None:
        async for text in socket.iter_text():
            with checkpoint("tool_call", tool="delete"):
                await socket.send_text("sure?")
                await socket.receive_text()
            await socket.send_text(text)

    async def conversation(address: str) -> None:
        async with connect(f"ws://{address}/chat/1") as socket:
            assert await exchange(socket, "delete it") == "sure?"
            assert await exchange(socket, "yes") == "delete it"

    recorded = started()
    with serving(chat(asking)) as address:
        asyncio.run(conversation(address))
        finished(recorded, 2)
    assert recorded.outline()[1:] == snapshot(["WS /chat/{room} message [ok]", "  tools/call delete [ok]"])


def test_messages_that_are_read_in_another_task_still_get_their_checkpoints(started: Start) -> None:
    async def with_timeout(socket: WebSocket) -> None:
        try:
            while True:
                text = await asyncio.create_task(socket.receive_text())
                with checkpoint("llm_thinking"):
                    await socket.send_text(text)
        except WebSocketDisconnect:
            pass

    recorded = started()
    with serving(chat(with_timeout)) as address:
        talk(address, "one", "two")
        finished(recorded, 3)
    assert recorded.outline()[1:] == snapshot(
        ["WS /chat/{room} message [ok]", "  llm_thinking [ok]", "WS /chat/{room} message [ok]", "  llm_thinking [ok]"]
    )


def test_a_client_that_leaves_in_the_middle_of_a_turn_cancels_it(started: Start) -> None:
    async def slow(socket: WebSocket) -> None:
        await socket.receive_text()
        with checkpoint("llm_thinking"):
            while True:
                await asyncio.sleep(0.01)
                await socket.send_text("more")

    async def impatient(address: str) -> None:
        async with connect(f"ws://{address}/chat/1") as socket:
            await exchange(socket, "one")

    recorded = started()
    with serving(chat(slow)) as address:
        asyncio.run(impatient(address))
        finished(recorded, 2)
    assert recorded.outline()[1:] == snapshot(["WS /chat/{room} message [cancelled]", "  llm_thinking [cancelled]"])


def test_messages_that_are_handled_side_by_side_stay_apart(started: Start) -> None:
    async def side_by_side(socket: WebSocket) -> None:
        async def handle(text: str) -> None:
            await asyncio.sleep(0.05)
            with checkpoint("tool_call", tool=text):
                await socket.send_text(text)

        tasks = [asyncio.create_task(handle(text)) async for text in socket.iter_text()]
        await asyncio.gather(*tasks)

    async def conversation(address: str) -> set[str]:
        async with connect(f"ws://{address}/chat/1") as socket:
            await socket.send("one")
            await socket.send("two")
            return {str(await socket.recv()), str(await socket.recv())}

    recorded = started()
    with serving(chat(side_by_side)) as address:
        assert asyncio.run(conversation(address)) == {"one", "two"}
        finished(recorded, 3)
    assert recorded.outline()[1:] == snapshot(
        [
            "WS /chat/{room} message [ok]",
            "  tools/call one [ok]",
            "WS /chat/{room} message [ok]",
            "  tools/call two [ok]",
        ]
    )


def test_a_failing_turn_is_an_error(started: Start) -> None:
    async def failing(socket: WebSocket) -> None:
        await socket.receive_text()
        raise ValueError("no such model")

    async def one(address: str) -> None:
        async with connect(f"ws://{address}/chat/1") as socket:
            await socket.send("one")
            await socket.wait_closed()

    recorded = started()
    with serving(chat(failing)) as address:
        asyncio.run(one(address))
        finished(recorded, 2)
    assert recorded.outline()[1:] == snapshot(["WS /chat/{room} message [error]"])


def test_who_signs_in_by_a_message_is_known_from_then_on(started: Start) -> None:
    async def signing_in(socket: WebSocket) -> None:
        async for text in socket.iter_text():
            message = json.loads(text)
            if "token" in message:
                identify(user_id=message["token"], email=f"{message['token']}@example.com")
            await socket.send_text("ok")

    recorded = started()
    with serving(chat(signing_in)) as address:
        talk(address, '{"say": 1}', '{"token": "bob"}', '{"say": 2}')
        finished(recorded, 4)
    turns = [node["attributes"]["user.id"] for node in recorded.tree(SHOWN)[1:]]
    assert turns == ["ann", "bob", "bob"]


async def identifying(socket: WebSocket) -> None:
    async for text in socket.iter_text():
        if text != "hello":
            identify(user_id=text, email=f"{text}@example.com", session_id="s1", conversation_id="c1")
        await socket.send_text("ok")


async def own_turns(socket: WebSocket) -> None:
    async for text in socket.iter_text():
        with flow("turn", user_id=None if text == "hello" else text, conversation_id="c1"):
            await socket.send_text("ok")


@pytest.mark.parametrize("turns", [True, False])
@pytest.mark.parametrize("handler", [identifying, own_turns])
def test_the_connections_own_flow_gets_the_first_user_whom_a_turn_identifies(
    started: Start, handler: Handler, turns: bool
) -> None:
    if handler is identifying and not turns:
        pytest.skip("there is no turn: the connection's own flow is told")
    recorded = started(websocket_turns=turns)
    with serving(chat(handler)) as address:
        talk(address, "hello", "ann", "bob", user=None)
        finished(recorded, 4)
    (connection,) = [span for span in recorded.spans if span.name.endswith("/chat/{room}")]
    told = {key: value for key, value in (connection.attributes or {}).items() if key.startswith(("user.", "session"))}
    assert told == {"user.id": "ann", **({"user.email": "ann@example.com"} if handler is identifying else {})}


def test_a_request_that_serves_several_users_belongs_to_none_of_them(started: Start) -> None:
    recorded = started()
    app = fastapi.FastAPI()

    @app.post("/batch")
    async def batch() -> None:
        for user in ("ann", "bob"):
            with flow("job", user_id=user):
                identify(full_name=user.title())

    with serving(app) as address:
        httpx.post(f"http://{address}/batch").raise_for_status()
        finished(recorded, 3)
    assert "user.id" not in (recorded.only("POST /batch").attributes or {})


@with_own_tracing
def test_a_connection_that_is_not_traced_has_no_turns(started: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(socket: WebSocket) -> None:
        async for text in socket.iter_text():
            await socket.send_text(text)

    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "fastapi")
    recorded = started()
    app = chat(silent)
    app._telemetry["exclude"] = lambda scope: True
    with serving(app) as address:
        assert talk(address, "one") == ["one"]
    assert recorded.spans == ()


def test_turns_can_be_switched_off(started: Start) -> None:
    recorded = started(websocket_turns=False)
    with serving(chat(unchanged)) as address:
        talk(address, "one", "two")
        eventually(lambda: len(recorded.spans) == 5)
    assert len(recorded.trace_ids()) == 1
