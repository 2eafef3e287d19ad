"""Where a viewer answers otherwise than a real Jaeger, each as it stands in docs/jaeger-api.md."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.checkout import ROOT
from tests.support.jaeger_pair import BEGAN, HOURS, WARNINGS, WINDOW, Pair
from tests.support.otlp_client import START_NS, request, span


def of(trace: int, id: int = 1, parent: int = 0, name: str = "step", **more: Any) -> Span:
    made = span(name, trace, id, parent, **more)
    # Jaeger counts calls of the last hours only.
    made.start_time_unix_nano += BEGAN - START_NS
    made.end_time_unix_nano += BEGAN - START_NS
    return made


def linked(made: Span, trace: int, id: int) -> Span:
    made.links.add(trace_id=trace.to_bytes(16, "big"), span_id=id.to_bytes(8, "big"))
    return made


def failed(made: Span) -> Span:
    made.status.code = 2  # type: ignore[assignment]
    return made


def spans_v1(answer: Any) -> list[dict[str, Any]]:
    return sorted(answer["data"][0]["spans"], key=lambda one: str(one["spanID"]))


def spans_v3(answer: Any) -> list[dict[str, Any]]:
    groups = answer["result"]["resourceSpans"]
    return [one for group in groups for scoped in group["scopeSpans"] for one in scoped.get("spans", ())]


def tag(answer: Any, key: str) -> Any:
    return next((each["value"] for each in spans_v1(answer)[0]["tags"] if each["key"] == key), "none")


def found(answer: Any) -> list[str]:
    return sorted(trace["traceID"].lstrip("0") for trace in answer["data"])


def message(answer: Any) -> Any:
    return (answer["errors"] or [{}])[0].get("msg")


@dataclass(frozen=True)
class Difference:
    """Asked for `path`, of both answers `look` tells these."""

    #: As the page says it.
    said: str
    path: str
    look: Callable[[Any], Any]
    theirs: Any
    ours: Any
    params: dict[str, Any] = field(default_factory=dict)


#: The page names the version that is compared; newer ones have some of this as the viewer has it.
DIFFERENCES: Final = [
    Difference(
        "A duplicated span, or two spans with the same id, are one span.",
        "/api/traces/a1",
        lambda answer: len(spans_v1(answer)),
        theirs=2,
        ours=1,
    ),
    Difference(
        "A span without a duration has none. Jaeger gives it a nanosecond.",
        "/api/v3/traces/a2",
        lambda answer: [int(one["endTimeUnixNano"]) - int(one["startTimeUnixNano"]) for one in spans_v3(answer)],
        theirs=[1],
        ours=[0],
    ),
    Difference(
        "Times are never adjusted, and there are no warnings about clock skew and missing parents.",
        "/api/traces/a3",
        lambda answer: [len(one["warnings"] or ()) > 0 for one in spans_v1(answer)],
        theirs=[True],
        ours=[False],
    ),
    Difference(
        "Times are never adjusted, and there are no warnings about clock skew and missing parents.",
        "/api/v3/traces/a3",
        lambda answer: [pair["key"] for one in spans_v3(answer) for pair in one.get("attributes", ())],
        theirs=[WARNINGS],
        ours=[],
    ),
    Difference(
        "A span that is also linked to its parent keeps its parent.",
        "/api/traces/a4",
        lambda answer: [each["refType"] for each in spans_v1(answer)[1]["references"]],
        theirs=["FOLLOWS_FROM"],
        ours=["CHILD_OF", "FOLLOWS_FROM"],
    ),
    Difference(
        "A root's links to spans of its own trace are left out of `/api/traces`: Jaeger's page would draw the root "
        "below them.",
        "/api/traces/a5",
        lambda answer: [each["refType"] for each in spans_v1(answer)[0]["references"]],
        theirs=["FOLLOWS_FROM"],
        ours=[],
    ),
    Difference(
        "Tags are in the order scope, attributes, kind, status. Jaeger sorts them by key, which its newer versions "
        "do within the attributes only.",
        "/api/traces/a6",
        lambda answer: [each["key"] for each in spans_v1(answer)[0]["tags"]],
        theirs=["a", "otel.scope.name", "otel.scope.version", "span.kind"],
        ours=["otel.scope.name", "otel.scope.version", "a", "span.kind"],
    ),
    Difference(
        "Empty bytes are an empty text, where Jaeger has `null`.",
        "/api/traces/a7",
        lambda answer: tag(answer, "bytes"),
        theirs=None,
        ours="",
    ),
    Difference(
        "JSON in tags is not escaped for HTML.",
        "/api/traces/a7",
        lambda answer: tag(answer, "list"),
        theirs='["\\u003cb\\u003e"]',
        ours='["<b>"]',
    ),
    Difference(
        "The attributes `telemetry.sdk.*` of a span stay with the span.",
        "/api/traces/a7",
        lambda answer: tag(answer, "telemetry.sdk.name"),
        theirs="none",
        ours="opentelemetry",
    ),
    Difference(
        "Secrets, and contents by policy, are hidden ([what is recorded](what-is-recorded.md)).",
        "/api/traces/a7",
        lambda answer: tag(answer, "db.password"),
        theirs="hunter2",
        ours="[redacted]",
    ),
    Difference(
        "A resource without `service.name` stays without one in OTLP's JSON. In both it is the service "
        "`missing-service-name`.",
        "/api/v3/traces/a8",
        lambda answer: answer["result"]["resourceSpans"][0]["resource"].get("attributes", []),
        theirs=[{"key": "service.name", "value": {"stringValue": "missing-service-name"}}],
        ours=[],
    ),
    Difference(
        "The tags `error`, `span.kind`, `span.status`, `scope.name`, `scope.version` and `resource.…` are understood "
        "in searches, as Jaeger documents them. Jaeger's store in memory looks for attributes of these names.",
        "/api/traces",
        found,
        theirs=[],
        ours=["a9"],
        params={"service": "d-tags", "tags": '{"error":"true"}', **WINDOW},
    ),
    Difference(
        "The tags `error`, `span.kind`, `span.status`, `scope.name`, `scope.version` and `resource.…` are understood "
        "in searches, as Jaeger documents them. Jaeger's store in memory looks for attributes of these names.",
        "/api/traces",
        found,
        theirs=[],
        ours=["a9"],
        params={"service": "d-tags", "tag": "span.kind:client", **WINDOW},
    ),
    Difference(
        "Operations of spans without a kind are `internal` in `/api/v3/operations`, as Jaeger's page wants one.",
        "/api/v3/operations",
        lambda answer: answer["operations"],
        theirs=[{"name": "step"}],
        ours=[{"name": "step", "spanKind": "internal"}],
        params={"service": "d-kind"},
    ),
    Difference(
        "The operations of an unknown service are an empty list.",
        "/api/services/unknown/operations",
        lambda answer: answer["data"],
        theirs=None,
        ours=[],
    ),
    Difference(
        "`/api/v3/operations` without a service is an error.",
        "/api/v3/operations",
        lambda answer: answer.get("operations", answer.get("error", {}).get("httpCode")),
        theirs=[],
        ours=400,
    ),
    Difference(
        "Calls within one service are not counted.",
        "/api/dependencies",
        lambda answer: [each for each in answer["data"] if each["parent"] == each["child"] == "d-calls"],
        theirs=[{"parent": "d-calls", "child": "d-calls", "callCount": 1}],
        ours=[],
        params=HOURS,
    ),
    Difference(
        "A `limit` of zero or less is ignored.",
        "/api/traces",
        lambda answer: found(answer) if answer["data"] else message(answer),
        theirs="search depth must be greater than 0 and less than max traces",
        ours=["a9"],
        params={"service": "d-tags", "limit": "0", **WINDOW},
    ),
    Difference(
        "Error messages about the JSON in `tags` are worded differently.",
        "/api/traces",
        lambda answer: message(answer).removeprefix("malformed 'tags' parameter, cannot unmarshal JSON: "),
        theirs="invalid character 'x' looking for beginning of value",
        ours="Expecting value: line 1 column 1 (char 0)",
        params={"service": "d-tags", "tags": "x"},
    ),
]

#: The same answer from both, word for word.
SAME: Final[list[tuple[str, dict[str, Any]]]] = [
    ("/api/traces/zz", {}),
    (f"/api/traces/{'7' * 33}", {}),
    (f"/api/traces/{'7' * 20}z", {}),
    ("/api/traces/f00f", {}),
    ("/api/v3/traces/f00f", {}),
    ("/api/v3/traces/zz", {}),
    ("/api/v3/traces", {"query.service_name": "d-tags"}),
    ("/api/traces", {}),
    ("/api/traces", {"service": "d-tags", "start": "x"}),
    ("/api/traces", {"service": "d-tags", "limit": "x"}),
    ("/api/traces", {"service": "d-tags", "tag": "x"}),
    ("/api/traces", {"service": "d-tags", "minDuration": "5"}),
    ("/api/traces", {"service": "d-tags", "minDuration": "5x"}),
    ("/api/traces", {"service": "d-tags", "minDuration": "2s", "maxDuration": "1s"}),
    ("/api/traces", {"service": "unknown"}),
    ("/api/operations", {}),
    ("/api/operations", {"service": "unknown"}),
    ("/api/v3/operations", {"service": "unknown"}),
]


def send_all(pair: Pair) -> None:
    empty = of(0xA2)
    empty.end_time_unix_nano = empty.start_time_unix_nano
    odd: dict[str, Any] = {
        "bytes": b"",
        "list": ["<b>"],
        "telemetry.sdk.name": "opentelemetry",
        "db.password": "hunter2",
    }
    anonymous = request(of(0xA8))
    del anonymous.resource_spans[0].resource.attributes[:]
    pair.send(
        request(of(0xA1), service="d-one"),
        request(of(0xA1, name="other"), service="d-one"),
        request(empty, service="d-short"),
        request(of(0xA3, 1, 99), service="d-orphan"),
        request(of(0xA4), linked(of(0xA4, 2, 1), 0xA4, 1), service="d-linked"),
        request(linked(of(0xA5), 0xA5, 2), of(0xA5, 2, 1), service="d-root"),
        request(of(0xA6, kind=3, a=1), service="d-order"),
        request(of(0xA7, **odd), service="d-odd"),
        anonymous,
        request(failed(of(0xA9, kind=3)), service="d-tags"),
        request(of(0xAA, kind=0), service="d-kind"),
        request(of(0xAB), of(0xAB, 2, 1), service="d-calls"),
    )


def test_the_differences_from_a_real_jaeger_are_those_of_the_page(pair: Pair) -> None:
    send_all(pair)
    seen = [_looked(pair, each) for each in DIFFERENCES]
    assert seen == [(each.theirs, each.ours) for each in DIFFERENCES]
    for path, params in SAME:
        theirs, own = pair.ask(path, **params)
        assert own == theirs, (path, params)


def _looked(pair: Pair, each: Difference) -> tuple[Any, Any]:
    (_, theirs), (_, own) = pair.ask(each.path, **each.params)
    return each.look(theirs), each.look(own)


def test_the_page_names_every_difference() -> None:
    page = " ".join((ROOT / "docs" / "jaeger-api.md").read_text(encoding="utf-8").split())
    assert [each.said for each in DIFFERENCES if each.said not in page] == []
