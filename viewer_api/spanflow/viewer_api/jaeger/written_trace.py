"""One trace as the whole answer of Jaeger's two APIs, as a thread or the worker writes it."""

from collections.abc import Sequence
from typing import Any

import orjson

from spanflow.span_processors.otlp.otlp_writer import resource_spans
from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.jaeger.v1_json import trace_v1


def envelope_v1(data: Any, errors: Any = None, *, total: int = 0) -> dict[str, Any]:
    return {"data": data, "total": total, "limit": 0, "offset": 0, "errors": errors}


def dumped(body: Any, *, pretty: bool = False) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_INDENT_2 if pretty else 0)


def written_v1(flows: Sequence[PackedFlow], now_ns: int, pretty: bool) -> bytes:
    """Nothing where no span is known: a trace without spans breaks Grafana."""
    traces = [flow for packed in flows if (flow := packed.unpacked()).entries]
    data = [trace_v1(flow.flow_id, flow.entries, flow.processes, now_ns) for flow in traces]
    return dumped(envelope_v1(data), pretty=pretty) if data else b""


def written_v3(flows: Sequence[PackedFlow]) -> bytes:
    """Nothing where no span is known."""
    groups = [
        group
        for packed in flows
        for flow in (packed.unpacked(),)
        for group in resource_spans(flow.flow_id, flow.entries, flow.processes)
    ]
    return dumped({"result": {"resourceSpans": groups}}) if groups else b""
