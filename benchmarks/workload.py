"""The request that every variant serves: one root and ten checkpoints, five tool calls under the thinking model."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from opentelemetry.trace import SpanKind, Tracer

from spanflow.instrumentation import checkpoint, identify

CHECKPOINTS = 10

Request = Callable[[int], Awaitable[None]]

_ROOT = {"http.request.method": "POST", "http.route": "/api/v1/ask/stream", "url.path": "/api/v1/ask/stream"}


def user_of(number: int) -> str:
    return str(number % 100)


def untraced() -> Request:
    """What the request costs without any tracing: ten turns of the event loop."""

    async def request(number: int) -> None:
        for _ in range(CHECKPOINTS):
            await asyncio.sleep(0)

    return request


def traced(tracer: Tracer) -> Request:
    """The same request, each step a span with three or four attributes."""
    span = tracer.start_as_current_span

    async def step(name: str, **data: str | int | float | bool) -> None:
        attributes = {f"flow.data.{key}": value for key, value in data.items()}
        with span(name, attributes={"flow.checkpoint.type": name, **attributes}):
            await asyncio.sleep(0)

    async def request(number: int) -> None:
        root = {**_ROOT, "user.id": user_of(number), "flow.session_id": f"s{number % 500}"}
        with span("POST /api/v1/ask/stream", attributes=root):
            await step("auth_check", method="bearer", passed=True)
            await step("block_check", blocked=False, checked=3)
            await step("usage_check", remaining=1000 - number % 1000, limit=1000)
            with span("llm_thinking", attributes={"flow.checkpoint.type": "llm_thinking"}) as thinking:
                thinking.set_attribute("gen_ai.request.model", "example-large")
                thinking.set_attribute("gen_ai.provider.name", "example")
                await asyncio.sleep(0)
                for call in range(5):
                    await step("tool_call", mcp="qa_mcp", tool="list_snapshots", call=call)
                thinking.set_attribute("gen_ai.usage.input_tokens", 1234)
                thinking.set_attribute("gen_ai.usage.output_tokens", 321)
            await step("llm_complete", tokens=1555, finish_reason="stop", score=0.93)

    return request


def documented(tracer: Tracer) -> Request:
    """The same request as the docs show it: a server span, `identify`, and checkpoints."""

    async def step(kind: str, **data: Any) -> None:
        with checkpoint(kind, **data):
            await asyncio.sleep(0)

    async def request(number: int) -> None:
        with tracer.start_as_current_span("POST /api/v1/ask/stream", kind=SpanKind.SERVER, attributes=_ROOT):
            identify(user_id=user_of(number), session_id=f"s{number % 500}")
            await step("auth_check", method="bearer", passed=True)
            await step("block_check", blocked=False, checked=3)
            await step("usage_check", remaining=1000 - number % 1000, limit=1000)
            with checkpoint("llm_thinking", model="example-large", provider="example") as thinking:
                await asyncio.sleep(0)
                for call in range(5):
                    await step("tool_call", mcp="qa_mcp", tool="list_snapshots", call=call)
                thinking.set(input_tokens=1234, output_tokens=321)
            await step("llm_complete", tokens=1555, finish_reason="stop", score=0.93)

    return request
