"""A trace in one line, as Jaeger's search lists it."""

from collections import Counter
from typing import Any

from spanflow.span_processors import names
from spanflow.span_processors.otlp.otlp_writer import service_of, trace_id_of
from spanflow.viewer_api.flows.documents import Flow


def summary_v3(trace: Flow, now_ns: int) -> dict[str, Any]:
    node_ids = {entry["node_id"] for entry in trace.entries}
    roots = [entry for entry in trace.entries if entry.get("parent_id") is None]
    root = min(roots, key=lambda entry: int(entry.get("start_ns", "0")), default=None)
    spans: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for entry in trace.entries:
        service = _service(trace, entry.get("process", ""))
        spans[service] += 1
        errors[service] += entry.get("status") == names.STATUS_ERROR
    starts = [int(entry.get("start_ns", "0")) for entry in trace.entries]
    ends = [int(entry.get("end_ns") or now_ns) for entry in trace.entries]
    orphans = [entry for entry in trace.entries if (entry.get("parent_id") or next(iter(node_ids))) not in node_ids]
    return {
        "traceId": trace_id_of(trace.flow_id),
        "rootServiceName": "" if root is None else _service(trace, root.get("process", "")),
        "rootOperationName": "" if root is None else root.get("name", ""),
        "minStartTimeUnixNano": str(min(starts)),
        "maxEndTimeUnixNano": str(max(ends)),
        "spanCount": len(trace.entries),
        "errorSpanCount": errors.total(),
        "orphanSpanCount": len(orphans),
        "services": [
            {"name": name, "spanCount": count, "errorSpanCount": errors[name]} for name, count in sorted(spans.items())
        ],
    }


def _service(trace: Flow, process: str) -> str:
    return service_of(trace.processes.get(process, {}))
