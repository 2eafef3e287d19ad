"""Streams: the span is current inside the stream, never in its consumer, however the consumer treats it."""

import asyncio
import gc
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from inline_snapshot import snapshot
from opentelemetry import trace

from spanflow.instrumentation import checkpoint, checkpoint_stream, current_checkpoint, flow
from tests.instrumentation.conftest import Recorded
from tests.support.poll import eventually_async

pytestmark = pytest.mark.anyio


async def tokens(count: int = 3) -> AsyncIterator[str]:
    for number in range(count):
        with checkpoint("tool_call", tool=f"t{number}"):
            await asyncio.sleep(0)
        yield f"token {number}"


async def step(stream: AsyncIterator[Any]) -> Any:
    return await anext(stream)


def nothing_current() -> bool:
    return not trace.get_current_span().get_span_context().is_valid


async def test_a_stream_is_one_step_with_its_steps_inside(recorded: Recorded) -> None:
    items = []
    async for item in checkpoint_stream("llm_thinking", tokens, model="m"):
        assert nothing_current()
        items.append(item)
    assert items == ["token 0", "token 1", "token 2"]
    assert recorded.outline() == snapshot(
        ["chat m [ok]", "  tools/call t0 [ok]", "  tools/call t1 [ok]", "  tools/call t2 [ok]"]
    )
    assert "gen_ai.response.time_to_first_chunk" in (recorded.only("chat m").attributes or {})


async def test_a_consumer_that_breaks_off_leaves_nothing_current(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    async for _ in checkpoint_stream("llm_thinking", tokens):
        break
    assert nothing_current()
    with checkpoint("llm_complete"):
        pass
    gc.collect()
    await eventually_async(lambda: len(recorded.outline()) == 3)
    assert recorded.outline() == snapshot(["llm_thinking [cancelled]", "  tools/call t0 [ok]", "llm_complete [ok]"])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_each_step_in_a_task_of_its_own(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    stream = checkpoint_stream("llm_thinking", tokens)
    while True:
        try:
            await asyncio.create_task(step(stream))
        except StopAsyncIteration:
            break
    assert recorded.outline() == snapshot(
        ["llm_thinking [ok]", "  tools/call t0 [ok]", "  tools/call t1 [ok]", "  tools/call t2 [ok]"]
    )
    assert caplog.records == []


async def test_a_cancelled_stream_ends_as_cancelled_with_what_was_open_in_it(recorded: Recorded) -> None:
    called = asyncio.Event()

    async def endless() -> AsyncIterator[str]:
        yield "first"
        with checkpoint("tool_call"):
            called.set()
            await asyncio.Event().wait()
        yield "never"

    async def consume() -> None:
        async for _ in checkpoint_stream("llm_thinking", endless()):
            pass

    task = asyncio.create_task(consume())
    await called.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorded.outline() == snapshot(["llm_thinking [cancelled]", "  tool_call [cancelled]"])


async def test_an_error_in_the_stream_reaches_the_consumer_unchanged(recorded: Recorded) -> None:
    error = RuntimeError("model gone")

    async def failing() -> AsyncIterator[int]:
        yield 1
        raise error

    with pytest.raises(RuntimeError) as raised:
        async for _ in checkpoint_stream("llm_thinking", failing):
            pass
    assert raised.value is error
    assert recorded.outline() == snapshot(["llm_thinking [error]"])


async def test_a_source_that_cannot_be_opened(recorded: Recorded) -> None:
    def refuse() -> AsyncIterator[int]:
        raise ConnectionError("no model")

    with pytest.raises(ConnectionError):
        async for _ in checkpoint_stream("llm_thinking", refuse):
            pass
    assert recorded.outline() == snapshot(["llm_thinking [error]"])


async def test_a_checkpoint_around_a_yield_inside_a_stream_keeps_its_children(recorded: Recorded) -> None:
    @checkpoint("llm_thinking")
    async def stream() -> AsyncIterator[int]:
        with checkpoint("tool_filter"):
            yield 1
            with checkpoint("tool_call"):
                yield 2
        with checkpoint("tool_call"):
            yield 3

    generator = stream()
    for _ in range(3):
        await asyncio.create_task(step(generator))
        assert nothing_current()
    with pytest.raises(StopAsyncIteration):
        await anext(generator)
    assert recorded.outline() == snapshot(
        ["llm_thinking [ok]", "  tool_filter [ok]", "    tool_call [ok]", "  tool_call [ok]"]
    )


async def test_a_plain_with_around_a_yield_does_not_adopt_what_comes_after_a_break(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    async def naive() -> AsyncIterator[int]:
        with checkpoint("llm_thinking"):
            yield 1
            yield 2

    with checkpoint("tool_filter"):
        async for _ in naive():
            break
        # The event loop closes what was left behind.
        await eventually_async(lambda: recorded.spans)
        with checkpoint("tool_call"):
            pass
    assert recorded.outline() == snapshot(["tool_filter [ok]", "  llm_thinking [cancelled]", "  tool_call [ok]"])
    assert caplog.records == []


async def test_a_decorated_generator_can_be_sent_to_and_thrown_into(recorded: Recorded) -> None:
    @checkpoint("tool_call")
    async def echo() -> AsyncGenerator[str, str]:
        heard = yield "ready"
        while True:
            try:
                heard = yield f"heard {heard}"
            except KeyError:
                heard = "an error"

    generator = echo()
    assert await anext(generator) == "ready"
    assert await generator.asend("hello") == "heard hello"
    assert await generator.athrow(KeyError("x")) == "heard an error"
    await generator.aclose()
    assert recorded.outline() == snapshot(["tool_call [cancelled]"])


async def test_a_decorated_plain_generator_is_a_full_generator(recorded: Recorded) -> None:
    @checkpoint("tool_call")
    def echo() -> Generator[str, str, str]:
        try:
            heard = yield "ready"
            yield f"heard {heard}"
        except KeyError:
            yield "an error"
        return "done"

    def delegate() -> Generator[str, str, None]:
        yield (yield from echo())

    assert list(delegate()) == ["ready", "heard None", "done"]
    generator = echo()
    assert [next(generator), generator.throw(KeyError("x"))] == ["ready", "an error"]
    generator.close()

    managed = contextmanager(echo)
    with pytest.raises(StopIteration), managed():
        raise StopIteration
    assert recorded.outline() == snapshot(["tool_call [ok]", "tool_call [cancelled]", "tool_call [error]"])


async def test_a_flow_may_be_a_stream_as_well(recorded: Recorded) -> None:
    @flow("turn", user_id=7)
    async def turn() -> AsyncIterator[str]:
        async for token in checkpoint_stream("llm_thinking", lambda: tokens(1)):
            current_checkpoint().set(seen=token)
            yield token

    assert [token async for token in turn()] == ["token 0"]
    assert recorded.outline() == snapshot(["turn [ok]", "  llm_thinking [ok]", "    tools/call t0 [ok]"])
    assert {dict(span.attributes or {}).get("user.id") for span in recorded.spans} == {"7"}
