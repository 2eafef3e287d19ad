"""A gateway that was written against the older `FlowTracker` keeps its calls and gets whole flows."""

import asyncio
from collections.abc import Iterator

from inline_snapshot import snapshot
from opentelemetry import trace

from spanflow.instrumentation.flow_tracker import FlowTracker, get_flow_tracker
from tests.instrumentation.conftest import Recorded

_SECOND = 1_700_000_000_000_000_000


class MillisecondClock:
    """Every look at it finds it 10 ms later."""

    def __init__(self) -> None:
        self._moments: Iterator[int] = iter(range(_SECOND, 2 * _SECOND, 10_000_000))

    def __call__(self) -> int:
        return next(self._moments)


def timeline(recorded: Recorded) -> list[str]:
    """Each span with the milliseconds from when to when, and its parent."""
    names = {span.context.span_id: span.name for span in recorded.spans if span.context}
    lines = []
    for span in sorted(recorded.spans, key=lambda span: (span.start_time or 0, span.end_time or 0)):
        parent = names.get(span.parent.span_id, "?") if span.parent else "-"
        start, end = ((moment or 0) - _SECOND for moment in (span.start_time, span.end_time))
        outcome = (span.attributes or {}).get("flow.outcome")
        lines.append(f"{span.name} < {parent}: {start // 1_000_000}..{end // 1_000_000} {outcome}")
    return lines


async def chat(tracker: FlowTracker) -> int:
    """The calls of such a gateway, each naming the one before as its parent."""
    auth = await tracker.log_event("s-1", 42, "auth_check")
    block = await tracker.log_event("s-1", 42, "block_check", parent_id=auth)
    usage = await tracker.log_event("s-1", 42, "usage_check", parent_id=block, remaining=7)
    thinking = await tracker.log_event("s-1", 42, "llm_thinking", parent_id=usage, model="m-1")
    await tracker.log_event(
        "s-1", 42, "tool_call", parent_id=thinking, mcp="qa_mcp", tool="list_snapshots", duration_ms=15
    )
    await tracker.log_event("s-1", 42, "llm_complete", parent_id=thinking, tokens=150)
    return await tracker.save_to_db("s-1", 42, db=object())


def test_a_chain_of_events_becomes_a_tree_with_sensible_durations(recorded: Recorded) -> None:
    assert asyncio.run(chat(FlowTracker("redis", clock=MillisecondClock()))) == 6
    assert timeline(recorded) == snapshot(
        [
            "auth_check < request: 0..0 ok",
            "request < -: 0..60 ok",
            "block_check < auth_check: 0..10 ok",
            "usage_check < block_check: 10..20 ok",
            "tools/call list_snapshots < chat m-1: 25..40 ok",
            "chat m-1 < usage_check: 30..50 ok",
            "llm_complete < chat m-1: 50..50 ok",
        ]
    )


def test_events_without_parents_hang_in_time_order(recorded: Recorded) -> None:
    tracker = FlowTracker(clock=MillisecondClock())

    async def request() -> None:
        for event_type in ("auth_check", "llm_thinking", "tool_call", "llm_complete"):
            await tracker.log_event("s-1", 42, event_type)
        await tracker.save_to_db("s-1", 42)

    asyncio.run(request())
    assert timeline(recorded) == snapshot(
        [
            "auth_check < request: 0..0 ok",
            "request < -: 0..40 ok",
            "llm_thinking < request: 10..30 ok",
            "tool_call < llm_thinking: 20..20 ok",
            "llm_complete < request: 30..30 ok",
        ]
    )


def test_events_carry_the_user_and_their_data(recorded: Recorded) -> None:
    asyncio.run(chat(FlowTracker()))
    (tool,) = [span for span in recorded.spans if span.name == "tools/call list_snapshots"]
    assert dict(tool.attributes or {}) == snapshot(
        {
            "flow.checkpoint.type": "tool_call",
            "gen_ai.operation.name": "execute_tool",
            "mcp.method.name": "tools/call",
            "flow.reported": True,
            "flow.data.mcp": "qa_mcp",
            "flow.data.tool": "list_snapshots",
            "flow.data.duration_ms": 15,
            "flow.source": "chat",
            "gen_ai.tool.name": "list_snapshots",
            "user.id": "42",
            "session.id": "s-1",
            "flow.session_id": "s-1",
            "flow.outcome": "ok",
        }
    )


def test_inside_a_traced_request_events_join_its_flow(recorded: Recorded) -> None:
    with trace.get_tracer("server").start_as_current_span("POST /ask"):
        asyncio.run(chat(FlowTracker()))
    assert recorded.outline() == snapshot(
        [
            "POST /ask",
            "  auth_check [ok]",
            "    block_check [ok]",
            "      usage_check [ok]",
            "        chat m-1 [ok]",
            "          tools/call list_snapshots [ok]",
            "          llm_complete [ok]",
        ]
    )
    assert len(recorded.trace_ids()) == 1


def test_two_requests_of_one_session_at_a_time_are_told_apart(recorded: Recorded) -> None:
    tracker = FlowTracker()

    async def request(name: str) -> None:
        with trace.get_tracer("server").start_as_current_span(name):
            await tracker.log_event("s-1", 42, "auth_check")
            await asyncio.sleep(0)
            await tracker.log_event("s-1", 42, "block_check")
            await tracker.save_to_db("s-1", 42)

    async def both() -> None:
        await asyncio.gather(request("first"), request("second"))

    asyncio.run(both())
    assert recorded.outline() == snapshot(
        ["first", "  auth_check [ok]", "  block_check [ok]", "second", "  auth_check [ok]", "  block_check [ok]"]
    )


