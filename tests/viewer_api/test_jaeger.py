"""Jaeger's query API, as its page and Grafana ask it, over flows of ours."""

import time
from typing import Any

import httpx
import pytest
from inline_snapshot import snapshot

from spanflow.viewer_api.auth.token_file import digest
from spanflow.viewer_api.jaeger.durations import duration_ns
from tests.support.flow_parts import NOON, part
from tests.support.flow_parts import span as own_span
from tests.support.otlp_client import MS, START_NS, request, send, span
from tests.support.poll import eventually
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store

TRACE = 0x11112222333344445555666677778888
ID = f"{TRACE:032x}"
US = START_NS // 1000


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANFLOW_FLOW_GRACE", "0.2")


@pytest.fixture
def sent(viewer: RunningViewer, store: Store) -> RunningViewer:
    """One trace of two services, stored."""
    root = span("POST /chat", TRACE, 1, ms=50, kind=2, user__id="7", http__response__status_code=200)
    failed = span("search", TRACE, 2, 1, at_ms=5, ms=7, kind=3)
    failed.status.code, failed.status.message = 2, "no index"  # type: ignore[assignment]
    failed.events.add(name="retry", time_unix_nano=START_NS + 6 * MS)
    failed.links.add(trace_id=bytes(15) + b"\7", span_id=bytes(7) + b"\7")
    message = request(root, service="router", **{"k8s.pod.name": "router-1"})
    message.MergeFrom(request(failed, service="index", scope="index.client"))
    assert send(viewer.http, message.SerializeToString()).status_code == 200

    def stored() -> bool:
        shown = viewer.http.get(f"/api/v1/flows/{ID}/flat")
        return shown.status_code == 200 and len(shown.json()["spans"]) == 2 and not shown.json()["open"]

    eventually(stored, within=15)
    return viewer


def v1(viewer: RunningViewer, **query: Any) -> list[str]:
    """The ids of what a search finds."""
    window = {"start": US - 1_000_000, "end": US + 1_000_000}
    answer = viewer.get("/api/traces", params={"service": "router", **window, **query})
    assert (answer["total"], answer["limit"], answer["offset"], answer["errors"]) == (0, 0, 0, None)
    return [trace["traceID"] for trace in answer["data"]]


@pytest.mark.parametrize("prefix", ["", "/jaeger"])
def test_a_trace_is_read_by_its_id(sent: RunningViewer, prefix: str) -> None:
    answer = sent.get(f"{prefix}/api/traces/{ID}")
    assert {**answer, "data": len(answer["data"])} == {"data": 1, "total": 0, "limit": 0, "offset": 0, "errors": None}
    (trace,) = answer["data"]
    assert [trace["processes"][one["processID"]]["serviceName"] for one in trace["spans"]] == ["router", "index"]
    assert trace["processes"]["p1"] == {
        "serviceName": "router",
        "tags": [{"key": "k8s.pod.name", "type": "string", "value": "router-1"}],
    }
    assert trace["spans"] == snapshot(
        [
            {
                "traceID": "11112222333344445555666677778888",
                "spanID": "0000000000000001",
                "operationName": "POST /chat",
                "references": [],
                "startTime": 1767700800000000,
                "duration": 50000,
                "tags": [
                    {"key": "otel.scope.name", "type": "string", "value": "router.http"},
                    {"key": "otel.scope.version", "type": "string", "value": "1.2"},
                    {"key": "http.response.status_code", "type": "int64", "value": 200},
                    {"key": "user.id", "type": "string", "value": "7"},
                    {"key": "span.kind", "type": "string", "value": "server"},
                ],
                "logs": [],
                "processID": "p1",
                "warnings": None,
            },
            {
                "traceID": "11112222333344445555666677778888",
                "spanID": "0000000000000002",
                "operationName": "search",
                "references": [
                    {
                        "refType": "CHILD_OF",
                        "traceID": "11112222333344445555666677778888",
                        "spanID": "0000000000000001",
                    },
                    {"refType": "FOLLOWS_FROM", "traceID": "0000000000000007", "spanID": "0000000000000007"},
                ],
                "startTime": 1767700800005000,
                "duration": 7000,
                "tags": [
                    {"key": "otel.scope.name", "type": "string", "value": "index.client"},
                    {"key": "otel.scope.version", "type": "string", "value": "1.2"},
                    {"key": "span.kind", "type": "string", "value": "client"},
                    {"key": "otel.status_code", "type": "string", "value": "ERROR"},
                    {"key": "error", "type": "bool", "value": True},
                    {"key": "otel.status_description", "type": "string", "value": "no index"},
                ],
                "logs": [
                    {
                        "timestamp": 1767700800006000,
                        "fields": [{"key": "event", "type": "string", "value": "retry"}],
                    }
                ],
                "processID": "p2",
                "warnings": None,
            },
        ]
    )
    groups = sent.get(f"{prefix}/api/v3/traces/{ID}")["result"]["resourceSpans"]
    assert [scope["spans"][0]["spanId"] for group in groups for scope in group["scopeSpans"]] == [
        "0000000000000001",
        "0000000000000002",
    ]


