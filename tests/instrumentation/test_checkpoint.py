"""Checkpoints as a gateway uses them, seen as the spans they leave behind."""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from dirty_equals import IsFloat, IsStr
from fastapi import HTTPException
from inline_snapshot import snapshot
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from spanflow.instrumentation import checkpoint, current_checkpoint, start_checkpoint
from spanflow.instrumentation.runtime import install, unconfigured
from tests.instrumentation.conftest import Recorded


def test_a_checkpoint_is_a_span_with_our_words_and_opentelemetrys(recorded: Recorded) -> None:
    with checkpoint("llm_thinking", provider="openai", model="gpt-5") as thinking:
        thinking.first_token()
        with checkpoint("tool_call", mcp="qa_mcp", tool="list_snapshots", call_id="c1") as call:
            call.set(rows=3)
        thinking.set(input_tokens=12, output_tokens=34, finish_reason="stop")
    assert recorded.tree() == snapshot(
        [
            {
                "name": "chat gpt-5",
                "kind": "client",
                "attributes": {
                    "flow.checkpoint.type": "llm_thinking",
                    "flow.data.finish_reason": "stop",
                    "flow.data.input_tokens": 12,
                    "flow.data.model": "gpt-5",
                    "flow.data.output_tokens": 34,
                    "flow.data.provider": "openai",
                    "flow.data.time_to_first_token_ms": IsFloat(gt=0),
                    "flow.outcome": "ok",
                    "gen_ai.operation.name": "chat",
                    "gen_ai.provider.name": "openai",
                    "gen_ai.request.model": "gpt-5",
                    "gen_ai.response.finish_reasons": ("stop",),
                    "gen_ai.response.time_to_first_chunk": IsFloat(gt=0),
                    "gen_ai.system": "openai",
                    "gen_ai.usage.input_tokens": 12,
                    "gen_ai.usage.output_tokens": 34,
                },
                "children": [
                    {
                        "name": "tools/call list_snapshots",
                        "kind": "client",
                        "attributes": {
                            "flow.checkpoint.type": "tool_call",
                            "flow.data.call_id": "c1",
                            "flow.data.mcp": "qa_mcp",
                            "flow.data.rows": 3,
                            "flow.data.tool": "list_snapshots",
                            "flow.outcome": "ok",
                            "gen_ai.operation.name": "execute_tool",
                            "gen_ai.tool.call.id": "c1",
                            "gen_ai.tool.name": "list_snapshots",
                            "mcp.method.name": "tools/call",
                        },
                    }
                ],
            }
        ]
    )


def test_the_model_may_be_known_later(recorded: Recorded) -> None:
    with checkpoint("llm_thinking") as thinking:
        thinking.set(model="gpt-5")
    with checkpoint("llm_thinking", name="planner") as thinking:
        thinking.set(model="gpt-5")
    assert [span.name for span in recorded.spans] == snapshot(["chat gpt-5", "planner"])


def test_a_denied_request_is_complete_and_not_an_error(recorded: Recorded) -> None:
    with checkpoint("usage_check", limit=100) as gate:
        gate.deny("budget used up", used=101)
    assert recorded.tree() == snapshot(
        [
            {
                "name": "usage_check",
                "kind": "internal",
                "attributes": {
                    "flow.checkpoint.type": "usage_check",
                    "flow.data.limit": 100,
                    "flow.data.used": 101,
                    "flow.denied.reason": "budget used up",
                    "flow.outcome": "denied",
                },
            }
        ]
    )


class HttpError(Exception):
    def __init__(self, status_code: int, detail: str) -> None:
        self.status_code = status_code
        self.detail = detail


