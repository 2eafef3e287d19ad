"""The row of a flow: its document, and the columns that lists and filters read instead of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.archive.archive_sql import COLUMN_NAMES, array, copy_line, moment_text
from spanflow.span_processors.archive.search_terms import index_terms, searched_texts, tsvector
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.event.json_safe import safe_text
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.tree import flow_data
from spanflow.span_processors.tree.flow_data import FlowData
from spanflow.span_processors.tree.flow_identity import identity_of_flow
from spanflow.span_processors.tree.flow_state import FlowState, state_of
from spanflow.span_processors.tree.flow_summary import FlowSummary, summary_in_order
from spanflow.span_processors.tree.flow_times import last_heard
from spanflow.span_processors.tree.prices import NO_PRICES, PriceTable
from spanflow.span_processors.tree.tree import NS_PER_MS

_MAX_TEXT: Final = 1000
_MAX_NAME: Final = 200
_MAX_LISTED: Final = 200
_MAX_BIGINT: Final = 2**63 - 1
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")

_NOTHING: Final[dict[str, Any]] = {}
_COLUMNS: Final = COLUMN_NAMES[1:-1]

Columns = dict[str, str | None]


@dataclass(slots=True)
class FlowRow:
    """A flow as it is stored: its columns as text, between `start_key`, which only the database can give, and
    `flow_data`."""

    owner: Identity
    columns: list[str | None]
    #: The document as JSON. It may be shorter than what was seen, if limits have cut it.
    flow_data: bytes

    def line(self) -> bytes:
        """As a line for COPY, but for the start key and the tab after it."""
        return copy_line(self.columns, self.flow_data)

    def values(self, start_key: datetime) -> list[str | None]:
        """As parameters of a statement."""
        return [str(start_key), *self.columns, self.flow_data.decode()]


def flow_row(
    document: FlowData, encoded: bytes, started_ns: int, source: str | None, prices: PriceTable = NO_PRICES
) -> FlowRow:
    """The row of a document. `started_ns` is for a flow without spans, `source` for one whose spans tell none."""
    state = state_of(document)
    events = document["events"]
    summary = summary_in_order(events, prices)
    owner = flow_data.identity_in_document(document)
    started = started_ns if summary.started_ns is None else summary.started_ns
    ended = _ended(events, summary, state, started)
    begun = moment_text(started)
    over = moment_text(ended) if ended is not None else None
    values: Columns = {
        "flow_id": document["flow_id"],
        "started_at": begun,
        "ended_at": over,
        "created_at": begun,
        "completed_at": over,
        "session_id": owner.session_id,
        "user_id": owner.user_id,
        "conversation_id": owner.conversation_id,
        "source": _short(_source(events, source)),
        "name": _short(summary.name),
        "duration_ms": repr(max(0, ended - started) / NS_PER_MS) if ended is not None else None,
        "outcome": names.OUTCOME_INTERRUPTED if state.interrupted else _short(summary.outcome),
        "outcome_reason": None if state.interrupted else summary.outcome_reason,
        "gate": _short(summary.gate),
        "reason": _short(summary.reason),
        "status": _short(summary.status),
        "status_message": _short(summary.status_message),
        "error_count": str(summary.error_count),
        "denied_count": str(summary.denied_count),
        "span_count": str(summary.span_count),
        "checkpoint_count": str(summary.checkpoint_count),
        "tokens_in": _whole(summary.tokens_in),
        "tokens_out": _whole(summary.tokens_out),
        "cost": None if summary.cost is None else repr(summary.cost),
        "event_types": _list(summary.event_types),
        "tools": _list(summary.tools),
        "mcp_servers": _list(summary.mcp_servers),
        "models": _list(summary.models),
        "processes": array(sorted(map(safe_text, document["processes"]))),
        "redacted_count": str(state.redacted),
        "cut_spans": str(state.cut_spans),
        "cut_bytes": str(state.cut_bytes),
        "complete": str(state.complete),
        "complete_why": state.why,
        "search": tsvector(index_terms(searched_texts(events)), summary.steps),
        "flow_bytes": str(len(encoded)),
    }
    return FlowRow(owner, [values[name] for name in _COLUMNS], storable(encoded))


def storable(encoded: bytes) -> bytes:
    """JSON as JSONB takes it: without NUL, should an event have come from somewhere that does not keep our rules."""
    return _NUL.sub(rb"\1\\ufffd", encoded) if b"\\" in encoded and b"\\u0000" in encoded else encoded


def _ended(events: Sequence[Event], summary: FlowSummary, state: FlowState, started: int) -> int | None:
    if not state.complete:
        return None
    return summary.ended_ns if summary.ended_ns is not None else last_heard(events, started)


def _source(events: Sequence[Event], source: str | None) -> str | None:
    if any([names.ATTR_SOURCE in event.get("attributes", _NOTHING) for event in events]):
        return identity_of_flow(events).source or source
    return source


def _list(values: tuple[str, ...]) -> str:
    """Bounded, because an index entry is: a tree of damaged data may name ten thousand `tools`."""
    return array([value[:_MAX_NAME] for value in values[:_MAX_LISTED]]) if values else "{}"


def _whole(number: int) -> str:
    return str(min(number, _MAX_BIGINT))


def _short(value: str | None) -> str | None:
    """What comes out of JSON needs no cleaning, but a bound."""
    return value[:_MAX_TEXT] if value is not None else None
