"""Spans of other programs, sent to the viewer by OTLP/HTTP."""

import asyncio
import gzip
import json
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from spanflow.span_processors import native
from spanflow.viewer_api.auth.token_file import digest
from tests.support.flow_parts import part
from tests.support.flow_parts import span as own_span
from tests.support.live_client import following
from tests.support.otlp_client import MS, PACK, PROTOBUF, START_NS, as_json, request, send, span
from tests.support.poll import eventually
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import MakeViewer, Store
from tests.viewer_api.test_operations import number, numbers

TRACE = 0x11112222333344445555666677778888
FLOW = f"{TRACE:032x}"
INGEST_TOKEN = "a-token-that-only-sends-spans-0001"


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway's setting, which holds for received spans as well."""
    monkeypatch.setenv("SPANFLOW_FLOW_GRACE", "0.2")


def flat(viewer: RunningViewer, flow_id: str = FLOW) -> dict[str, Any]:
    """The flow with its spans in reading order, once it is stored."""

    def stored() -> dict[str, Any] | None:
        answer = viewer.http.get(f"/api/v1/flows/{flow_id}/flat")
        return answer.json() if answer.status_code == 200 and not answer.json()["open"] else None

    shown = eventually(stored, within=15)
    assert shown is not None
    return shown


def accepted(answer: httpx.Response) -> ExportTraceServiceResponse:
    assert answer.status_code == 200, answer.text
    read: ExportTraceServiceResponse = ExportTraceServiceResponse.FromString(answer.content)
    return read


def turn(trace: int = TRACE) -> list[Any]:
    """What a router in another language says of one chat turn, the children first as exporters do."""
    return [
        span(
            "chat gpt-5",
            trace,
            3,
            1,
            at_ms=20,
            kind=3,
            gen_ai__operation__name="chat",
            gen_ai__request__model="gpt-5",
            gen_ai__usage__input_tokens=120,
            gen_ai__usage__output_tokens=30,
            gen_ai__input__messages='[{"role":"user","content":"my secret plan"}]',
        ),
        span(
            "execute_tool search",
            trace,
            2,
            1,
            at_ms=5,
            gen_ai__tool__name="search",
            gen_ai__operation__name="execute_tool",
        ),
        span(
            "POST /chat", trace, 1, at_ms=0, ms=50, kind=2, user__id="7", api_key="sk-abcdef0123456789abcdef0123456789"
        ),
    ]


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate"])
@pytest.mark.parametrize("content_type", [PROTOBUF, "application/json"])
def test_a_turn_of_a_router_is_stored_as_a_flow_of_ours(
    viewer: RunningViewer, store: Store, content_type: str, encoding: str
) -> None:
    message = request(*turn())
    body = message.SerializeToString() if content_type == PROTOBUF else as_json(message)
    answer = send(viewer.http, body, content_type, encoding)
    assert (answer.status_code, answer.content) == (200, b"" if content_type == PROTOBUF else b"{}")
    assert answer.headers["content-type"] == content_type
    shown = flat(viewer)
    assert [(one["name"], one["event_type"], one["depth"], one["duration_ms"]) for one in shown["spans"]] == [
        ("POST /chat", "span", 0, 50.0),
        ("execute_tool search", "tool_call", 1, 10.0),
        ("chat gpt-5", "llm_thinking", 1, 10.0),
    ]
    assert (shown["user_id"], shown["spans"][0]["below"]["tokens_input"]) == (7, 120)
    root, _, chat = shown["spans"]
    assert root["attributes"]["api_key"] == "[redacted]"
    assert "my secret plan" not in json.dumps(shown)
    assert chat["attributes"]["gen_ai.request.model"] == "gpt-5"


def test_each_service_of_a_flow_is_told_once_with_its_resource(viewer: RunningViewer, store: Store) -> None:
    root, child = span("GET /", TRACE, 1, kind=2, user__id="7"), span("handle", TRACE, 2, 1, at_ms=2, kind=2)
    message = request(root, service="edge", **{"k8s.pod.name": "edge-1"})
    message.MergeFrom(request(child, service="backend"))
    accepted(send(viewer.http, message.SerializeToString()))
    flat(viewer)

    def services() -> list[str]:
        document = viewer.get(f"/api/v1/flows/{FLOW}")["flow_data"]
        processes = document["processes"].values()
        return sorted(process["resource"]["attributes"]["service.name"] for process in processes)

    eventually(lambda: services() == ["backend", "edge"], within=15)
    assert len(flat(viewer)["spans"]) == 2


