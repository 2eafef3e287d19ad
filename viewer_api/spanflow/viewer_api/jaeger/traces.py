"""Flows as traces, with what their processes say of themselves: stored ones, and those that still run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree import flow_data
from spanflow.viewer_api.flows.documents import Flow
from spanflow.viewer_api.store.redis_flows import REDIS_ERRORS, RedisFlows


@dataclass(frozen=True, slots=True)
class Trace:
    flow: Flow
    #: In start order.
    entries: list[Event]
    processes: Mapping[str, Any]


async def trace_of(flow: Flow, redis: RedisFlows) -> Trace:
    """Of a flow that runs, Redis knows what its processes say of themselves."""
    entries = list(flow_data.read(flow.document).entries())
    stored = flow.document.get("processes")
    processes: dict[str, Any] = dict(stored) if isinstance(stored, dict) else {}
    missing = sorted({entry["process"] for entry in entries if "process" in entry} - processes.keys())
    if missing:
        try:
            processes |= {key: orjson.loads(about) for key, about in (await redis.about(missing)).items()}
        except (*REDIS_ERRORS, ValueError):
            pass
    return Trace(flow, entries, processes)
