"""Log records about spans, sent to the viewer by OTLP/HTTP."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc.status_pb2 import Status
from inline_snapshot import snapshot
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from tests.support.flow_parts import part
from tests.support.flow_parts import span as own_span
from tests.support.live_client import following
from tests.support.otlp_client import MS, PROTOBUF, START_NS, log_record, logs_request, request, send, span
from tests.support.poll import eventually
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer, Store
from tests.viewer_api.test_operations import number

TRACE = 0x11112222333344445555666677778888
FLOW = f"{TRACE:032x}"
EVALUATION = "gen_ai.evaluation.result"


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway's setting, which holds for received spans as well."""
    monkeypatch.setenv("SPANFLOW_FLOW_GRACE", "0.2")


def send_logs(viewer: RunningViewer, *records: Any, content_type: str = PROTOBUF) -> httpx.Response:
    message = logs_request(*records)
    if content_type == PROTOBUF:
        return send(viewer.http, message.SerializeToString(), path="/v1/logs")
    document = MessageToDict(message, use_integers_for_enums=True)
    for group in document["resourceLogs"]:
        for one, written in zip(records, group["scopeLogs"][0]["logRecords"], strict=True):
            written["traceId"], written["spanId"] = one.trace_id.hex(), one.span_id.hex()
    return send(viewer.http, json.dumps(document).encode(), content_type, path="/v1/logs")


def turn() -> Any:
    return request(
        span("POST /chat", TRACE, 1, at_ms=0, ms=50, kind=2, user__id="7"),
        span("chat gpt-5", TRACE, 3, 1, kind=3, gen_ai__operation__name="chat", gen_ai__response__id="resp-1"),
    )


def evaluation(trace: int = 0, span_id: int = 0, **more: Any) -> Any:
    scored = {"gen_ai__evaluation__name": "relevance", "gen_ai__evaluation__score__value": 0.5, **more}
    return log_record(EVALUATION, trace, span_id, at_ms=90_000, **scored)


def logs(viewer: RunningViewer, span_id: int = 3, flow_id: str = FLOW) -> list[dict[str, Any]]:
    answer = viewer.http.get(f"/api/v1/flows/{flow_id}/flat")
    spans = answer.json()["spans"] if answer.status_code == 200 else []
    return next((one.get("logs", []) for one in spans if one["node_id"] == f"{span_id:016x}"), [])


def stored(viewer: RunningViewer, flow_id: str = FLOW) -> None:
    def closed() -> bool:
        answer = viewer.http.get(f"/api/v1/flows/{flow_id}")
        return answer.status_code == 200 and bool(answer.json()["completed_at"])

    eventually(closed, within=15)


@pytest.mark.parametrize("content_type", [PROTOBUF, "application/json"])
def test_an_event_of_a_model_is_a_log_of_its_span(viewer: RunningViewer, store: Store, content_type: str) -> None:
    send(viewer.http, turn().SerializeToString())
    answer = send_logs(viewer, evaluation(TRACE, 3), content_type=content_type)
    assert (answer.status_code, answer.content) == (200, b"" if content_type == PROTOBUF else b"{}")
    eventually(lambda: logs(viewer), within=15)
    assert logs(viewer) == snapshot(
        [
            {
                "name": "gen_ai.evaluation.result",
                "time_ns": "1767700890000000000",
                "record": True,
                "attributes": {
                    "gen_ai.evaluation.name": "relevance",
                    "gen_ai.evaluation.score.value": 0.5,
                    "log.severity": "INFO",
                },
            }
        ]
    )


def jaeger_logs(viewer: RunningViewer) -> list[Any]:
    [trace] = viewer.get(f"/jaeger/api/traces/{FLOW}")["data"]
    return [log for one in trace["spans"] for log in one["logs"]]


def test_one_that_comes_minutes_after_its_flow_was_stored_is_told_by_every_interface(
    viewer: RunningViewer, store: Store
) -> None:
    send(viewer.http, turn().SerializeToString())
    stored(viewer)
    for _ in range(2):
        assert send_logs(viewer, evaluation(TRACE, 3)).status_code == 200
    eventually(lambda: logs(viewer), within=15)
    eventually(lambda: number(viewer, "otlp_open_flows") == 0, within=15)
    assert [log["name"] for log in logs(viewer)] == [EVALUATION]
    [told] = eventually(lambda: jaeger_logs(viewer), within=15)
    assert {field["key"]: field["value"] for field in told["fields"]} == {
        "event": EVALUATION,
        "gen_ai.evaluation.name": "relevance",
        "gen_ai.evaluation.score.value": 0.5,
        "log.severity": "INFO",
    }
    flow = viewer.get(f"/api/v1/flows/{FLOW}")
    assert (flow["user_id"], flow["completed_at"] is not None, len(flow["flow_data"]["events"])) == (7, True, 2)