def test_a_gate_that_raises_a_refusal_has_denied(recorded: Recorded) -> None:
    with pytest.raises(HttpError), checkpoint("auth_check"):
        raise HttpError(401, "no such key")
    with pytest.raises(HttpError), checkpoint("auth_check"):
        raise HttpError(500, "directory is down")
    with pytest.raises(HttpError), checkpoint("tool_call"):
        raise HttpError(403, "not a gate")
    assert [(span.name, dict(span.attributes or {}).get("flow.outcome")) for span in recorded.spans] == snapshot(
        [("auth_check", "denied"), ("auth_check", "error"), ("tool_call", "error")]
    )


@pytest.mark.parametrize("before", [1000, 1010, 1020, 1023])
def test_no_part_of_a_secret_is_left_where_a_message_is_cut(recorded: Recorded, before: int) -> None:
    secret = "ghp_" + "aB3" * 12
    with pytest.raises(ValueError), checkpoint("tool_call", tool="login"):
        raise ValueError(f"{'x' * (before - 1)} {secret} and more")
    with checkpoint("tool_call", tool="login") as step:
        step.fail(f"{'x' * (before - 1)} {secret} and more")
    assert "aB3" not in repr(recorded.tree())
    assert "ghp_" not in repr(recorded.tree())


@pytest.mark.parametrize("limit", [1024, 8192])
@pytest.mark.parametrize("left", [4, 10, 30])
def test_no_part_of_a_secret_is_left_where_a_reason_or_a_value_is_cut(
    recorded: Recorded, limit: int, left: int
) -> None:
    secret = "ghp_" + "aB3" * 12
    text = f"{'x' * (limit - left - 1)} {secret} and more"
    with checkpoint("security_check") as step:
        step.deny(text, note=text, rules={"matched": [text, text.encode()]})
    with pytest.raises(HTTPException), checkpoint("block_check"):
        raise HTTPException(403, text)
    assert "aB3" not in repr(recorded.tree())
    assert "ghp_" not in repr(recorded.tree())


def test_what_is_cut_off_a_value_is_counted_in_it(recorded: Recorded) -> None:
    with checkpoint("security_check") as step:
        step.set(note="é" * 10_000, rules=["\ud800" + "é" * 9_999])
        step.deny("x" * 2_000)
    (span,) = recorded.spans
    assert span.attributes is not None
    assert {key: f"{str(value)[:4]} {str(value)[-28:]}" for key, value in span.attributes.items()} == snapshot(
        {
            "flow.checkpoint.type": "secu security_check",
            "flow.data.note": "éééé éééé… [1808 more characters]",
            "flow.data.rules": "('?é é… [1808 more characters]',)",
            "flow.denied.reason": "xxxx xxxxx… [976 more characters]",
            "flow.outcome": "deni denied",
        }
    )


def test_the_applications_exception_passes_through_unchanged_and_is_recorded_without_secrets(
    recorded: Recorded,
) -> None:
    error = ValueError("password=hunter2 is wrong")
    with pytest.raises(ValueError) as raised, checkpoint("tool_call", tool="login"):
        raise error
    assert raised.value is error
    assert error.__context__ is None
    (span,) = recorded.tree()
    assert "hunter2" not in repr(span)
    assert span == snapshot(
        {
            "name": "tools/call login",
            "kind": "client",
            "attributes": {
                "error.type": "ValueError",
                "flow.checkpoint.type": "tool_call",
                "flow.data.tool": "login",
                "flow.outcome": "error",
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "login",
                "mcp.method.name": "tools/call",
            },
            "status": "error: ValueError: password=[redacted] is wrong",
            "events": [
                {
                    "name": "exception",
                    "exception.type": "ValueError",
                    "exception.message": "password=[redacted] is wrong",
                    "exception.stacktrace": IsStr(regex=r'File ".*test_checkpoint.py", line \d+, in test_.*'),
                }
            ],
        }
    )


def test_an_error_that_the_application_handles_itself(recorded: Recorded) -> None:
    with checkpoint("tool_call", tool="flaky") as call:
        call.fail("the server answered with isError")
    assert recorded.tree(["flow.outcome", "error.type"]) == snapshot(
        [
            {
                "name": "tools/call flaky",
                "kind": "client",
                "attributes": {"error.type": "error", "flow.outcome": "error"},
                "status": "error: the server answered with isError",
            }
        ]
    )


