"""Flows that still run, narrowed by the same filters as stored ones: what Redis has of them is summed up."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spanflow.span_processors import names
from spanflow.span_processors.archive.search_terms import found_in, index_terms, searched_texts
from spanflow.span_processors.tree.flow_summary import FlowSummary, summary_of
from spanflow.viewer_api.flows.documents import Flow
from spanflow.viewer_api.flows.summaries import shown_live
from spanflow.viewer_api.store.flow_filters import RUNNING, Filters, has_steps
from spanflow.viewer_api.store.gates import furthest_gate


@dataclass(frozen=True, slots=True)
class RunningFlow:
    """One flow that is not stored yet: still open, or over and on its way."""

    flow: Flow
    summary: FlowSummary

    @property
    def shown(self) -> dict[str, Any]:
        return shown_live(self.flow, self.summary)


def summed_up(flow: Flow) -> RunningFlow:
    return RunningFlow(flow, summary_of(flow.entries))


def belongs(running: RunningFlow, filters: Filters, now: datetime) -> bool:
    """Whether it is among what the filters ask for, as far as is known by now."""
    flow, summary = running.flow, running.summary
    outcome = RUNNING if flow.open else summary.outcome
    people = filters.people
    one_of: tuple[tuple[str | None, Collection[str] | None], ...] = (
        (flow.user_id, people),
        (flow.session_id, filters.session_ids),
        (flow.conversation_id, filters.conversation_ids),
        (flow.source, filters.sources),
        (outcome, filters.outcomes),
        (None if flow.open else summary.outcome_reason, filters.outcome_reasons),
        (summary.gate, filters.gates),
        (furthest_gate(summary.event_types), filters.stopped_at),
    )
    any_of: tuple[tuple[Collection[str], Collection[str] | None], ...] = (
        (summary.event_types, filters.event_types),
        (summary.steps, filters.steps),
        (summary.tools, filters.tools),
        (summary.mcp_servers, filters.mcp_servers),
        (summary.models, filters.models),
    )
    ended = now if flow.open else flow.completed_at or now
    started = flow.created_at or ended
    asked = has_steps(summary.checkpoint_count, summary.name, summary.event_types)
    return (
        (filters.id_prefixes is None or flow.flow_id.startswith(filters.id_prefixes))
        and all(choice is None or value in choice for value, choice in one_of)
        and all(choice is None or not set(choice).isdisjoint(values) for values, choice in any_of)
        and (filters.stepless or asked or outcome not in (RUNNING, names.OUTCOME_OK))
        and filters.duration_ms.hold((ended - started).total_seconds() * 1000)
        and filters.tokens.hold(summary.tokens_in + summary.tokens_out)
        and filters.cost.hold(summary.cost)
        and (filters.since is None or ended >= filters.since)
        and (filters.started_since is None or started >= filters.started_since)
        and (filters.started_until is None or started < filters.started_until)
        and (filters.until is None or started < filters.until)
        and (filters.text is None or found_in(filters.text, index_terms(searched_texts(flow.entries))))
    )
