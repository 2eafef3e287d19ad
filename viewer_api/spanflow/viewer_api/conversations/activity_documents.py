"""Activities and conversations as the API shows them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from spanflow.span_processors.ids import shown_id
from spanflow.span_processors.tree.costs import shown_cost
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.store.person import Person, names_in


def activity_document(row: Row) -> dict[str, Any]:
    return {
        "activity_id": row["activity_id"],
        "conversation_id": shown_id(row["conversation_id"]),
        "session_id": shown_id(row["session_id"]),
        "user_id": shown_id(row["user_id"]),
        "sequence_num": row["sequence_num"],
        "activity_type": row["activity_type"],
        "activity_data": orjson.loads(row["activity_data"]),
        "created_at": row["created_at"],
        "flow_id": row["flow_id"],
        "node_id": row["node_id"],
    }


def conversation_document(row: Row, people: Mapping[str, Person]) -> dict[str, Any]:
    """One row of the table of conversations, with what it adds up to."""
    return {
        "conversation_id": shown_id(row["conversation_id"]),
        "user_id": shown_id(row["user_id"]),
        **names_in(people, row["user_id"]),
        "session_id": shown_id(row["session_id"]),
        "title": row["title"],
        "started_at": row["started_at"],
        "ended_at": row["ended_at"],
        "duration_seconds": seconds_between(row["started_at"], row["ended_at"]),
        "total_activities": row["activity_count"],
        "tool_calls": row["tool_calls"],
        "total_tokens": row["tokens"],
        "estimated_cost": shown_cost(row["cost"]),
        "mcp_servers": row["mcp_servers"],
    }


def seconds_between(start: datetime, end: datetime) -> float:
    return round((end - start).total_seconds(), 6)