@pytest.mark.anyio
async def test_a_cancelled_step_ends_as_cancelled(recorded: Recorded) -> None:
    async def work() -> None:
        with checkpoint("llm_thinking"):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorded.outline() == snapshot(["llm_thinking [cancelled]"])


def test_an_error_checkpoint_is_an_error(recorded: Recorded) -> None:
    with checkpoint("error", message="the model is gone"):
        pass
    assert recorded.tree() == snapshot(
        [
            {
                "name": "error",
                "kind": "internal",
                "attributes": {
                    "error.type": "error",
                    "flow.checkpoint.type": "error",
                    "flow.outcome": "error",
                    "flow.redacted": 1,
                },
                "status": "error: the model is gone",
            }
        ]
    )


def test_explicit_start_and_end_with_a_parent(recorded: Recorded) -> None:
    outer = start_checkpoint("llm_thinking", model="m")
    assert not trace.get_current_span().get_span_context().is_valid
    inner = start_checkpoint("tool_call", parent=outer, tool="t")
    by_span = start_checkpoint("tool_call", parent=outer.span, tool="u")
    by_context = start_checkpoint("tool_call", parent=outer.context, tool="v")
    for step in (inner, by_span, by_context, outer, outer):
        step.end()
    assert recorded.outline() == snapshot(
        ["chat m [ok]", "  tools/call t [ok]", "  tools/call u [ok]", "  tools/call v [ok]"]
    )


def test_a_gateways_own_type_is_a_checkpoint_too(recorded: Recorded) -> None:
    with checkpoint("cache_lookup", key="k"):
        pass
    assert recorded.tree() == snapshot(
        [
            {
                "name": "cache_lookup",
                "kind": "internal",
                "attributes": {"flow.checkpoint.type": "cache_lookup", "flow.data.key": "k", "flow.outcome": "ok"},
            }
        ]
    )


def test_as_decorator_of_all_four_kinds_of_functions(recorded: Recorded) -> None:
    @checkpoint("auth_check")
    def plain(a: int, b: int = 2) -> int:
        current_checkpoint().set(sum=a + b)
        return a + b

    @checkpoint("block_check")
    async def coroutine(a: int) -> int:
        await asyncio.sleep(0)
        return plain(a)

    @checkpoint("tool_filter")
    def generator() -> Iterator[int]:
        with checkpoint("usage_check"):
            yield 1
        yield plain(1)

    @checkpoint("llm_thinking")
    async def async_generator() -> AsyncIterator[int]:
        yield 1
        yield await coroutine(1)

    async def all_of_them() -> list[Any]:
        return [plain(1), await coroutine(2), list(generator()), [item async for item in async_generator()]]

    assert asyncio.run(all_of_them()) == [3, 4, [1, 3], [1, 3]]
    assert plain.__name__ == "plain"
    assert recorded.outline() == snapshot(
        [
            "auth_check [ok]",
            "block_check [ok]",
            "  auth_check [ok]",
            "tool_filter [ok]",
            "  usage_check [ok]",
            "  auth_check [ok]",
            "llm_thinking [ok]",
            "  block_check [ok]",
            "    auth_check [ok]",
        ]
    )


def test_as_decorator_of_methods_partials_and_callable_objects(recorded: Recorded) -> None:
    class Gate:
        @checkpoint("auth_check")
        async def check(self) -> int:
            await asyncio.sleep(0)
            return 1

        async def __call__(self) -> int:
            with checkpoint("usage_check"):
                await asyncio.sleep(0)
            return 2

    async def all_of_them() -> list[int]:
        gate = Gate()
        by_object = checkpoint("block_check")(gate)
        by_partial = checkpoint("tool_filter")(functools.partial(Gate.__call__, gate))
        return [await gate.check(), await by_object(), await by_partial()]

    assert asyncio.run(all_of_them()) == [1, 2, 2]
    assert recorded.outline() == snapshot(
        ["auth_check [ok]", "block_check [ok]", "  usage_check [ok]", "tool_filter [ok]", "  usage_check [ok]"]
    )


