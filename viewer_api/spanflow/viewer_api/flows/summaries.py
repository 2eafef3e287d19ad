"""One line about a flow, with the same fields whether it is stored or still runs."""

from typing import TYPE_CHECKING, Any

from spanflow.span_processors.ids import shown_id
from spanflow.span_processors.tree.costs import shown_cost
from spanflow.span_processors.tree.flow_summary import FlowSummary, summary_of
from spanflow.span_processors.tree.tree import NS_PER_MS
from spanflow.viewer_api.flows.documents import Flow

if TYPE_CHECKING:
    # A worker that makes trees does without the server's libraries.
    from spanflow.viewer_api.store.database import Row


def stored_summary(row: "Row") -> dict[str, Any]:
    """From the columns alone; `flow_data` is not opened."""
    return {
        "flow_id": row["flow_id"],
        "session_id": shown_id(row["session_id"]),
        "user_id": shown_id(row["user_id"]),
        "conversation_id": shown_id(row["conversation_id"]),
        "source": row["source"],
        "name": row["name"],
        "open": False,
        "outcome": row["outcome"],
        "outcome_reason": row["outcome_reason"],
        "started_at": row["started_at"],
        "completed_at": row["completed_at"],
        "duration_ms": row["duration_ms"],
        "span_count": row["span_count"],
        "cut_spans": row["cut_spans"] or 0,
        "checkpoint_count": row["checkpoint_count"],
        "error_count": row["error_count"],
        "tokens_input": row["tokens_in"],
        "tokens_output": row["tokens_out"],
        "cost": shown_cost(row["cost"]),
        "tools": row["tools"],
        "models": row["models"],
        "mcp_servers": row["mcp_servers"],
        "denied_gate": row["gate"],
        "denied_reason": row["reason"],
        "error_message": row["status_message"],
    }


def live_summary(flow: Flow) -> dict[str, Any]:
    """What is known so far."""
    return shown_live(flow, summary_of(flow.entries))


def shown_live(flow: Flow, summary: FlowSummary) -> dict[str, Any]:
    """The cost is only known when it is stored: the archive has the price table."""
    duration = None
    if not flow.open and summary.started_ns is not None and summary.ended_ns is not None:
        duration = (summary.ended_ns - summary.started_ns) / NS_PER_MS
    return {
        **flow.ids(),
        "source": flow.source,
        "name": summary.name,
        "open": flow.open,
        "outcome": None if flow.open else flow.outcome or summary.outcome,
        "outcome_reason": None if flow.open else flow.outcome_reason if flow.outcome else summary.outcome_reason,
        "started_at": flow.created_at,
        "completed_at": flow.completed_at,
        "duration_ms": duration,
        "span_count": summary.span_count,
        "cut_spans": flow.cut_spans,
        "checkpoint_count": summary.checkpoint_count,
        "error_count": summary.error_count,
        "tokens_input": summary.tokens_in,
        "tokens_output": summary.tokens_out,
        "cost": None,
        "tools": list(summary.tools),
        "models": list(summary.models),
        "mcp_servers": list(summary.mcp_servers),
        "denied_gate": summary.gate,
        "denied_reason": summary.reason,
        "error_message": summary.status_message,
    }
