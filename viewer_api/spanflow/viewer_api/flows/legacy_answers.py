"""Flows and sessions in the shapes that dashboards written before Spanflow read."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.flows.documents import Flow
from spanflow.viewer_api.http.nested_json import nested_json
from spanflow.viewer_api.http.responses import encode

T = TypeVar("T")


def as_legacy_row(flow: Flow) -> dict[str, Any]:
    """One flow in a list."""
    return {
        "flow_id": flow.flow_id,
        "session_id": shown_id(flow.session_id),
        "flow_data": flow.legacy_document(),
        "created_at": flow.created_at,
        "completed_at": flow.completed_at,
    }


def as_session_document(session_id: str, flows: Sequence[Flow]) -> dict[str, Any]:
    """A session as one flow. A single flow is shown as it is stored."""
    user_id = shown_id(_first(flow.user_id for flow in flows))
    if len(flows) == 1:
        document = flows[0].legacy_document()
    else:
        document = {
            "session_id": shown_id(session_id),
            "user_id": user_id,
            "conversation_id": shown_id(_first(flow.conversation_id for flow in flows)),
            "flow_ids": [flow.flow_id for flow in flows],
            "events": [event for flow in flows for event in flow.legacy_events()],
        }
    return {
        "session_id": shown_id(session_id),
        "user_id": user_id,
        "flow_data": document,
        "created_at": flows[0].created_at,
        "completed_at": _completed(flows),
    }


def as_session_row(session_id: str, flows: Sequence[Flow]) -> dict[str, Any]:
    """A session in a list."""
    events = [event for flow in flows for event in flow.legacy_events()]
    return {
        "session_id": shown_id(session_id),
        "started_at": flows[0].created_at,
        "completed_at": _completed(flows),
        "event_count": len(events),
        "events": events,
        "source": _first(flow.source for flow in flows),
    }


def session_tree_json(session_id: str, flows: Sequence[Flow]) -> bytes:
    """A session with its flows and its tree, as JSON: the tree's depth is too much for JSON writers."""
    events: list[Any] = []
    for flow in flows:
        events.extend({**event, "flow_id": flow.flow_id} for event in flow.legacy_events() if isinstance(event, dict))
    head = {
        "session_id": shown_id(session_id),
        "user_id": shown_id(_first(flow.user_id for flow in flows)),
        "started_at": flows[0].created_at,
        "completed_at": _completed(flows),
        "event_count": len(events),
    }
    rows = [{**flow.ids(), "source": flow.source, **as_legacy_row(flow)} for flow in flows]
    around = encode({"session_id": shown_id(session_id), "flows": rows})
    return around[:-1] + b',"tree":' + nested_json(head, events) + b"}"


def _completed(flows: Sequence[Flow]) -> datetime | None:
    """When the last of them was complete; None while one is open."""
    ends = [flow.completed_at for flow in flows]
    completed = [end for end in ends if end is not None]
    return max(completed) if completed and len(completed) == len(ends) else None


def _first(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)
