"""What a gateway recorded for a dashboard that was written before Spanflow: two requests and a conversation."""

from pathlib import Path
from typing import Any

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.identity import Identity
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.query import script

CONVERSATION = "d9a7cfcb-a863-4808-b172-425d6919ebfb"


WHO = Identity("123", "neo@matrix.com", "Thomas A. Anderson", "abc-123-def", CONVERSATION, "chat")


def activity(number: int, kind: str, data: dict[str, Any], who: Identity = WHO) -> bytes:
    return Activity(
        kind,
        NOON + number * 100 * MS,
        data,
        conversation_id=who.conversation_id,
        session_id=who.session_id,
        user_id=who.user_id,
        activity_id=f"5e6bb1b4-0a4b-4cf5-9d6b-{number:012x}",
    ).to_bytes()


def record(postgres_dsn: str, folder: Path) -> None:
    """A session of two requests, and a conversation of four activities."""
    script(
        postgres_dsn,
        "CREATE TABLE omni2.interaction_flows_w20260105 PARTITION OF omni2.interaction_flows "
        "FOR VALUES FROM ('2026-01-05 00:00Z') TO ('2026-01-12 00:00Z')",
    )
    tool = {"flow.data.mcp": "qa_mcp", "flow.data.tool": "list_snapshots"}
    first = [
        span(1, name="POST /api/v1/ask/stream", end_ns=NOON + 900 * MS),
        span(2, 1, event_type="auth_check"),
        span(3, 1, event_type="usage_check", attributes={"flow.data.remaining": 42}),
        span(4, 1, event_type="llm_thinking", end_ns=NOON + 800 * MS),
        span(5, 4, event_type="tool_call", attributes=tool, end_ns=NOON + 155 * MS),
        span(6, 1, event_type="llm_complete", attributes={"flow.data.tokens": 150}),
    ]
    second = [span(100, name="POST /api/v1/ask/stream"), span(101, 100, event_type="block_check", outcome="denied")]
    activities = (
        activity(1, "user_message", {"message": "What is the status of job XYZ?"}),
        activity(2, "mcp_tool_call", {"mcp_server": "informatica_mcp", "tool_name": "get_job_status"}),
        activity(3, "mcp_tool_response", {"status": "success"}),
        activity(4, "assistant_response", {"message": "Job XYZ is running at 75%", "tokens_used": 150, "cost": 0.5}),
    )
    with archives_in(postgres_dsn, folder) as archives:
        receipt = deliver(
            archives.make(), part(1, first, identity=WHO, activities=activities), part(2, second, identity=WHO)
        )
        assert receipt.delivered == 2
