"""Stored flows as a person reads them: one line for the flow, and indented its checkpoints."""

import json
from typing import Any

from tests.support.query import query

_COLUMNS = (
    "name, user_id, session_id, conversation_id, outcome, outcome_reason, gate, reason, models, tools, "
    "tokens_in, tokens_out"
)


def stored_trees(dsn: str, *, without: str = "GET /health%") -> list[list[str]]:
    """Each flow in the order in which it began."""
    statement = (
        f"SELECT {_COLUMNS}, flow_data::text AS flow_data FROM omni2.interaction_flows "
        "WHERE complete AND name NOT LIKE $1 ORDER BY started_at"
    )
    return [_lines(row) for row in query(dsn, statement, without)]


def _lines(row: dict[str, Any]) -> list[str]:
    events = json.loads(row.pop("flow_data"))["events"]
    said = [f"{key}={_text(value)}" for key, value in row.items() if key != "name" and value not in (None, [], 0)]
    by_id = {event["node_id"]: event for event in events}
    lines = []
    for event in sorted(events, key=lambda event: int(event["start_ns"])):
        if event["event_type"] != "span":
            indent = "  " * (1 + _checkpoints_above(event, by_id))
            lines.append(f"{indent}{event['event_type']} {event['name']} [{event.get('outcome')}]")
    return [" ".join([row["name"], *said]), *lines]


def _checkpoints_above(event: dict[str, Any], by_id: dict[str, Any]) -> int:
    count = 0
    above = by_id.get(event["parent_id"])
    while above is not None:
        count += above["event_type"] != "span"
        above = by_id.get(above["parent_id"])
    return count


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)
