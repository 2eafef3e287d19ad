"""Reads the events of gateways that were written before Spanflow, as `flow_events:<user>` and old rows carry them.

They have a uuid `node_id`, no phase, `timestamp` in seconds, perhaps `duration_ms`, and their data flat beside it.
"""

import math
import re
from typing import Any, Final

from spanflow.span_processors import names
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
#: The words for «it went well» and «it did not» that such gateways used.
_GOOD: Final = frozenset({"ok", "success", "passed", "pass", "allowed", "completed", "complete"})
_BAD: Final = frozenset({"error", "failed", "failure"})


def from_seeds(old: dict[str, Any]) -> dict[str, Any]:
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
    _add_result(event, old.get("status"))
    attributes: dict[str, Any] = {}
    for field, attribute in _IDENTITY.items():
        if (value := id_or_none(old.get(field))) is not None:
            attributes[attribute] = value
    if isinstance(source := old.get("source"), str):
        attributes[names.ATTR_SOURCE] = source
    for key, value in old.items():
        if key not in _OWN_FIELDS:
            attributes[names.ATTR_DATA_PREFIX + key] = value
    if attributes:
        event["attributes"] = attributes
    return event


def _add_result(event: dict[str, Any], status: object) -> None:
    word = status.lower() if isinstance(status, str) else ""
    if event["event_type"] == names.ERROR or word in _BAD:
        event["status"], event["outcome"] = names.STATUS_ERROR, names.OUTCOME_ERROR
    elif word in names.OUTCOMES:
        event["status"], event["outcome"] = names.STATUS_UNSET, word
    elif word in _GOOD:
        event["status"], event["outcome"] = names.STATUS_UNSET, names.OUTCOME_OK
    else:
        event["status"] = names.STATUS_UNSET
        if word:
            event["status_message"] = status


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
