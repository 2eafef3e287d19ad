"""Reads the events of gateways that were written before Spanflow, as `flow_events:<user>` and old rows carry them.

They have a uuid `node_id`, no phase, `timestamp` in seconds, perhaps `duration_ms`, and their data flat beside it.
"""

import math
import re
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.event.reported import outcome_in, refusal_in, status_in
from spanflow.span_processors.ids import id_or_none

_NS_PER_US: Final = 1000
_DECIMAL: Final = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?", re.ASCII)
_OWN_FIELDS: Final = frozenset(
    {"type", "node_id", "parent_id", "event_type", "timestamp", "duration_ms", "status", "source"}
    | {"user_id", "session_id", "conversation_id", "flow_id"}
)
_IDENTITY: Final = {
    "user_id": names.ATTR_USER_ID,
    "session_id": names.ATTR_FLOW_SESSION_ID,
    "conversation_id": names.ATTR_CONVERSATION_ID,
}


def from_legacy(old: dict[str, Any]) -> dict[str, Any]:
    """The event that an old one stands for. It is complete: what has no duration was one moment."""
    event_type = old.get("event_type")
    event: dict[str, Any] = {
        "phase": names.END,
        "node_id": id_or_none(old.get("node_id")),
        "parent_id": id_or_none(old.get("parent_id")),
        "event_type": event_type if isinstance(event_type, str) and event_type else names.PLAIN_SPAN,
    }
    event["name"] = event["event_type"]
    if (flow_id := id_or_none(old.get("flow_id"))) is not None:
        event["flow_id"] = flow_id
    start_us = _microseconds(old.get("timestamp"), 1e6)
    if start_us is not None:
        event["start_ns"] = str(start_us * _NS_PER_US)
        event["end_ns"] = str((start_us + (_microseconds(old.get("duration_ms"), 1e3) or 0)) * _NS_PER_US)
    _add_result(event, old)
    attributes: dict[str, Any] = {}
    for field, attribute in _IDENTITY.items():
        if (value := id_or_none(old.get(field))) is not None:
            attributes[attribute] = value
    if event.get("outcome") == names.OUTCOME_DENIED:
        attributes[names.ATTR_DENIED_REASON] = refusal_in(old)
    if (word := status_in(old)) and word not in names.OUTCOMES:
        attributes[names.ATTR_DATA_PREFIX + "status"] = word
    if isinstance(source := old.get("source"), str):
        attributes[names.ATTR_SOURCE] = source
    for key, value in old.items():
        if key not in _OWN_FIELDS:
            attributes[names.ATTR_DATA_PREFIX + key] = value
    if attributes:
        event["attributes"] = attributes
    return event


def _add_result(event: dict[str, Any], old: dict[str, Any]) -> None:
    outcome = names.OUTCOME_ERROR if event["event_type"] == names.ERROR else outcome_in(old)
    event["status"] = names.STATUS_ERROR if outcome == names.OUTCOME_ERROR else names.STATUS_UNSET
    if outcome is not None:
        event["outcome"] = outcome


def _microseconds(value: object, factor: float) -> int | None:
    """A time in microseconds, rounded half up as JavaScript does, so that both reducers see the same instant."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        scaled = value * factor + 0.5
    except OverflowError:
        return None
    return math.floor(scaled) if 0 <= scaled < 2**53 else None