def test_one_that_names_a_response_finds_its_span(viewer: RunningViewer, store: Store) -> None:
    """Of a gateway in Python, long after its flow was stored."""
    attributes = {"gen_ai.response.id": "chatcmpl-A1b2"}
    root = own_span(1, start_ns=START_NS, end_ns=START_NS + 50 * MS, name="POST /chat")
    chat = own_span(3, parent=1, start_ns=START_NS, end_ns=START_NS + 9 * MS, name="chat", attributes=attributes)
    store(part(TRACE, [root, chat]))
    assert send_logs(viewer, evaluation(gen_ai__response__id="chatcmpl-A1b2")).status_code == 200
    eventually(lambda: [log["name"] for log in logs(viewer)] == [EVALUATION], within=15)
    assert number(viewer, "otlp_log_records_attached_total") == 1


def test_one_that_names_a_response_waits_until_its_flow_is_stored(viewer: RunningViewer, store: Store) -> None:
    assert send_logs(viewer, evaluation(gen_ai__response__id="resp-1")).status_code == 200
    eventually(lambda: number(viewer, "otlp_log_records_waiting") == 1)
    store(
        part(TRACE, [own_span(3, start_ns=START_NS, end_ns=START_NS + MS, attributes={"gen_ai.response.id": "resp-1"})])
    )
    eventually(lambda: [log["name"] for log in logs(viewer)] == [EVALUATION], within=20)
    assert number(viewer, "otlp_log_records_waiting") == 0


def test_an_evaluators_own_span_does_not_get_the_result(viewer: RunningViewer, store: Store) -> None:
    """Its SDK puts the current span on every record; the response id says what was judged."""
    send(viewer.http, turn().SerializeToString())
    stored(viewer)
    other = TRACE + 1
    send(viewer.http, request(span("evaluate", other, 8), service="evaluator").SerializeToString())
    assert send_logs(viewer, evaluation(other, 8, gen_ai__response__id="resp-1")).status_code == 200
    eventually(lambda: logs(viewer), within=15)
    assert logs(viewer, 8, f"{other:032x}") == []


def test_without_a_known_response_the_context_counts(viewer: RunningViewer, store: Store) -> None:
    send(viewer.http, turn().SerializeToString())
    assert send_logs(viewer, evaluation(TRACE, 3, gen_ai__response__id="resp-of-nobody")).status_code == 200
    eventually(lambda: logs(viewer), within=15)


def test_one_that_comes_before_its_span_stands_for_it_until_then(viewer: RunningViewer, store: Store) -> None:
    assert send_logs(viewer, evaluation(TRACE, 3)).status_code == 200
    eventually(lambda: logs(viewer), within=15)
    send(viewer.http, turn().SerializeToString())

    def names() -> list[str]:
        return [one["name"] for one in viewer.get(f"/api/v1/flows/{FLOW}/flat")["spans"]]

    eventually(lambda: names() == ["POST /chat", "chat gpt-5"], within=15)
    assert [log["name"] for log in logs(viewer)] == [EVALUATION]


