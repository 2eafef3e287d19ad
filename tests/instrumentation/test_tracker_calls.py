"""Whatever a gateway passes to its trackers, Spanflow's take it: a `TypeError` would reach the request."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from sqlalchemy.ext.asyncio import AsyncSession

from spanflow.instrumentation import ActivityTracker, FlowTracker
from spanflow.instrumentation import runtime as runtimes
from spanflow.instrumentation.replaced_trackers import ReplacedTrackers
from spanflow.span_processors.activity import Activity
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.span_attributes import attributes_of
from tests.instrumentation.conftest import Recorded

SESSION = UUID("11111111-2222-3333-4444-555555555555")
CONVERSATION = UUID("99999999-2222-3333-4444-555555555555")


def facts(recorded: Recorded, name: str) -> dict[str, Any]:
    return {
        word: value
        for word, value in attributes_of(recorded.only(name)).items()
        if word.startswith(("flow.", "user.", "session."))
    }


def test_the_database_session_may_stand_anywhere_and_is_never_recorded(recorded: Recorded) -> None:
    tracker, db = FlowTracker(object()), AsyncSession()

    async def request() -> None:
        auth = await tracker.log_event(SESSION, 7, "auth_check", db, status="passed")
        block = await tracker.log_event(SESSION, 7, "block_check", db, auth, status="passed")
        await tracker.log_event(
            SESSION, 7, "usage_check", parent_id=block, db=db, remaining=3, extra={"db": db, "n": 1}
        )
        assert not await tracker.is_monitored(7, db)
        assert not await tracker.is_monitored(user_id=7, db=db)
        await tracker.save_to_db(SESSION, 7, db, conversation_id=CONVERSATION, source="chat")

    asyncio.run(request())
    assert recorded.outline() == ["request [ok]", "  auth_check [ok]", "    block_check [ok]", "      usage_check [ok]"]
    assert facts(recorded, "usage_check") == snapshot(
        {
            "flow.checkpoint.type": "usage_check",
            "flow.reported": True,
            "user.id": "7",
            "session.id": "11111111-2222-3333-4444-555555555555",
            "flow.session_id": "11111111-2222-3333-4444-555555555555",
            "flow.data.remaining": 3,
            "flow.data.extra": {"n": 1},
            "flow.source": "chat",
            "flow.outcome": "ok",
        }
    )
    assert facts(recorded, "request") == snapshot(
        {
            "flow.checkpoint.type": "span",
            "user.id": "7",
            "session.id": "99999999-2222-3333-4444-555555555555",
            "flow.session_id": "11111111-2222-3333-4444-555555555555",
            "flow.source": "chat",
            "flow.outcome": "ok",
        }
    )
    assert "AsyncSession" not in str([span.to_json() for span in recorded.spans])


def test_what_an_event_says_of_its_source_and_conversation_holds_for_the_flow(recorded: Recorded) -> None:
    tracker, db = FlowTracker(), AsyncSession()

    async def call() -> None:
        await tracker.log_event(str(SESSION), 7, "tool_call", db, mcp="qa_mcp", tool="list", source="mcp_gateway")
        assert await tracker.save_to_db(str(SESSION), 7, db, source="mcp_gateway") == 1

    asyncio.run(call())
    assert facts(recorded, "request")["flow.source"] == "mcp_gateway"


ANYTHING = st.one_of(
    st.none(),
    st.integers(),
    st.text(max_size=4),
    st.uuids(),
    st.builds(object),
    st.builds(AsyncSession),
    st.lists(st.none()),
)


@given(
    st.sampled_from(["log_event", "save_to_db", "is_monitored"]),
    st.lists(ANYTHING, max_size=8),
    st.dictionaries(
        st.sampled_from(["session_id", "user_id", "event_type", "parent_id", "db", "source", "self", "args", "status"]),
        ANYTHING,
        max_size=6,
    ),
)
def test_no_call_of_the_flow_tracker_raises(method: str, args: list[Any], keywords: dict[str, Any]) -> None:
    asyncio.run(getattr(FlowTracker(), method)(*args, **keywords))


@given(
    st.sampled_from(["record_user_message", "record_tool_call", "record_tool_response", "record_assistant_response"]),
    st.lists(ANYTHING, max_size=12),
    st.dictionaries(
        st.sampled_from(["db", "conversation_id", "user_id", "sequence_num", "message", "tool_name", "model", "span"]),
        ANYTHING,
        max_size=6,
    ),
)
def test_no_call_of_the_activity_tracker_raises(method: str, args: list[Any], keywords: dict[str, Any]) -> None:
    asyncio.run(getattr(ActivityTracker(), method)(*args, **keywords))


class Kept:
    """A pipeline that keeps activities."""

    def __init__(self) -> None:
        self.activities: list[Activity] = []

    def record_activity(self, trace_id: int, activity: Activity) -> None:
        self.activities.append(activity)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: None


def test_activities_are_recorded_by_position_and_by_name(recorded: Recorded) -> None:
    kept, tracker, db = Kept(), ActivityTracker(), AsyncSession()
    before = runtimes.install(runtimes.Runtime(runtimes.GlobalTracer(), runtimes.runtime().redactor, kept))  # type: ignore[arg-type]

    async def turn() -> None:
        whose: dict[str, Any] = {"conversation_id": CONVERSATION, "session_id": SESSION, "user_id": 7}
        await tracker.record_user_message(db, CONVERSATION, SESSION, 7, 1, "hello")
        await tracker.record_tool_call(
            db=db, **whose, sequence_num=2, mcp_server="qa_mcp", tool_name="list", parameters={"a": 1, "client": db}
        )
        await tracker.record_tool_response(db, CONVERSATION, SESSION, 7, 3, "qa_mcp", "list", "success", 12, "two rows")
        await tracker.record_assistant_response(
            db=db, **whose, sequence_num=4, message="done", tokens_used=9, model="m-1", unheard_of=True
        )

    try:
        asyncio.run(turn())
    finally:
        runtimes.install(before)
    assert {(each.conversation_id, each.session_id, each.user_id) for each in kept.activities} == {
        (str(CONVERSATION), str(SESSION), "7")
    }
    assert [(each.sequence_num, each.type, each.data) for each in kept.activities] == snapshot(
        [
            (1, "user_message", {"message": "hello", "message_length": 5}),
            (2, "mcp_tool_call", {"mcp_server": "qa_mcp", "tool_name": "list", "parameters": {"a": 1}}),
            (
                3,
                "mcp_tool_response",
                {
                    "mcp_server": "qa_mcp",
                    "tool_name": "list",
                    "status": "success",
                    "duration_ms": 12,
                    "result_summary": "two rows",
                },
            ),
            (
                4,
                "assistant_response",
                {"message": "done", "tokens_used": 9, "model": "m-1", "unheard_of": True, "message_length": 4},
            ),
        ]
    )


def test_the_log_says_which_classes_were_replaced(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        replaced = ReplacedTrackers(
            Settings(
                replace_flow_tracker=("tests.instrumentation.gateways.older_tracker.FlowTracker",),
            )
        )
        replaced.install()
        import tests.instrumentation.gateways.older_tracker  # noqa: F401
    replaced.remove()
    assert caplog.messages == [
        "Replaced tests.instrumentation.gateways.older_tracker.FlowTracker with Spanflow's FlowTracker"
    ]
