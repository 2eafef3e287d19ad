"""Flows as Jaeger's own JSON, which its page opens by «Upload»."""

from collections.abc import Mapping
from typing import Any, Final

from spanflow.span_processors.event.event import Event, restored
from spanflow.span_processors.otlp.otlp_writer import hex_id
from spanflow.viewer_api.export.exported_flow import ExportedFlow
from spanflow.viewer_api.http.responses import encode

_NS_PER_US: Final = 1000


class JaegerJson:
    media_type = "application/json"
    extension = "jaeger.json"

    def begin(self) -> bytes:
        return b'{"data":['

    def flow(self, exported: ExportedFlow, number: int) -> bytes:
        return (b",\n" if number else b"\n") + encode(trace(exported))

    def end(self) -> bytes:
        return b"]}\n"


def trace(exported: ExportedFlow) -> dict[str, Any]:
    trace_id = hex_id(exported.flow.flow_id, 32)
    spans: list[dict[str, Any]] = []
    processes: dict[str, Any] = {}
    for node in exported.tree.walk():
        if node.entry is None:
            continue
        event, facts = restored(node.entry), exported.whole.facts.get(node.node_id)
        process = event.get("process", "")
        processes.setdefault(process, _process(exported.processes.get(process)))
        references = []
        if (parent := event.get("parent_id")) is not None:
            references.append({"refType": "CHILD_OF", "traceID": trace_id, "spanID": hex_id(parent, 16)})
        references += [
            {"refType": "FOLLOWS_FROM", "traceID": link.get("trace_id", ""), "spanID": link.get("span_id", "")}
            for link in event.get("links", ())
        ]
        spans.append(
            {
                "traceID": trace_id,
                "spanID": hex_id(node.node_id, 16),
                "flags": event.get("flags", 0),
                "operationName": event.get("name", ""),
                "references": references,
                "startTime": 0 if facts is None else facts.start_ns // _NS_PER_US,
                "duration": 0 if facts is None else facts.duration_ns // _NS_PER_US,
                "tags": _tags(event.get("attributes", {})) + _own_tags(event),
                "logs": [
                    {
                        "timestamp": int(log.get("time_ns", 0)) // _NS_PER_US,
                        "fields": _tags({"event": log.get("name", ""), **log.get("attributes", {})}),
                    }
                    for log in event.get("logs", ())
                ],
                "processID": process,
                "warnings": None if node.ended else ["This span has not ended."],
            }
        )
    return {"traceID": trace_id, "spans": spans, "processes": processes, "warnings": None}


def _process(about: Any) -> dict[str, Any]:
    resource = about.get("resource") if isinstance(about, Mapping) else None
    attributes = resource.get("attributes") if isinstance(resource, Mapping) else None
    attributes = attributes if isinstance(attributes, Mapping) else {}
    name = attributes.get("service.name")
    others = {key: value for key, value in attributes.items() if key != "service.name"}
    return {"serviceName": name if isinstance(name, str) else "unknown", "tags": _tags(others)}


def _own_tags(event: Event) -> list[dict[str, Any]]:
    """What Jaeger shows as tags, and OpenTelemetry keeps as fields."""
    said = {"span.kind": event.get("kind"), "otel.status_description": event.get("status_message")}
    if event.get("status") in ("ok", "error"):
        said["otel.status_code"] = str(event.get("status")).upper()
    if event.get("scope"):
        said["otel.scope.name"] = str(event.get("scope")).partition("@")[0]
    tags = _tags({key: value for key, value in said.items() if value})
    if event.get("status") == "error":
        tags += _tags({"error": True})
    return tags


def _tags(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_tag(key, value) for key, value in attributes.items()]


def _tag(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"key": key, "type": "bool", "value": value}
    if isinstance(value, int):
        return {"key": key, "type": "int64", "value": value}
    if isinstance(value, float):
        return {"key": key, "type": "float64", "value": value}
    if isinstance(value, bytes):
        value = value.hex()
    text = value if isinstance(value, str) else encode(value).decode()
    return {"key": key, "type": "string", "value": text}
