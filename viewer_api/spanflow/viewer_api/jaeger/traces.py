"""Flows as traces, with what their processes say of themselves: stored ones, and those that still run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree import flow_data
from spanflow.viewer_api.flows.documents import Flow


@dataclass(frozen=True, slots=True)
class Trace:
    flow: Flow
    #: In start order.
    entries: list[Event]
    processes: Mapping[str, Any]


def trace_of(flow: Flow) -> Trace:
    processes = flow.document.get("processes")
    return Trace(flow, flow_data.read(flow.document).entries(), processes if isinstance(processes, Mapping) else {})