def test_a_search_wants_all_of_it_from_one_span(sent: RunningViewer) -> None:
    assert v1(sent) == v1(sent, operation="POST /chat", tags='{"user.id":"7"}') == [ID]
    assert v1(sent, service="index", tag="error:true", minDuration="7ms", maxDuration="7ms") == [ID]
    assert v1(sent, tags='{"http.response.status_code":"200","resource.k8s.pod.name":"router-1"}') == [ID]
    assert v1(sent, **{"lookback": "2d", "minDuration": "", "maxDuration": "", "limit": "20"}) == [ID]
    # One span has the service, another the name, the error or the time.
    assert v1(sent, operation="search") == v1(sent, tag="error:true") == v1(sent, service="elsewhere") == []
    assert v1(sent, start=US + 1) == v1(sent, minDuration="51ms") == v1(sent, maxDuration="1.5ms") == []


def test_a_search_in_the_third_version_gives_summaries_or_spans(sent: RunningViewer) -> None:
    window = {"query.startTimeMin": "2026-01-06T11:59:59.5Z", "query.startTimeMax": "2026-01-06T12:00:01 00:00"}
    asked = {"query.serviceName": "router", "query.searchDepth": "20", **window}
    assert sent.get("/api/v3/trace-summaries", params=asked) == snapshot(
        {
            "summaries": [
                {
                    "traceId": "11112222333344445555666677778888",
                    "rootServiceName": "router",
                    "rootOperationName": "POST /chat",
                    "minStartTimeUnixNano": "1767700800000000000",
                    "maxEndTimeUnixNano": "1767700800050000000",
                    "spanCount": 2,
                    "errorSpanCount": 1,
                    "orphanSpanCount": 0,
                    "services": [
                        {"name": "index", "spanCount": 1, "errorSpanCount": 1},
                        {"name": "router", "spanCount": 1, "errorSpanCount": 0},
                    ],
                }
            ]
        }
    )
    found = sent.get("/api/v3/traces", params={**asked, "query.operation_name": "POST /chat"})
    assert len(found["result"]["resourceSpans"]) == 2
    nothing = sent.http.get("/api/v3/traces", params={**asked, "query.serviceName": "elsewhere"})
    assert (nothing.status_code, nothing.json()) == (404, {"error": {"httpCode": 404, "message": "No traces found"}})
    none = sent.get("/api/v3/trace-summaries", params={**asked, "query.serviceName": "elsewhere"})
    assert none == {"summaries": []}


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/api/traces", 400, "parameter 'service' is required"),
        (
            "/api/traces?service=a&start=x",
            400,
            "unable to parse param 'start': strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            "/api/traces?service=a&minDuration=2s&maxDuration=1s",
            400,
            "'maxDuration' should be greater than 'minDuration'",
        ),
        (
            "/api/traces?service=a&minDuration=2",
            400,
            "unable to parse param 'minDuration': time: missing unit in duration \"2\"",
        ),
        ("/api/traces?service=a&tag=x", 400, "malformed 'tag' parameter, expecting key:value, received: x"),
        ("/api/traces/7", 404, "trace not found"),
        (f"/api/traces/{'7' * 33}", 400, f"TraceID cannot be longer than 32 hex characters: {'7' * 33}"),
    ],
)
def test_errors_have_the_form_of_jaeger(viewer: RunningViewer, path: str, status: int, message: str) -> None:
    answer = viewer.http.get(path)
    assert answer.status_code == status
    assert answer.json() == {
        "data": None,
        "total": 0,
        "limit": 0,
        "offset": 0,
        "errors": [{"code": status, "msg": message}],
    }