def test_contents_and_secrets_are_left_out(viewer: RunningViewer, store: Store) -> None:
    send(viewer.http, turn().SerializeToString())
    details = log_record(
        "gen_ai.client.inference.operation.details",
        TRACE,
        3,
        body={"prompt": "my secret plan"},
        gen_ai__input__messages='[{"role":"user","content":"my secret plan"}]',
        gen_ai__request__model="gpt-5",
    )
    failed = log_record("gen_ai.client.operation.exception", TRACE, 3, exception__message="password=hunter2 is wrong")
    judged = evaluation(TRACE, 3, gen_ai__evaluation__explanation="my secret plan is bad")
    guarded = log_record("gen_ai.guardrail.result", TRACE, 3, gen_ai__guardrail__result__value="deny")
    tool = log_record("gen_ai.execute_tool.exception", TRACE, 3, exception__type="ValueError")
    assert send_logs(viewer, details, failed, judged, guarded, tool).status_code == 200
    eventually(lambda: len(logs(viewer)) == 5, within=15)
    told = json.dumps(logs(viewer))
    assert "secret plan" not in told and "hunter2" not in told
    assert {log["name"]: log.get("attributes") for log in logs(viewer)} == snapshot(
        {
            "gen_ai.execute_tool.exception": {"exception.type": "ValueError", "log.severity": "INFO"},
            "gen_ai.guardrail.result": {"gen_ai.guardrail.result.value": "deny", "log.severity": "INFO"},
            "gen_ai.client.inference.operation.details": {"gen_ai.request.model": "gpt-5", "log.severity": "INFO"},
            "gen_ai.client.operation.exception": {"log.severity": "INFO"},
            "gen_ai.evaluation.result": {
                "gen_ai.evaluation.name": "relevance",
                "gen_ai.evaluation.score.value": 0.5,
                "log.severity": "INFO",
            },
        }
    )


def test_other_records_are_refused_and_counted_exactly(viewer: RunningViewer, store: Store) -> None:
    other = log_record("http.request", TRACE, 3)
    plain = log_record("", TRACE, 3, body="a line of a log")
    lonely = evaluation()
    answer = send_logs(viewer, evaluation(TRACE, 3), other, plain, lonely)
    told = ExportLogsServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, told.rejected_log_records) == (200, 3)
    assert told.error_message == (
        "1 log records name neither a span nor a response. 2 log records are no events of models, tools or guardrails."
    )
    answer = send_logs(viewer, lonely, content_type="application/json")
    assert answer.json() == {
        "partialSuccess": {
            "rejectedLogRecords": "1",
            "errorMessage": "1 log records name neither a span nor a response.",
        }
    }
    eventually(lambda: number(viewer, "otlp_log_records_attached_total") == 1, within=15)
    assert number(viewer, "otlp_log_records_accepted_total") == 1
    assert number(viewer, "otlp_log_records_refused_total", reason="no_span") == 2
    assert number(viewer, "otlp_log_records_refused_total", reason="other_event") == 2


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"\xff\xff\xff", PROTOBUF, 400),
        (b"{", "application/json", 400),
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":7}]}]}', "application/json", 400),
        (b'{"resourceLogs":[[]]}', "application/json", 400),
        (b"", "text/plain", 415),
    ],
)
def test_what_is_no_request_is_refused(viewer: RunningViewer, body: bytes, content_type: str, status: int) -> None:
    answer = viewer.http.post("/v1/logs", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status
    if content_type == PROTOBUF:
        assert Status.FromString(answer.content).code == 3


def test_too_large_and_no_room_are_answered_as_for_spans(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_otlp_unpacked_bytes=64 * 1024)
    huge = logs_request(evaluation(TRACE, 3, note="x" * 100_000)).SerializeToString()
    assert send(viewer.http, huge, encoding="gzip", path="/v1/logs").status_code == 413
    ingest = viewer.app.state.viewer.receiver.ingest
    ingest._queue.close()
    answer = send_logs(viewer, evaluation(TRACE, 3))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert number(viewer, "otlp_log_records_refused_total", reason="queue_full") == 1
    assert number(viewer, "otlp_log_records_accepted_total") == 0


def test_what_still_waits_when_the_viewer_ends_is_counted(make_viewer: MakeViewer, store: Store) -> None:
    viewer = make_viewer()
    send_logs(viewer, evaluation(gen_ai__response__id="resp-of-nobody"))
    eventually(lambda: number(viewer, "otlp_log_records_waiting") == 1)
    ingest = viewer.app.state.viewer.receiver.ingest
    ingest.shutdown(5)
    assert ingest.counts().logs.dropped == {"shutdown": 1}
    assert ingest.counts().logs.balanced


@pytest.mark.anyio
async def test_a_watched_user_is_seen_judged_live(viewer: RunningViewer, store: Store) -> None:
    viewer.post("/api/v1/monitoring/enable/7")
    async with following(viewer) as client:
        await asyncio.to_thread(send, viewer.http, turn().SerializeToString())
        await client.until_events(2)
        await asyncio.to_thread(send_logs, viewer, evaluation(TRACE, 3))
        await client.until_events(3)
    assert client.nodes() == {f"{number:016x}" for number in (1, 3)}
