"""Each turn of a connection has the session that the gateway gave it."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import fastapi
import orjson
import pytest
import redis
from fastapi import WebSocket, WebSocketDisconnect
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from spanflow.instrumentation import FlowTracker, shutdown
from spanflow.instrumentation.runtime import runtime
from spanflow.instrumentation.startup import start
from spanflow.span_processors import names
from spanflow.span_processors.settings import Settings
from tests.instrumentation.test_turns import talk
from tests.support.asgi_server import serving
from tests.support.poll import eventually


@pytest.fixture
def traced(redis_url: str, fresh_otel: None) -> Iterator[None]:
    provider = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    assert start(Settings(enabled=True, redis_url=redis_url, archive_enabled=False)) is not None
    yield
    shutdown()
    provider.shutdown()


def test_live_events_of_a_turn_carry_its_own_session(traced: None, redis_url: str) -> None:
    database = trace.get_tracer("database")
    app, tracker, sessions = fastapi.FastAPI(), FlowTracker(), [str(uuid4()) for _ in range(3)]

    async def encoded() -> None:
        """Everything until now has left the queue: what comes next is a batch of its own."""
        pipeline = runtime().pipeline
        assert pipeline is not None
        assert await asyncio.to_thread(pipeline.force_flush, 5.0)

    @app.websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        try:
            for session in sessions:
                text = await socket.receive_text()
                await tracker.log_event(session, 7, "auth_check", status="passed")
                await encoded()
                with database.start_as_current_span("SELECT"):  # a library's span knows nothing of sessions
                    await encoded()
                await tracker.log_event(session, 7, "llm_thinking")
                await encoded()
                await tracker.log_event(session, 7, "llm_complete", tokens=3)
                await tracker.save_to_db(session, 7, conversation_id="c-1")
                await socket.send_text(text)
        except WebSocketDisconnect:
            pass

    with redis.Redis.from_url(redis_url) as client, client.pubsub(ignore_subscribe_messages=True) as heard:
        client.zadd(names.MONITORED_UNTIL, {"7": time.time() + 60})
        heard.subscribe("flow_events:7")
        messages: list[Any] = []

        def all_heard() -> bool:
            while (message := heard.get_message(timeout=0.05)) is not None:
                messages.append(orjson.loads(message["data"]))
            return len(messages) >= 9

        with serving(app) as address:
            talk(address, "one", "two", "three", path="/chat")
            eventually(all_heard, within=10)
    assert [(message["session_id"], message["event_type"]) for message in messages] == [
        (session, kind) for session in sessions for kind in ("auth_check", "llm_thinking", "llm_complete")
    ]
