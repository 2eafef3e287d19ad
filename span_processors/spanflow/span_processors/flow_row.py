"""The row of a flow: its document, and the columns that lists and filters read instead of it."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from spanflow.span_processors import flow_data, names
from spanflow.span_processors.archive_sql import COLUMN_NAMES, array, moment
from spanflow.span_processors.event import Event, is_checkpoint
from spanflow.span_processors.flow_data import FlowData
from spanflow.span_processors.flow_identity import identity_of_flow
from spanflow.span_processors.flow_state import FlowState, state_of
from spanflow.span_processors.json_safe import safe_text
from spanflow.span_processors.search_terms import index_terms, tsvector
from spanflow.span_processors.tree import NS_PER_MS, time_of

_MAX_TEXT: Final = 1000
#: Of longer values only the beginning is searchable.
_SEARCHED: Final = 2000
_NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")

Columns = dict[str, str | None]


def flow_row(
    start_key: datetime, document: FlowData, encoded: bytes, started_ns: int, source: str | None
) -> list[str | None]:
    """One row as text, in the order of the archive's columns. `started_ns` is for a flow without spans."""
    state = state_of(document)
    values: Columns = {
        **_times(document, state, started_ns),
        **_owner(document, source),
        **_summary(document, state),
        "start_key": str(start_key),
        "flow_id": document["flow_id"],
        "processes": array(sorted(map(safe_text, document["processes"]))),
        "redacted_count": str(state.redacted),
        "cut_spans": str(state.cut_spans),
        "cut_bytes": str(state.cut_bytes),
        "complete": str(state.complete),
        "complete_why": state.why,
        "search": tsvector(index_terms(_searched(document))),
        "flow_bytes": str(len(encoded)),
        "flow_data": storable(encoded),
    }
    return [values[name] for name in COLUMN_NAMES]


def storable(encoded: bytes) -> str:
    """JSON as JSONB takes it: without NUL, should an event have come from somewhere that does not keep our rules."""
    text = encoded.decode()
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def _times(document: FlowData, state: FlowState, started_ns: int) -> Columns:
    events = document["events"]
    starts = [start for event in events if (start := time_of(event, "start_ns")) is not None]
    ends = [end for event in events if (end := time_of(event, "end_ns")) is not None]
    started = min(starts, default=started_ns)
    root_ends = [end for event in events if event.get("parent_id") is None and (end := time_of(event, "end_ns"))]
    ended = max(root_ends or ends, default=max(starts, default=started)) if state.complete else None
    begun = str(moment(started))
    over = str(moment(ended)) if ended is not None else None
    return {
        "started_at": begun,
        "created_at": begun,
        "ended_at": over,
        "completed_at": over,
        "duration_ms": repr(max(0, ended - started) / NS_PER_MS) if ended is not None else None,
    }


def _owner(document: FlowData, source: str | None) -> Columns:
    whose = flow_data.identity_in_document(document)
    found = identity_of_flow(document["events"]).source or source
    return {
        "user_id": whose.user_id,
        "session_id": whose.session_id,
        "conversation_id": whose.conversation_id,
        "source": _short(found),
    }


def _summary(document: FlowData, state: FlowState) -> Columns:
    events = document["events"]
    root: Any = next((event for event in events if event.get("parent_id") is None), events[0] if events else {})
    return {
        "name": _short(root.get("name")),
        "outcome": names.OUTCOME_INTERRUPTED if state.interrupted else root.get("outcome"),
        "gate": None,
        "reason": None,
        "status": root.get("status"),
        "status_message": _short(root.get("status_message")),
        "error_count": str(sum(event.get("status") == names.STATUS_ERROR for event in events)),
        "denied_count": str(sum(event.get("outcome") == names.OUTCOME_DENIED for event in events)),
        "span_count": str(len(events)),
        "checkpoint_count": str(sum(map(is_checkpoint, events))),
        "tokens_in": "0",
        "tokens_out": "0",
        "cost": None,
        "event_types": array(sorted({event["event_type"] for event in events if "event_type" in event})),
        "tools": "{}",
        "mcp_servers": "{}",
        "models": "{}",
    }


def _searched(document: FlowData) -> Iterator[str]:
    for event in document["events"]:
        yield from _texts(event)


def _texts(event: Event) -> Iterator[str]:
    yield event.get("name", "")
    if message := event.get("status_message"):
        yield message[:_SEARCHED]
    for value in event.get("attributes", {}).values():
        if isinstance(value, str):
            yield value[:_SEARCHED]
        elif isinstance(value, list):
            yield from (member[:_SEARCHED] for member in value if isinstance(member, str))


def _short(value: str | None) -> str | None:
    return safe_text(value)[:_MAX_TEXT] if isinstance(value, str) else None
