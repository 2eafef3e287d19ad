"""The notification of an event, for channels and live sockets alike: ids, numbers and links, never contents."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from spanflow.viewer_api.alerts.rule_store import Event

_TYPE: Final = "alert"


def event_document(event: Event) -> dict[str, Any]:
    """An event as the API tells it."""
    rule = event.rule
    return {
        "event_id": event.event_id,
        "rule_id": rule.rule_id,
        "name": rule.definition.name,
        "at": event.at,
        "kind": event.kind,
        "level": event.level,
        "condition": rule.definition.condition.kind,
        "value": event.value,
        "threshold": event.threshold,
        "unit": rule.unit,
        "since": event.since,
        "until": event.until,
        "flow_ids": list(event.flow_ids),
        "flows": rule.link(event.since, event.until, event.baseline) if event.flow_ids else None,
        "losses": list(event.losses),
    }


def webhook_body(event: Event | None, now: datetime, public_url: str) -> bytes:
    """The message of a webhook; without an event, a test."""
    if event is None:
        told: dict[str, Any] = {"type": f"{_TYPE}.test", "timestamp": now, "data": {"link": public_url or None}}
    else:
        data = event_document(event)
        data["link"] = _page(event, public_url)
        told = {"type": f"{_TYPE}.{event.kind}", "timestamp": event.at, "data": data}
    return orjson.dumps(told, option=orjson.OPT_UTC_Z)


def title_of(event: Event | None) -> str:
    """One line for people."""
    if event is None:
        return "Spanflow: a test of this channel"
    level = f" ({event.level})" if event.level else ""
    return f"Spanflow: {event.rule.definition.name}: {event.kind}{level}"


def text_of(event: Event | None, public_url: str) -> str:
    """A few lines for people."""
    if event is None:
        return "If you can read this, alerts arrive here."
    lines = []
    if event.value is not None:
        lines.append(f"{event.value:g} {event.rule.unit}, threshold {event.threshold or 0:g} {event.rule.unit}")
    if event.flow_ids:
        lines.append("Flows: " + ", ".join(event.flow_ids))
    lines += [_loss(line) for line in event.losses]
    page = _page(event, public_url)
    if page is not None:
        lines.append(page)
    return "\n".join(lines) or event.kind


def _loss(line: Mapping[str, Any]) -> str:
    return f"{line['service'] or 'a gateway'} ({line['process']}): {line['number']} {line['kind']} ({line['cause']})"


def _page(event: Event, public_url: str) -> str | None:
    """Where the dashboard shows the rule; its views stand behind the `#` of its address."""
    base = public_url.rstrip("/")
    return f"{base}/#/alerts/{event.rule.rule_id}" if base else None
