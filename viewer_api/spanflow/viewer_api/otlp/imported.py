"""Flows of a file: as they were exported (json, jsonl), or OTLP/JSON. They are redacted like all others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import orjson

from spanflow.span_processors.event.event import Event, encode, restored
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.ids import is_id
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.tree import flow_data
from spanflow.span_processors.tree.flow_identity import identity_of_flow
from spanflow.span_processors.tree.tree import time_of
from spanflow.viewer_api.otlp.body import UnreadableBody
from spanflow.viewer_api.otlp.messages import JSON, TraceRequest, read_traces

_WHAT: Final = "an export of flows (json, jsonl) or OTLP/JSON"
#: Of spans that do not say in which process they were.
_NO_PROCESS: Final = "imported"
_FLOW_ID: Final = 32


@dataclass(frozen=True, slots=True)
class Imported:
    """What a body holds."""

    parts: Sequence[FlowPart]
    #: What came as OTLP, all of it together, and how many requests it was.
    request: TraceRequest
    requests: int

    @property
    def flows(self) -> int:
        return len({part.flow_id for part in self.parts})

    @property
    def spans(self) -> int:
        return sum(len(part.entries) for part in self.parts) + self.request.spans

    @property
    def users(self) -> list[str]:
        return sorted({part.identity.user_id for part in self.parts if part.identity.user_id is not None})


def read_import(body: bytes, redactor: Redactor) -> Imported:
    """`UnreadableBody` says which line cannot be taken; then nothing of it is."""
    parts: list[FlowPart] = []
    requests: list[TraceRequest] = []
    for number, document in enumerate(_documents(body), 1):
        if isinstance(document, dict) and ("resourceSpans" in document or "resource_spans" in document):
            requests.append(read_traces(orjson.dumps(document), JSON))
            continue
        flows = document.get("flows") if isinstance(document, dict) else None
        for flow in flows if isinstance(flows, list) else [document]:
            parts += _parts_of(flow, number, redactor)
    if not parts and not requests:
        raise UnreadableBody(f"it holds no flows: send {_WHAT}")
    groups = tuple(group for request in requests for group in request.groups)
    whole = TraceRequest(groups, sum(each.spans for each in requests), sum(each.invalid for each in requests))
    return Imported(parts, whole, len(requests))


def _documents(body: bytes) -> Iterator[Any]:
    """Its lines; all of it, if the first line is no JSON by itself."""
    first, _, rest = body.partition(b"\n")
    try:
        found = orjson.loads(first)
    except ValueError:
        try:
            yield orjson.loads(body)
        except ValueError as why:
            raise UnreadableBody(f"it is no JSON: {why}") from None
        return
    yield found
    for number, line in enumerate(rest.split(b"\n"), 2):
        if not line.strip():
            continue
        try:
            yield orjson.loads(line)
        except ValueError as why:
            raise UnreadableBody(f"line {number} is no JSON: {why}") from None


def _parts_of(flow: Any, number: int, redactor: Redactor) -> Iterator[FlowPart]:
    """A part for each process of the flow."""
    document = flow.get("flow_data") if isinstance(flow, dict) else None
    flow_id = document.get("flow_id") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(flow_id, str) or not _is_flow_id(flow_id):
        raise UnreadableBody(f"line {number} holds no flow: send {_WHAT}")
    entries = flow_data.read(document).entries()
    if not entries:
        raise UnreadableBody(f"line {number}: the flow has no spans that can be read")
    stated = flow_data.identity_in_document(document)
    source, cut = flow.get("source"), flow.get("cut_spans")
    whose = identity_of_flow(entries, stated)
    if isinstance(source, str) and is_id(source):
        whose = replace(whose, source=source)
    processes = document.get("processes")
    about = processes if isinstance(processes, dict) else {}
    own: dict[str, list[Event]] = {}
    for entry in entries:
        name = entry.get("process")
        own.setdefault(name if isinstance(name, str) and is_id(name) else _NO_PROCESS, []).append(entry)
    for number, (process, spans) in enumerate(own.items()):
        made = _part(flow_id, process, spans, whose, about.get(process), redactor)
        # How many spans were missing already is known of the whole flow.
        yield replace(made, cut_spans=cut) if number == 0 and type(cut) is int and cut > 0 else made


def _part(
    flow_id: str, process: str, spans: Sequence[Event], whose: Identity, about: Any, redactor: Redactor
) -> FlowPart:
    hidden = 0
    clean: list[Event] = []
    for span in spans:
        shown, count = _redacted(span, redactor)
        hidden += count
        try:
            # As the span had it, so that it is written like every other.
            clean.append(restored(shown))
        except (ValueError, TypeError, AttributeError, KeyError):
            raise UnreadableBody(f"the span {span['node_id']} of the flow {flow_id} cannot be read") from None
    described, count = _described(about, redactor)
    starts = [at for span in spans if (at := time_of(span, "start_ns")) is not None]
    ends = [at for span in spans if (at := time_of(span, "end_ns")) is not None]
    return FlowPart(
        flow_id=flow_id,
        instance_id=process,
        entries=tuple(map(encode, clean)),
        process=orjson.dumps(described),
        identity=whose,
        started_ns=min(starts, default=0),
        ended_ns=max(starts + ends, default=0),
        root_ended=any(span.get("parent_id") is None and "end_ns" in span for span in spans),
        redacted=hidden + count,
    )


def _redacted(span: Event, redactor: Redactor) -> tuple[Event, int]:
    """A span without secrets. What its exporter has hidden stays as it is."""
    shown, hidden = _without_secrets(cast(dict[str, Any], span), redactor)
    for field in ("name", "status_message"):
        if isinstance(shown.get(field), str):
            shown[field], count = redactor.text(shown[field])
            hidden += count
    for field in ("logs", "links"):
        members = shown.get(field)
        if isinstance(members, list):
            kept = []
            for member in members:
                if isinstance(member, dict):
                    member, count = _without_secrets(member, redactor)
                    hidden += count
                kept.append(member)
            shown[field] = kept
    return cast(Event, shown), hidden


def _without_secrets(part: Mapping[str, Any], redactor: Redactor) -> tuple[dict[str, Any], int]:
    """Its attributes cleaned; what is not the value any more that it was is of no special type either."""
    shown = dict(part)
    attributes = part.get("attributes")
    if not isinstance(attributes, dict):
        return shown, 0
    clean, hidden = redactor.attributes(attributes)
    if clean is not attributes:
        shown["attributes"] = dict(clean)
        types = part.get("types")
        if isinstance(types, dict):
            kept = {key: kind for key, kind in types.items() if key in clean and clean[key] == attributes.get(key)}
            shown.pop("types")
            if kept:
                shown["types"] = kept
    return shown, hidden


def _described(about: Any, redactor: Redactor) -> tuple[dict[str, Any], int]:
    """What a process says of itself, without what an archive has written beside it."""
    described = {key: value for key, value in about.items() if key != "parts"} if isinstance(about, dict) else {}
    hidden = 0
    resource = described.get("resource")
    if isinstance(resource, dict):
        described["resource"], hidden = _without_secrets(resource, redactor)
    scopes = described.get("scopes")
    if isinstance(scopes, dict):
        described["scopes"] = {
            key: _without_secrets(scope, redactor)[0] if isinstance(scope, dict) else scope
            for key, scope in scopes.items()
        }
    return described, hidden


def _is_flow_id(text: str) -> bool:
    return len(text) == _FLOW_ID and set(text) <= set("0123456789abcdef") and any(digit != "0" for digit in text)
