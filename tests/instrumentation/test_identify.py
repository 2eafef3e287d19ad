"""Whose flow it is may be said at any time, from any place of the flow."""

import asyncio
import threading
from uuid import UUID

import pytest
from inline_snapshot import snapshot
from opentelemetry import baggage, context, trace

from spanflow.instrumentation import checkpoint, flow, identify, start_checkpoint
from spanflow.instrumentation.known_flows import KnownFlows
from spanflow.span_processors.identity import NOBODY
from tests.instrumentation.conftest import Recorded

tracer = trace.get_tracer("test")


def test_every_span_carries_the_ids_and_only_the_root_the_person(recorded: Recorded) -> None:
    with trace.get_tracer("t").start_as_current_span("request"):
        with checkpoint("auth_check"):
            identify(
                user_id=42,
                email="neo@matrix.com",
                full_name="Neo",
                session_id="s",
                conversation_id="c",
                source="web",
                team="zion",
            )
        with trace.get_tracer("t").start_as_current_span("GET /"):
            pass
    assert recorded.tree() == snapshot(
        [
            {
                "name": "request",
                "kind": "internal",
                "attributes": {
                    "flow.session_id": "s",
                    "flow.source": "web",
                    "gen_ai.conversation.id": "c",
                    "session.id": "c",
                    "user.email": "neo@matrix.com",
                    "user.full_name": "Neo",
                    "user.id": "42",
                    "user.team": "zion",
                },
                "children": [
                    {
                        "name": "auth_check",
                        "kind": "internal",
                        "attributes": {
                            "flow.checkpoint.type": "auth_check",
                            "flow.outcome": "ok",
                            "flow.session_id": "s",
                            "flow.source": "web",
                            "gen_ai.conversation.id": "c",
                            "session.id": "c",
                            "user.id": "42",
                        },
                    },
                    {
                        "name": "GET /",
                        "kind": "internal",
                        "attributes": {
                            "flow.session_id": "s",
                            "flow.source": "web",
                            "gen_ai.conversation.id": "c",
                            "session.id": "c",
                            "user.id": "42",
                        },
                    },
                ],
            }
        ]
    )


def test_what_has_already_started_is_told_and_what_ended_stays(recorded: Recorded) -> None:
    with trace.get_tracer("t").start_as_current_span("request"):
        with checkpoint("security_check"):
            pass
        with checkpoint("auth_check"):
            identify(user_id="ann")
    assert recorded.tree(["user.id"]) == snapshot(
        [
            {
                "name": "request",
                "kind": "internal",
                "attributes": {"user.id": "ann"},
                "children": [
                    {"name": "security_check", "kind": "internal", "attributes": {}},
                    {"name": "auth_check", "kind": "internal", "attributes": {"user.id": "ann"}},
                ],
            }
        ]
    )


def test_what_was_known_stays(recorded: Recorded) -> None:
    with flow("turn", session_id="s"):
        identify(user_id="ann")
        identify(conversation_id="c")
    assert recorded.tree(["user.id", "session.id", "flow.session_id"]) == snapshot(
        [
            {
                "name": "turn",
                "kind": "internal",
                "attributes": {"flow.session_id": "s", "session.id": "c", "user.id": "ann"},
            }
        ]
    )


def test_from_a_thread_whose_context_nobody_else_sees(recorded: Recorded) -> None:
    async def request() -> None:
        with checkpoint("auth_check"):
            await asyncio.to_thread(identify, user_id="ann")
            with checkpoint("usage_check"):
                pass

    asyncio.run(request())
    assert recorded.tree(["user.id"]) == snapshot(
        [
            {
                "name": "auth_check",
                "kind": "internal",
                "attributes": {"user.id": "ann"},
                "children": [{"name": "usage_check", "kind": "internal", "attributes": {"user.id": "ann"}}],
            }
        ]
    )


def test_late_spans_of_the_flow_know_it_too(recorded: Recorded) -> None:
    with flow("turn") as turn:
        identify(user_id="ann")
    start_checkpoint("llm_complete", parent=turn).end()
    assert recorded.tree(["user.id"]) == snapshot(
        [
            {
                "name": "turn",
                "kind": "internal",
                "attributes": {"user.id": "ann"},
                "children": [{"name": "llm_complete", "kind": "internal", "attributes": {"user.id": "ann"}}],
            }
        ]
    )


def test_before_any_span_it_counts_for_what_the_task_starts(recorded: Recorded) -> None:
    def task() -> None:
        identify(user_id="ann")
        with checkpoint("auth_check"):
            pass

    thread = threading.Thread(target=task)
    thread.start()
    thread.join()
    with checkpoint("block_check"):
        pass
    assert recorded.tree(["user.id"]) == snapshot(
        [
            {"name": "auth_check", "kind": "internal", "attributes": {"user.id": "ann"}},
            {"name": "block_check", "kind": "internal", "attributes": {}},
        ]
    )


def test_ids_are_opaque_and_what_is_none_is_left_out(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    with flow("turn"):
        identify(user_id=UUID(int=7), session_id="a/b", conversation_id="x" * 200, source="bad{brace}", email="")
        identify(user_id=True)
    assert recorded.tree(["user.id", "session.id", "flow.source", "flow.session_id", "user.email"]) == snapshot(
        [{"name": "turn", "kind": "internal", "attributes": {"user.id": "00000000-0000-0000-0000-000000000007"}}]
    )


def test_identity_is_never_in_baggage(recorded: Recorded) -> None:
    with flow("turn", user_id="ann"):
        identify(email="ann@example.com")
        assert baggage.get_all() == {}
        assert "ann" not in repr(baggage.get_all(context.get_current()))


def test_the_first_attribute_lost_to_a_full_span_is_not_lost_to_the_flow(recorded: Recorded) -> None:
    with flow("turn", user_id="ann") as turn:
        for number in range(200):
            turn.span.set_attribute(f"filler.{number}", number)
        identify(conversation_id="c")
    assert (recorded.only("turn").attributes or {})["user.id"] == "ann"


def test_no_more_flows_are_remembered_than_said() -> None:
    flows = KnownFlows(remembered=3)
    for trace_id in range(1, 10):
        flows.started(trace.INVALID_SPAN, trace_id, 1, True, NOBODY)
        flows.ended(trace_id, 1)
    assert [trace_id for trace_id in range(1, 10) if flows.get(trace_id)] == [7, 8, 9]
