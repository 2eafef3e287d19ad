"""What a batch brings for one flow, as one document: before it is known whether a row of the flow is there already."""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from spanflow.span_processors import flow_data
from spanflow.span_processors.activity import Activity
from spanflow.span_processors.event import Event, checked
from spanflow.span_processors.flow_data import FlowData
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.ids import id_or_none, is_id
from spanflow.span_processors.json_safe import safe_text
from spanflow.span_processors.poison import ACTIVITY, SPAN, Poison
from spanflow.span_processors.reducer import FlowReducer


@dataclass(slots=True)
class FlowDraft:
    """One flow of a batch. Its `document` says per process which parts it is made of, so that a part that comes twice
    counts once."""

    flow_id: str
    started_ns: int
    document: FlowData
    identity: Identity
    parts: list[FlowPart]
    activities: list[Activity] = field(default_factory=list)


def drafts(parts: Iterable[FlowPart]) -> tuple[list[FlowDraft], list[Poison]]:
    """A draft per flow, ordered by flow id as everybody's locks are, and what in the parts cannot be used."""
    by_flow: dict[str, list[FlowPart]] = defaultdict(list)
    poison: list[Poison] = []
    for part in parts:
        if is_id(part.flow_id):
            by_flow[part.flow_id].append(part)
        else:
            poison.append(Poison.of_part(part, "the flow id cannot be used"))
    made: list[FlowDraft] = []
    for flow_id in sorted(by_flow):
        try:
            made.append(_draft(flow_id, by_flow[flow_id], poison))
        except Exception as why:  # whatever a record brings, it must not keep the others from being stored
            poison += [Poison.of_part(part, f"{type(why).__name__}: {why}") for part in by_flow[flow_id]]
    return made, poison


def _draft(flow_id: str, parts: list[FlowPart], poison: list[Poison]) -> FlowDraft:
    documents = [_document(part, poison) for part in parts]
    document = documents[0]
    for other in documents[1:]:
        document = flow_data.merge(document, other)
    identity = NOBODY
    for part in sorted(parts, key=lambda part: part.identity.source or ""):
        identity = identity.merged(_clean(part.identity))
    starts = [int(event["start_ns"]) for event in document["events"] if event.get("start_ns")]
    starts += [part.started_ns for part in parts if part.started_ns]
    return FlowDraft(
        flow_id=flow_id,
        started_ns=min(starts, default=0),
        document=document,
        identity=identity,
        parts=parts,
        activities=[activity for part in parts for activity in _activities(part, poison)],
    )


def _document(part: FlowPart, poison: list[Poison]) -> FlowData:
    events: dict[str, Event] = {}
    several: list[Event] = []
    for raw in part.entries:
        try:
            event = checked(orjson.loads(raw))
        except ValueError as why:  # no JSON, or no event
            poison.append(Poison(SPAN, part.flow_id, part.identity.user_id, part.instance_id, str(why), raw))
            continue
        if events.setdefault(event["node_id"], event) is not event:
            several.append(event)
    entries: Iterable[Event] = events.values()
    if several:
        entries = FlowReducer([*entries, *several]).entries()
    return flow_data.build(
        part.flow_id, entries, identity=_clean(part.identity), processes={part.instance_id: _process(part)}
    )


def _clean(identity: Identity) -> Identity:
    """The identity as columns take it: ids that cannot be ids are left out, texts are made storable."""
    texts = (identity.email, identity.full_name, identity.source)
    email, full_name, source = (safe_text(text) if text else None for text in texts)
    ids = map(id_or_none, (identity.user_id, identity.session_id, identity.conversation_id))
    user_id, session_id, conversation_id = ids
    return Identity(user_id, email, full_name, session_id, conversation_id, source)


def _process(part: FlowPart) -> dict[str, Any]:
    try:
        described = orjson.loads(part.process)
    except ValueError:
        described = {}
    process: dict[str, Any] = dict(described) if isinstance(described, Mapping) else {}
    mark = zlib.crc32(b"".join(part.activities), zlib.crc32(b"".join(part.entries)))
    handed_over = {
        "why": part.reason,
        # As text, like every time in an event: JavaScript would round the number.
        "at_ns": str(part.ended_ns or part.started_ns),
        "root_ended": part.root_ended,
        "cut_spans": part.cut_spans,
        "cut_bytes": part.cut_bytes,
        "redacted": part.redacted,
    }
    process["parts"] = {f"{mark:08x}": {key: value for key, value in handed_over.items() if value}}
    return process


def _activities(part: FlowPart, poison: list[Poison]) -> Iterable[Activity]:
    for raw in part.activities:
        try:
            yield Activity.from_bytes(raw)
        except ValueError as why:
            poison.append(Poison(ACTIVITY, part.flow_id, part.identity.user_id, part.instance_id, str(why), raw))
