"""A real Jaeger and a viewer that are sent the same, and their answers in a form that can be compared."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.otlp_client import MS, send
from tests.support.poll import eventually
from tests.support.query import query
from tests.viewer_api.test_statistics_counting import NOW, NOW_NS, count_all

#: When the spans of a test begin, and the time in which they are sought.
BEGAN: Final = NOW_NS - 1800 * 1000 * MS
WINDOW: Final = {"start": BEGAN // 1000 - 1, "end": BEGAN // 1000 + 61_000_000}
HOURS: Final = {"endTs": NOW_NS // MS, "lookback": 3 * 3600 * 1000}
#: Where Jaeger's OTLP has what it says about a span.
WARNINGS: Final = "@jaeger@warnings"


@dataclass(frozen=True)
class Pair:
    """A Jaeger and a viewer that are sent the same."""

    otlp: httpx.Client
    real: httpx.Client
    ours: httpx.Client
    dsn: str

    def send(self, *requests: ExportTraceServiceRequest) -> None:
        """Both have stored it when this returns, and the viewer has counted it."""
        ids: dict[str, set[bytes]] = {}
        for message in requests:
            body = message.SerializeToString()
            assert send(self.otlp, body).status_code == send(self.ours, body).status_code == 200
            for one in spans_of(message):
                ids.setdefault(one.trace_id.hex(), set()).add(one.span_id)
        spans = {trace_id: len(span_ids) for trace_id, span_ids in ids.items()}
        eventually(lambda: self._stored(list(ids)) == spans, within=60)
        count_all(self.dsn, NOW)

    def _stored(self, trace_ids: list[str]) -> dict[str, int]:
        """How many spans of each flow are in Postgres: only those are counted."""
        text = "SELECT flow_id, span_count FROM omni2.interaction_flows WHERE flow_id = ANY($1)"
        return {row["flow_id"]: row["span_count"] for row in query(self.dsn, text, trace_ids)}

    def ask(self, path: str, **params: Any) -> tuple[Any, Any]:
        """What Jaeger answers, and what the viewer does."""
        theirs, own = self.real.get(path, params=params), self.ours.get(path, params=params)
        return (theirs.status_code, theirs.json()), (own.status_code, own.json())

    def data(self, path: str, **params: Any) -> tuple[Any, Any]:
        """What both answer by v1; all else in the envelope is the same."""
        (theirs, there), (own, here) = self.ask(path, **params)
        assert (theirs, {**there, "data": None}) == (own, {**here, "data": None})
        return there["data"], here["data"]


def spans_of(message: ExportTraceServiceRequest) -> Iterator[Span]:
    return (one for group in message.resource_spans for scoped in group.scope_spans for one in scoped.spans)


# -- answers without their order ---------------------------------------------------------------------------------------


def plain_v1(trace: dict[str, Any]) -> list[Any]:
    """A trace's spans, each once, with their processes and without Jaeger's warnings."""
    shown = []
    for one in trace["spans"]:
        process = trace["processes"][one["processID"]]
        shown.append(
            {
                **{key: value for key, value in one.items() if key not in ("processID", "warnings")},
                "tags": in_order(one["tags"]),
                "logs": in_order([{**log, "fields": in_order(log["fields"])} for log in one["logs"]]),
                "process": {**process, "tags": in_order(process["tags"])},
            }
        )
    return once(shown)


def plain_v3(answer: dict[str, Any]) -> list[Any]:
    """The spans of OTLP's JSON, each once, with their resources and scopes."""
    return once(
        [
            unordered({"resource": group["resource"], "scope": scoped["scope"], **one})
            for group in answer["result"]["resourceSpans"]
            for scoped in group["scopeSpans"]
            for one in scoped.get("spans", ())
        ]
    )


def unordered(value: Any) -> Any:
    """Attributes and events in one order; what is empty is left out."""
    if isinstance(value, list):
        return [unordered(member) for member in value]
    if not isinstance(value, dict):
        return value
    shown = {key: unordered(member) for key, member in value.items()}
    for key in ("attributes", "events"):
        if key in shown:
            shown[key] = in_order([each for each in shown[key] if each.get("key") != WARNINGS])
    if isinstance(values := shown.get("values"), list) and all("key" in each for each in values):
        shown["values"] = in_order(values)
    return {key: member for key, member in shown.items() if member not in ([], {})}


def in_order(items: Sequence[Any]) -> list[Any]:
    return sorted(items, key=_written)


def once(items: Sequence[Any]) -> list[Any]:
    return in_order(list({_written(item): item for item in items}.values()))


def _written(item: Any) -> str:
    return json.dumps(_whole(item), sort_keys=True)


def _whole(value: Any) -> Any:
    """Go writes 2 where Python writes 2.0."""
    if isinstance(value, dict):
        return {key: _whole(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_whole(member) for member in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
