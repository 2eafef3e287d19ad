"""Turns: a trace of their own, linked to what was going on around them."""

import asyncio

import pytest
from inline_snapshot import snapshot
from opentelemetry import trace

from spanflow.instrumentation import checkpoint, flow, identify
from tests.instrumentation.conftest import Recorded


def test_a_flow_is_a_new_trace_linked_to_the_connection(recorded: Recorded) -> None:
    with trace.get_tracer("t").start_as_current_span("connection") as connection:
        with flow("chat turn", user_id=42, conversation_id="c-1", session_id="s-1", model="m") as turn:
            with checkpoint("auth_check"):
                pass
        with checkpoint("block_check"):
            pass
    assert recorded.tree() == snapshot(
        [
            {
                "name": "connection",
                "kind": "internal",
                "attributes": {},
                "children": [
                    {
                        "name": "block_check",
                        "kind": "internal",
                        "attributes": {"flow.checkpoint.type": "block_check", "flow.outcome": "ok"},
                    }
                ],
            },
            {
                "name": "chat turn",
                "kind": "internal",
                "attributes": {
                    "flow.checkpoint.type": "span",
                    "flow.data.model": "m",
                    "flow.outcome": "ok",
                    "flow.session_id": "s-1",
                    "gen_ai.conversation.id": "c-1",
                    "gen_ai.operation.name": "invoke_agent",
                    "session.id": "c-1",
                    "user.id": "42",
                },
                "links": 1,
                "children": [
                    {
                        "name": "auth_check",
                        "kind": "internal",
                        "attributes": {
                            "flow.checkpoint.type": "auth_check",
                            "flow.outcome": "ok",
                            "flow.session_id": "s-1",
                            "gen_ai.conversation.id": "c-1",
                            "session.id": "c-1",
                            "user.id": "42",
                        },
                    }
                ],
            },
        ]
    )
    root = recorded.only("chat turn")
    assert root.parent is None
    assert [link.context.span_id for link in root.links] == [connection.get_span_context().span_id]
    assert recorded.trace_ids().count(turn.flow_id) == 1


def test_a_flow_belongs_to_whoever_the_connection_belongs_to(recorded: Recorded) -> None:
    with trace.get_tracer("t").start_as_current_span("connection"):
        identify(user_id="ann", email="ann@example.com")
        with flow("first", conversation_id="one"):
            pass
        with flow("second", user_id="bob"):
            pass
    assert recorded.tree(["user.id", "user.email", "session.id"]) == snapshot(
        [
            {
                "name": "connection",
                "kind": "internal",
                "attributes": {"user.email": "ann@example.com", "user.id": "ann"},
            },
            {
                "name": "first",
                "kind": "internal",
                "attributes": {"session.id": "one", "user.email": "ann@example.com", "user.id": "ann"},
                "links": 1,
            },
            {
                "name": "second",
                "kind": "internal",
                "attributes": {"user.id": "bob"},
                "links": 1,
            },
        ]
    )


def test_an_error_ends_the_flow_and_reaches_the_caller(recorded: Recorded) -> None:
    with pytest.raises(ZeroDivisionError), flow("turn"):
        _ = 1 / 0
    assert recorded.outline() == snapshot(["turn [error]"])


def test_as_decorator_each_call_is_a_flow(recorded: Recorded) -> None:
    @flow("turn")
    async def answer() -> None:
        with checkpoint("llm_thinking"):
            await asyncio.sleep(0)

    async def twice() -> None:
        await asyncio.gather(answer(), answer())

    asyncio.run(twice())
    assert recorded.outline() == snapshot(["turn [ok]", "  llm_thinking [ok]", "turn [ok]", "  llm_thinking [ok]"])
    assert len(recorded.trace_ids()) == 2


def test_a_denied_flow(recorded: Recorded) -> None:
    with flow("turn") as turn:
        turn.deny("closed for the night")
    assert recorded.tree() == snapshot(
        [
            {
                "name": "turn",
                "kind": "internal",
                "attributes": {
                    "flow.checkpoint.type": "span",
                    "flow.denied.reason": "closed for the night",
                    "flow.outcome": "denied",
                    "gen_ai.operation.name": "invoke_agent",
                },
            }
        ]
    )


def test_without_a_provider(fresh_otel: None) -> None:
    with flow("turn", user_id=1) as turn:
        assert turn.flow_id == ""
