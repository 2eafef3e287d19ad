"""From an OpenTelemetry span to the parts of an event. Pure functions; nothing here knows about queues or servers."""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import orjson
from opentelemetry.sdk.trace import Event as SpanEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanKind, StatusCode

from spanflow.span_processors import names
from spanflow.span_processors.event.event import made_safe
from spanflow.span_processors.event.json_safe import is_plain
from spanflow.span_processors.event.told_outcome import told_outcome
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.redaction.trace_states import redacted_trace_state
from spanflow.span_processors.span_attributes import copied

#: What a span is: a checkpoint's type, or `names.PLAIN_SPAN`. Asked with its name and its attributes.
#: A type that a span says of itself is taken as that whatever its name, or never: answers are remembered by type.
Classifier = Callable[[str, Mapping[str, Any]], str]
#: An event without the fields that all events of a flow share.
Part = dict[str, Any]

#: OTLP's kind 0, for which the SDK has no member.
UNSPECIFIED: Final = cast(SpanKind, object())
KINDS: Final = {**{kind: kind.name.lower() for kind in SpanKind}, UNSPECIFIED: names.KIND_UNSPECIFIED}
_STATUSES: Final = {
    StatusCode.UNSET: names.STATUS_UNSET,
    StatusCode.OK: names.STATUS_OK,
    StatusCode.ERROR: names.STATUS_ERROR,
}
_CHECKPOINT_TYPES: Final = frozenset(names.CHECKPOINT_TYPES)
_OUTCOMES: Final = frozenset(names.OUTCOMES)


def identity_beyond(identity: Identity, attributes: Mapping[str, Any]) -> dict[str, str]:
    """What is known of an identity and not said by `attributes`, as span attributes."""
    stated: dict[str, str] = {}
    for key, value in (
        (names.ATTR_USER_ID, identity.user_id),
        (names.ATTR_USER_EMAIL, identity.email),
        (names.ATTR_USER_FULL_NAME, identity.full_name),
        (names.ATTR_USER_TEAM, identity.team),
        (names.ATTR_SESSION_ID, identity.conversation_id or identity.session_id),
        (names.ATTR_CONVERSATION_ID, identity.conversation_id),
        (names.ATTR_FLOW_SESSION_ID, identity.session_id),
        (names.ATTR_SOURCE, identity.source),
    ):
        if value is not None and key not in attributes:
            stated[key] = value
    return stated


def unsaid(more: Mapping[str, Any], attributes: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What is to be said beside the attributes of an ended span; None when they have changed what was said. `identify`
    puts the identity on the open root as well: said once is enough."""
    if not more or more.keys().isdisjoint(attributes):
        return more
    if any(key in attributes and attributes[key] != value for key, value in more.items()):
        return None
    return {key: value for key, value in more.items() if key not in attributes}


def classify(name: str, attributes: Mapping[str, Any]) -> str:
    """The type its attribute says; else its name, if that is one of the known types; else it is a plain span."""
    kind = attributes.get(names.ATTR_CHECKPOINT_TYPE)
    if type(kind) is str:
        return kind
    return name if name in _CHECKPOINT_TYPES else names.PLAIN_SPAN


def kind_of(span: ReadableSpan) -> str:
    return KINDS[span.kind]


def start_part(
    span: ReadableSpan,
    name: str,
    attributes: Mapping[str, Any],
    event_type: str,
    process: str,
    scope: str,
    trace_state: str,
) -> Part:
    """What is known when a span starts. `name`, `attributes` and `trace_state` have been redacted."""
    context = span.context
    parent = span.parent
    part: Part = {
        "phase": names.START,
        "parent_id": None if parent is None else f"{parent.span_id:016x}",
        "event_type": event_type,
        "name": name,
        "kind": kind_of(span),
        "start_ns": str(span.start_time),
        "process": process,
        "flags": int(context.trace_flags) if context is not None else 0,
    }
    if scope:
        part["scope"] = scope
    if trace_state:
        part["trace_state"] = trace_state
    if attributes:
        part["attributes"] = attributes
    return part


def end_part(span: ReadableSpan, changed: Mapping[str, Any], attributes: Mapping[str, Any], checkpoint: bool) -> Part:
    """What the end adds, but for names, links and logs. `changed` is what the start did not say, redacted."""
    status = _STATUSES[span.status.status_code]
    part: Part = {"phase": names.END, "end_ns": str(span.end_time), "status": status}
    outcome = attributes.get(names.ATTR_OUTCOME)
    if type(outcome) is str and outcome in _OUTCOMES:
        part["outcome"] = outcome
    elif checkpoint:
        otherwise = names.OUTCOME_ERROR if status == names.STATUS_ERROR else names.OUTCOME_OK
        part["outcome"] = told_outcome(attributes) or otherwise
    if changed:
        part["attributes"] = changed
    return part


def logs_of(events: tuple[SpanEvent, ...], redactor: Redactor) -> tuple[list[Part], int]:
    """The span's own events, redacted, and how many values were hidden in them."""
    logs: list[Part] = []
    hidden = 0
    for event in events:
        name, attributes, count = redactor.event(event.name, copied(event.attributes))
        hidden += count
        log: Part = {"name": name, "time_ns": str(event.timestamp)}
        if attributes:
            log["attributes"] = attributes
        logs.append(log)
    return logs, hidden


def links_of(links: tuple[Link, ...], redactor: Redactor) -> tuple[list[Part], int]:
    """The span's links, redacted, and how many values were hidden in them."""
    parts: list[Part] = []
    hidden = 0
    for link in links:
        context = link.context
        part: Part = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
        if context.trace_state:
            state, count = redacted_trace_state(context.trace_state, redactor)
            part["trace_state"] = state.to_header()
            hidden += count
        if context.trace_flags:
            part["flags"] = int(context.trace_flags)
        attributes, count = redactor.attributes(copied(link.attributes))
        hidden += count
        if attributes:
            part["attributes"] = attributes
        parts.append(part)
    return parts, hidden


def cut_of(span: ReadableSpan) -> dict[str, int]:
    """What the SDK's limits have cut from the span."""
    cut = {
        "attributes": span.dropped_attributes,
        "logs": span.dropped_events,
        "links": span.dropped_links,
    }
    return {what: number for what, number in cut.items() if number}


def made_plain(part: Part) -> Part:
    """The part as JSON, JSONB and JavaScript can keep it; the same object when it already was."""
    attributes = part.get("attributes")
    if (attributes is None or is_plain(attributes)) and "logs" not in part and "links" not in part:
        return part
    return made_safe(part)  # type: ignore[arg-type, return-value]


def to_json(part: Part) -> tuple[bytes, Part]:
    """The part as JSON, and the part as it stands there: made safe if some text could not be written as it was."""
    try:
        encoded = orjson.dumps(part)
    except (TypeError, ValueError):
        pass
    else:
        if b"\\u0000" not in encoded:
            return encoded, part
    safe: Part = made_safe(part)  # type: ignore[arg-type, assignment]
    return orjson.dumps(safe), safe
