"""Spans and log records of other programs, sent to the viewer by OTLP/gRPC."""

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from spanflow.span_processors.setting_table import SettingsError
from spanflow.viewer_api.app import create_app
from spanflow.viewer_api.auth.token_file import digest
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from tests.support.otlp_client import PACK, log_record, logs_request, request, send, span
from tests.support.poll import eventually
from tests.support.ports import free_port
from tests.support.viewer_server import TOKEN, RunningViewer, running_viewer
from tests.viewer_api.conftest import MakeViewer, Store
from tests.viewer_api.test_operations import number
from tests.viewer_api.test_otlp import FLOW, TRACE, flat, turn

pytestmark = pytest.mark.usefixtures("grpc_poller", "short_grace")

EXPORT_TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
EXPORT_LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def viewer(make_viewer: MakeViewer, port: int, store: Store) -> RunningViewer:
    return make_viewer(viewer_otlp_grpc_port=port)


@pytest.fixture
def channel(port: int) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened


def export(
    channel: grpc.Channel,
    body: bytes,
    token: str | None = TOKEN,
    method: str = EXPORT_TRACES,
    compression: Any = None,
) -> bytes:
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    call = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
    answer: bytes = call(body, metadata=metadata, timeout=15, compression=compression)
    return answer


def refused(channel: grpc.Channel, body: bytes, **options: Any) -> tuple[Any, int | None]:
    """The status of a call, and after how many seconds it may be repeated."""
    with pytest.raises(grpc.RpcError) as why:
        export(channel, body, **options)
    return _told(why.value)


def _told(why: Any) -> tuple[Any, int | None]:
    details = dict(why.trailing_metadata() or ()).get("grpc-status-details-bin")
    if details is None:
        return why.code(), None
    status = Status.FromString(details)
    assert (status.code, status.message) == (why.code().value[0], why.details())
    retry = RetryInfo()
    return why.code(), retry.retry_delay.seconds if status.details and status.details[0].Unpack(retry) else None


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip, grpc.Compression.Deflate], ids=str)
def test_what_comes_by_grpc_is_stored_as_what_comes_by_http(
    viewer: RunningViewer, channel: grpc.Channel, compression: Any
) -> None:
    other = TRACE + 1
    by_http = send(viewer.http, request(*turn(other)).SerializeToString())
    by_grpc = export(channel, request(*turn()).SerializeToString(), compression=compression)
    assert by_http.content == by_grpc == ExportTraceServiceResponse().SerializeToString()
    shown = flat(viewer)
    assert [one["name"] for one in shown["spans"]] == ["POST /chat", "execute_tool search", "chat gpt-5"]
    assert "sk-abcdef" not in str(shown) and "secret plan" not in str(shown)
    assert _without_ids(shown, FLOW) == _without_ids(flat(viewer, f"{other:032x}"), f"{other:032x}")


def _without_ids(shown: dict[str, Any], flow_id: str) -> str:
    return str(shown).replace(flow_id, "the flow")


def test_spans_without_ids_are_told_in_partial_success(viewer: RunningViewer, channel: grpc.Channel) -> None:
    answer = export(channel, request(*turn(), span("nobody's", 0, 9)).SerializeToString())
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert (partial.rejected_spans, partial.error_message) == (1, "1 spans have no valid trace id or span id.")
    assert number(viewer, "otlp_spans_accepted_total") == 3
    assert number(viewer, "otlp_spans_refused_total", reason="invalid_id") == 1


def test_log_records_come_the_same_way(viewer: RunningViewer, channel: grpc.Channel) -> None:
    export(channel, request(*turn()).SerializeToString())
    records = logs_request(
        log_record("gen_ai.evaluation.result", TRACE, 3, gen_ai__evaluation__name="relevance"),
        log_record("other.event", TRACE, 3),
    )
    answer = export(channel, records.SerializeToString(), method=EXPORT_LOGS)
    assert ExportLogsServiceResponse.FromString(answer).partial_success.rejected_log_records == 1

    def names() -> list[str]:
        return [log["name"] for one in flat(viewer)["spans"] for log in one.get("logs", ())]

    eventually(names, within=15)
    assert names() == ["gen_ai.evaluation.result"]


def test_only_the_right_to_ingest_lets_spans_in(make_viewer: MakeViewer, tmp_path: Path, port: int) -> None:
    tokens = tmp_path / "tokens.toml"
    collector, reader = "a-token-that-only-sends-spans-0001", "a-token-that-only-reads-flows-00001"
    tokens.write_text(
        f'[[token]]\nname = "collector"\nrole = "ingest"\nhash = "sha256:{digest(collector).hex()}"\n'
        f'[[token]]\nname = "ann"\nrole = "monitor"\nhash = "sha256:{digest(reader).hex()}"\n'
    )
    tokens.chmod(0o600)
    make_viewer(viewer_tokens_file=str(tokens), viewer_otlp_grpc_port=port)
    body = request(*turn()).SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert export(channel, body, token=collector) == b""
        assert refused(channel, body, token=reader) == (grpc.StatusCode.PERMISSION_DENIED, None)
        assert refused(channel, body, token="a-token-that-nobody-has-given-01") == (
            grpc.StatusCode.UNAUTHENTICATED,
            None,
        )
        assert refused(channel, body, token=None) == (grpc.StatusCode.UNAUTHENTICATED, None)