def test_ids_may_be_short_and_several_may_be_asked_for(viewer: RunningViewer, store: Store) -> None:
    store(part(0xABC, [own_span(1)]), part(0xDEF, [own_span(2)]))
    (trace,) = viewer.get("/api/traces/ABC")["data"]
    assert (trace["traceID"], trace["spans"][0]["startTime"]) == ("0000000000000abc", (NOON + MS) // 1000)
    answer = viewer.get("/api/traces?traceID=abc&traceID=9&traceID=def")
    assert [trace["traceID"] for trace in answer["data"]] == ["0000000000000abc", "0000000000000def"]
    assert answer["errors"] == [{"msg": "trace not found", "traceID": "0000000000000009"}]


def test_a_search_finds_what_went_on_in_the_background_of_a_flow(viewer: RunningViewer, store: Store) -> None:
    """A flow's own time is its root's."""
    late = NOON + 300_000 * MS
    task = own_span(2, 1, name="nightly index", start_ns=late, end_ns=late + MS)
    store(part(0xABC, [own_span(1, start_ns=NOON, end_ns=NOON + MS), task]))
    window = {"service": "gateway", "start": late // 1000 - 1, "end": late // 1000 + 1}
    assert [trace["traceID"] for trace in viewer.get("/api/traces", params=window)["data"]] == ["0000000000000abc"]
    earlier = {**window, "start": NOON // 1000 - 10**6, "end": NOON // 1000 - 1}
    assert viewer.get("/api/traces", params=earlier)["data"] == []


def test_a_trace_that_runs_is_shown_with_what_has_not_ended(viewer: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow()
    flow.start("root", name="POST /ask")
    (trace,) = eventually(lambda: viewer.get(f"/api/traces/{flow.flow_id}")["data"])
    (root,) = trace["spans"]
    assert (root["operationName"], root["warnings"]) == ("POST /ask", ["This span has not ended."])
    assert root["duration"] >= 0
    asked = {"service": trace["processes"]["p1"]["serviceName"], "start": 0, "end": time.time_ns() // 1000 + 10**9}
    found = viewer.get("/api/traces", params=asked)["data"]
    assert [each["traceID"] for each in found] == [trace["traceID"]]


def test_nobody_finds_a_trace_of_somebody_else(make_viewer: MakeViewer, store: Store, tmp_path: Any) -> None:
    tokens, token = tmp_path / "tokens.toml", "a-token-of-somebody-with-id-eight-1"
    tokens.write_text(
        f'[[token]]\nname = "neo"\nrole = "viewer"\nuser_id = "8"\nhash = "sha256:{digest(token).hex()}"\n'
    )
    tokens.chmod(0o600)
    viewer = make_viewer(viewer_tokens_file=str(tokens))
    store(part(0xABC, [own_span(1)]))
    asked: dict[str, Any] = {"service": "gateway", "start": NOON // 1000 - 10**6, "end": NOON // 1000 + 10**6}
    assert len(viewer.get("/api/traces", params=asked)["data"]) == 1
    with httpx.Client(base_url=viewer.origin, headers={"Authorization": f"Bearer {token}"}) as neo:
        assert neo.get("/api/traces/abc").status_code == neo.get("/api/v3/traces/abc").status_code == 404
        assert neo.get("/api/traces", params=asked).json()["data"] == []
    assert viewer.stranger.get("/api/traces/abc").status_code == 401
    entries = viewer.get("/api/v1/audit?limit=20")["entries"]
    assert {(entry["actor"], entry["action"]) for entry in entries} >= {("neo", "denied"), ("operator", "flows_listed")}


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1.2s", 1_200_000_000),
        ("1h30m", 5_400_000_000_000),
        ("100ms", 100 * MS),
        ("5us", 5000),
        ("7µs", 7000),
        ("0", 0),
    ],
)
def test_durations_are_read_as_go_does(text: str, ns: int) -> None:
    assert duration_ns(text) == ns


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "invalid duration"),
        ("1", "missing unit in duration"),
        ("s", "invalid duration"),
        ("1 s", 'unknown unit " s" in duration'),
        ("-1s", "invalid duration"),
        ("1.2.3s", "missing unit in duration"),
        ("9" * 18 + "h", "invalid duration"),
        ("1d", 'unknown unit "d" in duration'),
    ],
)
def test_what_is_no_duration_is_refused_in_the_words_of_go(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        duration_ns(text)