def test_a_refusal_and_a_failure_are_outcomes(recorded: Recorded) -> None:
    tracker = FlowTracker()

    async def request() -> None:
        await tracker.log_event("s-1", 42, "block_check", status="blocked", reason="spam")
        await tracker.log_event("s-1", 42, "tool_call", tool="x", status="failed", error="password=hunter2")
        await tracker.log_event("s-1", 42, "error", message="it broke")
        await tracker.save_to_db("s-1", 42)

    asyncio.run(request())
    assert recorded.tree(["flow.outcome", "flow.denied.reason"]) == snapshot(
        [
            {
                "name": "request",
                "kind": "internal",
                "attributes": {"flow.outcome": "ok"},
                "children": [
                    {
                        "name": "block_check",
                        "kind": "internal",
                        "attributes": {"flow.denied.reason": "spam", "flow.outcome": "denied"},
                    },
                    {
                        "name": "tools/call x",
                        "kind": "client",
                        "attributes": {"flow.outcome": "error"},
                        "status": "error: password=[redacted]",
                    },
                    {
                        "name": "error",
                        "kind": "internal",
                        "attributes": {"flow.outcome": "error"},
                        "status": "error: it broke",
                    },
                ],
            }
        ]
    )


def test_the_own_words_for_a_check_are_kept_and_a_flagged_one_is_not_ok(recorded: Recorded) -> None:
    tracker = FlowTracker()

    async def request() -> None:
        await tracker.log_event("s-1", 42, "auth_check", status="passed")
        await tracker.log_event("s-1", 42, "security_check", status="flagged", score=0.93, safe=False)
        await tracker.log_event("s-1", 42, "security_check", safe=False)
        await tracker.save_to_db("s-1", 42)

    asyncio.run(request())
    checks = [span.attributes or {} for span in recorded.spans if "_check" in span.name]
    assert [
        (each.get("flow.data.status"), each["flow.outcome"], each.get("flow.denied.reason")) for each in checks
    ] == [
        ("passed", "ok", None),
        ("flagged", "denied", "flagged"),
        (None, "denied", "flagged"),
    ]


def test_events_of_one_moment_start_in_the_order_in_which_they_were_reported(recorded: Recorded) -> None:
    reported = ["auth_check", "block_check", "usage_check", "llm_thinking", "tool_call", "llm_complete", "usage_check"]
    tracker = FlowTracker(clock=lambda: _SECOND)

    async def request() -> None:
        for event_type in reported:
            await tracker.log_event("s-1", 42, event_type)
        await tracker.save_to_db("s-1", 42)

    asyncio.run(request())
    steps = [span for span in recorded.spans if span.name != "request"]
    starts = {span.start_time or 0: span.name for span in steps}
    assert [starts[start] for start in sorted(starts)] == reported
    assert all((span.start_time or 0) <= (span.end_time or 0) < _SECOND + 1_000 for span in steps)


def test_a_tool_call_that_names_no_duration_does_not_take_the_time_of_the_model(recorded: Recorded) -> None:
    tracker = FlowTracker(clock=MillisecondClock())

    async def request() -> None:
        await tracker.log_event("s-1", 42, "llm_thinking")
        await tracker.log_event("s-1", 42, "tool_call", mcp="qa_mcp", tool="list_snapshots")
        await tracker.save_to_db("s-1", 42)

    asyncio.run(request())
    assert "tools/call list_snapshots < llm_thinking: 10..10 ok" in timeline(recorded)


def test_a_flow_has_the_source_that_an_event_names_or_else_chat(recorded: Recorded) -> None:
    tracker = FlowTracker()

    async def requests() -> None:
        await tracker.log_event("s-1", 42, "auth_check")
        await tracker.log_event("s-2", 42, "tool_call", mcp="qa_mcp", tool="list", source="mcp_gateway")
        await tracker.save_to_db("s-1", 42)
        await tracker.save_to_db("s-2", 42)

    asyncio.run(requests())
    roots = [span.attributes or {} for span in recorded.spans if span.name == "request"]
    assert [(each["flow.session_id"], each["flow.source"]) for each in roots] == [
        ("s-1", "chat"),
        ("s-2", "mcp_gateway"),
    ]


def test_odd_arguments_never_reach_the_gateway_as_errors(recorded: Recorded) -> None:
    class Unreadable:
        def __str__(self) -> str:
            raise ValueError("no")

    tracker = FlowTracker(clock=MillisecondClock())

    async def request() -> list[object]:
        return [
            len(await tracker.log_event(Unreadable(), 42, "auth_check")),
            len(await tracker.log_event("s", {"not": "an id"}, "auth_check", data=Unreadable())),
            len(await tracker.log_event("s", 42, "tool_call", parent_id="unknown", duration_ms="soon")),
            len(await tracker.log_event("s", 42, "tool_call", duration_ms=float("nan"))),
            await tracker.save_to_db("never seen", 42),
            await tracker.is_monitored(42),
        ]

    assert asyncio.run(request()) == [16, 16, 16, 16, 0, False]


def test_sessions_that_are_never_saved_are_ended_when_too_many_are_open(recorded: Recorded) -> None:
    tracker = FlowTracker()

    async def requests() -> None:
        for session in range(4100):
            await tracker.log_event(session, 42, "llm_thinking")

    asyncio.run(requests())
    assert len([span for span in recorded.spans if span.name == "request"]) == 4


def test_there_is_one_tracker_in_a_process() -> None:
    assert get_flow_tracker() is get_flow_tracker()