def test_it_merges_with_what_python_processors_wrote_by_span_id(viewer: RunningViewer, store: Store) -> None:
    own = own_span(1, start_ns=START_NS, end_ns=START_NS + 50 * MS, name="POST /chat", kind="server")
    store(part(TRACE, [own]))
    accepted(send(viewer.http, request(*turn()).SerializeToString()))
    eventually(lambda: len(flat(viewer)["spans"]) == 3, within=15)
    assert [one["name"] for one in flat(viewer)["spans"]] == ["POST /chat", "execute_tool search", "chat gpt-5"]


def test_what_comes_twice_or_late_or_out_of_order_makes_one_flow(viewer: RunningViewer, store: Store) -> None:
    chat, tool, root = turn()
    for spans in ([chat], [chat, tool], [root], [tool, root, chat]):
        accepted(send(viewer.http, request(*spans).SerializeToString()))
    assert len(flat(viewer)["spans"]) == 3


def test_spans_without_a_valid_id_are_told_and_the_others_are_stored(viewer: RunningViewer, store: Store) -> None:
    short, zero = span("short", TRACE, 5), span("zero", 0, 6)
    short.span_id = b"\1\2"
    answer = accepted(send(viewer.http, request(*turn(), short, zero).SerializeToString()))
    assert answer.partial_success.rejected_spans == 2
    assert answer.partial_success.error_message == "2 spans have no valid trace id or span id."
    answer_json = send(viewer.http, as_json(request(zero)), "application/json")
    assert answer_json.json() == {
        "partialSuccess": {"rejectedSpans": "1", "errorMessage": "1 spans have no valid trace id or span id."}
    }
    assert len(flat(viewer)["spans"]) == 3
    eventually(lambda: number(viewer, "otlp_spans_encoded_total") == 3)
    counted = {name: value for (name, labels), value in numbers(viewer).items() if name.startswith("otlp_spans")}
    assert counted == {
        "otlp_spans_accepted_total": 3,
        "otlp_spans_encoded_total": 3,
        "otlp_spans_waiting": 0,
        "otlp_spans_refused_total": 3,
    }
    assert number(viewer, "otlp_spans_refused_total", reason="invalid_id") == 3


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff\xff", {"Content-Type": PROTOBUF}, 400),
        (b"{", {"Content-Type": "application/json"}, 400),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":7}]}]}', {"Content-Type": "application/json"}, 400),
        (b'{"resourceSpans":[[]]}', {"Content-Type": "application/json"}, 400),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":{}}]}]}]}', {"Content-Type": "application/json"}, 400),
        (b"[" * 100_000, {"Content-Type": "application/json"}, 400),
        (b"not gzip", {"Content-Type": PROTOBUF, "Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"x" * 1000)[:-20], {"Content-Type": PROTOBUF, "Content-Encoding": "gzip"}, 400),
        (b"", {"Content-Type": PROTOBUF, "Content-Encoding": "br"}, 415),
        (b"", {"Content-Type": "text/plain"}, 415),
    ],
)
def test_what_is_no_request_is_refused(
    viewer: RunningViewer, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = viewer.http.post("/v1/traces", content=body, headers=headers)
    assert answer.status_code == status
    if headers["Content-Type"] == PROTOBUF:
        assert answer.headers["content-type"] == PROTOBUF
        assert Status.FromString(answer.content).code == 3
    else:
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compression_bomb_is_refused_before_it_is_unpacked(make_viewer: MakeViewer, encoding: str) -> None:
    viewer = make_viewer(viewer_otlp_unpacked_bytes=64 * 1024)
    bomb = PACK[encoding](b"\0" * 50_000_000)
    answer = viewer.http.post(
        "/v1/traces", content=bomb, headers={"Content-Type": PROTOBUF, "Content-Encoding": encoding}
    )
    assert (answer.status_code, Status.FromString(answer.content).code) == (413, 8)


def test_a_body_beyond_the_limit_as_it_is_sent_is_refused(viewer: RunningViewer) -> None:
    answer = viewer.http.post("/v1/traces", content=b"\0" * (16 * 1024 * 1024 + 1), headers={"Content-Type": PROTOBUF})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_when_there_is_no_room_the_client_is_told_when_to_try_again(make_viewer: MakeViewer, store: Store) -> None:
    viewer = make_viewer()
    ingest = viewer.app.state.viewer.receiver.ingest
    held = ingest._queue
    # The queue's own thread does not run yet: what is put in stays.
    ingest._queue = type(held)(10, 1)
    assert ingest._queue.offer(_batch(10))
    answer = send(viewer.http, request(*turn()).SerializeToString())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert Status.FromString(answer.content).code == 14
    assert number(viewer, "otlp_spans_refused_total", reason="queue_full") == 3
    ingest._queue = held
    accepted(send(viewer.http, request(*turn()).SerializeToString()))
    assert len(flat(viewer)["spans"]) == 3


def _batch(spans: int) -> Any:
    from spanflow.viewer_api.otlp.span_queue import Batch

    return Batch((), spans, 1)


def test_only_the_right_to_ingest_lets_spans_in_and_it_reads_nothing(make_viewer: MakeViewer, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    reader = "a-token-that-only-reads-flows-00001"
    tokens.write_text(
        f'[[token]]\nname = "collector"\nrole = "ingest"\nhash = "sha256:{digest(INGEST_TOKEN).hex()}"\n'
        f'[[token]]\nname = "ann"\nrole = "monitor"\nhash = "sha256:{digest(reader).hex()}"\n'
    )
    tokens.chmod(0o600)
    viewer = make_viewer(viewer_tokens_file=str(tokens))
    body = request(*turn()).SerializeToString()

    def by(token: str) -> httpx.Client:
        return httpx.Client(base_url=viewer.origin, headers={"Authorization": f"Bearer {token}"})

    with by(INGEST_TOKEN) as collector, by(reader) as ann:
        assert send(collector, body).status_code == 200
        assert send(ann, body).status_code == 403
        assert send(viewer.stranger, body).status_code == 401
        assert collector.get("/api/v1/flows").status_code == 403
        assert collector.get("/api/v1/monitoring/list").status_code == 403


@pytest.mark.anyio
async def test_a_watched_user_is_seen_live(viewer: RunningViewer, store: Store) -> None:
    viewer.post("/api/v1/monitoring/enable/7")
    async with following(viewer) as client:
        answer = await asyncio.to_thread(send, viewer.http, request(*turn()).SerializeToString())
        assert answer.status_code == 200
        await client.until_events(3)
    assert client.nodes() == {f"{number:016x}" for number in (1, 2, 3)}


def test_a_setting_of_gateways_that_cannot_be_used_stops_the_ingest_and_not_the_viewer(
    make_viewer: MakeViewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANFLOW_QUEUE_SPANS", "many")
    viewer = make_viewer()
    answer = send(viewer.http, request(*turn()).SerializeToString())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert viewer.get("/api/v1/flows")["flows"] == []


def test_a_native_core_that_is_required_and_missing_stops_the_ingest_and_not_the_viewer(
    make_viewer: MakeViewer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "spanflow_core.py").write_text("raise ModuleNotFoundError('No module named spanflow_core')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "spanflow_core", raising=False)
    native.load.cache_clear()
    native.chosen.cache_clear()  # an earlier test may have required it, and got it
    monkeypatch.setenv("SPANFLOW_NATIVE", "require")
    try:
        viewer = make_viewer()
        assert send(viewer.http, request(*turn()).SerializeToString()).status_code == 503
        assert viewer.get("/api/v1/flows")["flows"] == []
    finally:
        native.load.cache_clear()
        native.chosen.cache_clear()


def test_it_can_be_switched_off(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_otlp=False)
    assert send(viewer.http, request(*turn()).SerializeToString()).status_code == 404


def test_a_client_that_goes_away_while_it_sends_is_no_mistake_of_the_viewer(
    viewer: RunningViewer, caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = viewer.address.rpartition(":")
    head = f"POST /v1/traces HTTP/1.1\r\nHost: {viewer.address}\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += f"Content-Type: {PROTOBUF}\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection((host, int(port))) as client:
        client.sendall(head.encode() + b"\n\x07half")
        eventually(lambda: number(viewer, "requests_running") == 2, within=10)
    counted = {"method": "POST", "route": "/v1/traces", "status": "499"}
    eventually(lambda: number(viewer, "requests_total", **counted) == 1, within=10)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