def test_a_stranger_is_refused_before_anything_is_read(viewer: RunningViewer, channel: grpc.Channel) -> None:
    done = threading.Event()

    def never() -> Iterator[bytes]:
        done.wait(15)
        yield from ()

    call = channel.stream_unary(EXPORT_TRACES, request_serializer=None, response_deserializer=None)
    try:
        with pytest.raises(grpc.RpcError) as why:
            call(never(), timeout=10)
    finally:
        done.set()
    assert _told(why.value) == (grpc.StatusCode.UNAUTHENTICATED, None)


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"x", b"\x1f\x8bno gzip", b"x\x9cno zlib"])
def test_what_is_no_request_is_refused_for_good(viewer: RunningViewer, channel: grpc.Channel, body: bytes) -> None:
    assert refused(channel, body) == (grpc.StatusCode.INVALID_ARGUMENT, None)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compression_bomb_is_refused_before_it_is_unpacked(make_viewer: MakeViewer, port: int, encoding: str) -> None:
    make_viewer(viewer_otlp_grpc_port=port, viewer_otlp_unpacked_bytes=64 * 1024)
    bomb = PACK[encoding](b"\0" * 50_000_000)
    compressed = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}[encoding]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        # As the library packs it, and as one that packs by itself would send it.
        assert refused(channel, b"\0" * 50_000_000, compression=compressed) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            None,
        )
        assert refused(channel, bomb) == (grpc.StatusCode.RESOURCE_EXHAUSTED, None)


def test_a_message_beyond_the_limit_as_it_is_sent_is_refused(viewer: RunningViewer, channel: grpc.Channel) -> None:
    code, _ = refused(channel, b"\0" * (16 * 1024 * 1024 + 1))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_when_there_is_no_room_the_client_is_told_when_to_try_again(
    viewer: RunningViewer, channel: grpc.Channel
) -> None:
    ingest = viewer.app.state.viewer.receiver.ingest
    held = ingest._queue
    # The queue's own thread does not run yet: what is put in stays.
    ingest._queue = type(held)(10, 1)
    from spanflow.viewer_api.otlp.span_queue import Batch

    assert ingest._queue.offer(Batch((), 10, 1))
    body = request(*turn()).SerializeToString()
    assert refused(channel, body) == (grpc.StatusCode.UNAVAILABLE, 2)
    assert number(viewer, "otlp_spans_refused_total", reason="queue_full") == 3
    ingest._queue = held
    export(channel, body)
    assert len(flat(viewer)["spans"]) == 3


def test_who_calls_too_often_is_told_when_to_try_again(make_viewer: MakeViewer, port: int) -> None:
    make_viewer(viewer_otlp_grpc_port=port, viewer_requests_per_second=0.1)
    body = request(*turn()).SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        export(channel, body)
        code, seconds = refused(channel, body)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert seconds is not None and 0 < seconds <= 10


def test_other_services_are_not_implemented(viewer: RunningViewer, channel: grpc.Channel) -> None:
    method = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
    assert refused(channel, b"", method=method)[0] is grpc.StatusCode.UNIMPLEMENTED


def test_a_call_in_progress_is_answered_when_the_viewer_ends(
    postgres_dsn: str, redis_url: str, tmp_path: Path, port: int, store: Store
) -> None:
    go_on = threading.Event()

    def message() -> Iterator[bytes]:
        go_on.wait(15)
        yield request(*turn()).SerializeToString()

    bearer = (("authorization", f"Bearer {TOKEN}"),)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, ExitStack() as stack:
        viewer = stack.enter_context(running_viewer(postgres_dsn, redis_url, tmp_path, viewer_otlp_grpc_port=port))
        call = channel.stream_unary(EXPORT_TRACES, request_serializer=None, response_deserializer=None)
        calling = call.future(message(), metadata=bearer, timeout=20)
        # This call, and the one that asks.
        eventually(lambda: number(viewer, "requests_running") == 2, within=10)
        ending = threading.Thread(target=stack.close)
        ending.start()
        eventually(lambda: _takes_no_more(port), within=10)
        go_on.set()
        assert calling.result() == b""
        ending.join(30)


def _takes_no_more(port: int) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as other:
        try:
            grpc.channel_ready_future(other).result(timeout=0.5)
        except grpc.FutureTimeoutError:
            return True
    return False


def test_without_the_library_the_viewer_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    settings = ViewerSettings(postgres_dsn="postgresql://127.0.0.1/none", data_dir=str(tmp_path), viewer_token=TOKEN)
    create_app(settings)
    with pytest.raises(SettingsError, match=r"spanflow\[grpc\]"):
        create_app(ViewerSettings(**{**_fields(settings), "viewer_otlp_grpc_port": 4317}))


def _fields(settings: ViewerSettings) -> dict[str, Any]:
    return {row.name: getattr(settings, row.name) for row in settings.rows()}