def test_calls_of_a_decorated_function_do_not_mix(recorded: Recorded) -> None:
    @checkpoint("tool_call")
    async def call(name: str) -> None:
        current_checkpoint().set(tool=name)
        await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(call("a"), call("b"))

    asyncio.run(both())
    assert sorted(recorded.outline()) == snapshot(["tools/call a [ok]", "tools/call b [ok]"])


def test_one_object_entered_twice_at_a_time_breaks_nothing(recorded: Recorded) -> None:
    shared = checkpoint("auth_check")
    with shared, shared:
        pass
    with shared:
        pass
    assert recorded.outline() == snapshot(["auth_check [ok]", "auth_check [ok]"])


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    __repr__ = __str__


@pytest.mark.parametrize(
    "value",
    [Unprintable(), "\ud800", 2**70, float("nan"), b"\x00\xff", {"a": {1: object}}, [[[[[[[[[[1]]]]]]]]]], {1, 2}, ""],
)
def test_no_value_can_hurt_the_request_or_the_exporter(recorded: Recorded, value: Any) -> None:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    with checkpoint("tool_call", tool=value, own=value) as call:
        call.set(more=value).deny(value)
    encode_spans(recorded.spans).SerializeToString()


class Broken(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("broken processor")

    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("broken processor")


def test_a_broken_processor_of_somebody_else_does_not_reach_the_application(recorded: Recorded) -> None:
    recorded.provider.add_span_processor(Broken())
    with checkpoint("auth_check") as step:
        step.set(a=1)
        done = True
    assert done


def test_long_values_are_cut(recorded: Recorded) -> None:
    with checkpoint("tool_call", blob="x" * 1_000_000):
        pass
    (span,) = recorded.spans
    assert len(str((span.attributes or {})["flow.data.blob"])) < 10_000


def test_content_is_not_recorded_by_default(recorded: Recorded) -> None:
    with checkpoint("tool_call", tool="t", arguments={"q": "my diagnosis"}) as call:
        call.set(result="positive")
    assert recorded.tree() == snapshot(
        [
            {
                "name": "tools/call t",
                "kind": "client",
                "attributes": {
                    "flow.checkpoint.type": "tool_call",
                    "flow.data.tool": "t",
                    "flow.outcome": "ok",
                    "flow.redacted": 4,
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": "t",
                    "mcp.method.name": "tools/call",
                },
            }
        ]
    )


def test_an_instrumentations_own_span_of_the_same_call_is_marked_as_a_detail(recorded: Recorded) -> None:
    with checkpoint("tool_call", tool="t"), trace.get_tracer("mcp").start_as_current_span("tools/call t"):
        with trace.get_tracer("httpx").start_as_current_span("POST"):
            pass
    assert recorded.tree(["flow.checkpoint.within"]) == snapshot(
        [
            {
                "name": "tools/call t",
                "kind": "client",
                "attributes": {},
                "children": [
                    {
                        "name": "tools/call t",
                        "kind": "internal",
                        "attributes": {"flow.checkpoint.within": "tool_call"},
                        "children": [{"name": "POST", "kind": "internal", "attributes": {}}],
                    }
                ],
            }
        ]
    )


def test_without_a_provider_nothing_is_recorded_and_nothing_fails(
    fresh_otel: None, caplog: pytest.LogCaptureFixture
) -> None:
    before = install(unconfigured())
    with caplog.at_level(logging.DEBUG), checkpoint("auth_check", a=1) as step:
        step.set(b=2).deny("no").first_token()
    start_checkpoint("tool_call").end()
    current_checkpoint().set(a=1)
    install(before)
    assert caplog.records == []
