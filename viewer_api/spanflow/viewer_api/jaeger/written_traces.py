"""Traces as whole answers of Jaeger's two APIs, and which of them a search finds, as a thread or the worker does it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from spanflow.span_processors.otlp.otlp_writer import resource_spans
from spanflow.viewer_api.flows.documents import Flow, PackedFlow
from spanflow.viewer_api.jaeger.matching import has_match
from spanflow.viewer_api.jaeger.span_query import SpanQuery
from spanflow.viewer_api.jaeger.summaries import summary_v3
from spanflow.viewer_api.jaeger.trace_ids import shown_trace_id
from spanflow.viewer_api.jaeger.v1_json import trace_v1

NOT_FOUND: Final = "trace not found"


def envelope_v1(data: Any, errors: Any = None, *, total: int = 0) -> dict[str, Any]:
    return {"data": data, "total": total, "limit": 0, "offset": 0, "errors": errors}


def missing(flow_id: str) -> dict[str, Any]:
    """The error for one of several traces."""
    return {"msg": NOT_FOUND, "traceID": shown_trace_id(flow_id)}


def dumped(body: Any, *, pretty: bool = False) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_INDENT_2 if pretty else 0)


def written_v1(flows: Sequence[PackedFlow], now_ns: int, pretty: bool) -> bytes:
    """Nothing where no span is known."""
    data = [_trace_v1(flow, now_ns) for flow in _with_spans(flows)]
    return dumped(envelope_v1(data), pretty=pretty) if data else b""


def written_list_v1(
    flows: Sequence[PackedFlow], errors: Sequence[Mapping[str, Any]], now_ns: int, pretty: bool
) -> bytes:
    """What was found, and an error for each that was not."""
    traces = _with_spans(flows)
    written = {flow.flow_id for flow in traces}
    all_errors = [*errors, *(missing(packed.flow.flow_id) for packed in flows if packed.flow.flow_id not in written)]
    return dumped(envelope_v1([_trace_v1(flow, now_ns) for flow in traces], all_errors or None), pretty=pretty)


def written_v3(flows: Sequence[PackedFlow]) -> bytes:
    """Nothing where no span is known."""
    groups = [
        group for flow in _with_spans(flows) for group in resource_spans(flow.flow_id, flow.entries, flow.processes)
    ]
    return dumped({"result": {"resourceSpans": groups}}) if groups else b""


def written_summaries_v3(flows: Sequence[PackedFlow], now_ns: int) -> bytes:
    return dumped({"summaries": [summary_v3(flow, now_ns) for flow in _with_spans(flows)]})


def matching_spans(flows: Sequence[PackedFlow], query: SpanQuery, now_ns: int) -> bytes:
    """For each flow how many spans it has, as a JSON array; 0 where none of them is searched for."""
    traces = [packed.unpacked() for packed in flows]
    return dumped([len(trace.entries) if has_match(trace, query, now_ns) else 0 for trace in traces])


def _with_spans(flows: Sequence[PackedFlow]) -> list[Flow]:
    """A trace without spans breaks Grafana."""
    return [flow for packed in flows if (flow := packed.unpacked()).entries]


def _trace_v1(flow: Flow, now_ns: int) -> dict[str, Any]:
    return trace_v1(flow.flow_id, flow.entries, flow.processes, now_ns)
