"""Flow parts as a gateway's process hands them over."""

from collections.abc import Sequence
from typing import Any

from spanflow.span_processors.event.event import Event, encode
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity

#: 2026-01-05 12:00 UTC, a Monday.
NOON = 1_767_614_400_000_000_000
MS = 1_000_000


def span(number: int, parent: int | None = None, *, ended: bool = True, **fields: Any) -> Event:
    """Span `number` of a flow: it starts `number` ms after noon and takes one ms."""
    start = fields.pop("start_ns", NOON + number * MS)
    event: Event = {
        "phase": "start",
        "node_id": f"{number:016x}",
        "parent_id": None if parent is None else f"{parent:016x}",
        "event_type": "span",
        "name": f"step {number}",
        "kind": "internal",
        "start_ns": str(start),
        "process": "p1",
    }
    if ended:
        event |= {"phase": "end", "end_ns": str(fields.pop("end_ns", start + MS)), "status": "unset", "outcome": "ok"}
    return event | fields  # type: ignore[return-value]


def part(flow: int, spans: Sequence[Event], *, process: str = "p1", **fields: Any) -> FlowPart:
    """What `process` hands over for flow number `flow`."""
    starts = [int(event["start_ns"]) for event in spans if "start_ns" in event]
    ends = [int(event["end_ns"]) for event in spans if "end_ns" in event]
    given = {
        "process": b'{"resource":{"attributes":{"service.name":"gateway"}}}',
        "identity": Identity(user_id="7", email="ada@example.org", session_id="s1", source="web"),
        "started_ns": min(starts, default=0),
        "ended_ns": max(starts + ends, default=0),
        "root_ended": any(event.get("parent_id") is None and event["phase"] == "end" for event in spans),
        **fields,
    }
    entries = tuple(encode({**event, "process": process}) for event in spans)
    return FlowPart(flow_id=f"{flow:032x}", instance_id=process, entries=entries, **given)
