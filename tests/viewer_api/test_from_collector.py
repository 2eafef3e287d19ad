"""From a real Collector into a real viewer."""

import re
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.collector import running_collector
from tests.support.gateway_process import CHECKOUT, gateway_process
from tests.support.go_tools import collector
from tests.support.jaeger_server import RunningJaeger
from tests.support.otlp_client import log_record, logs_request, request, send, span
from tests.support.poll import eventually
from tests.support.ports import free_port
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import MakeViewer

pytestmark = pytest.mark.long
TRACE = 0xC0
FLOW = f"{TRACE:032x}"


@pytest.fixture(scope="module")
def program() -> Path:
    return collector()


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANFLOW_FLOW_GRACE", "0.2")


def to(viewer: RunningViewer) -> dict[str, str]:
    return {"VIEWER_URL": viewer.origin, "VIEWER_INGEST_TOKEN": TOKEN}


def names(viewer: RunningViewer) -> list[str]:
    answer = viewer.http.get(f"/api/v1/flows/{FLOW}")
    return [event["name"] for event in answer.json()["flow_data"]["events"]] if answer.is_success else []


def test_spans_and_log_records_pass_both_tiers_to_the_viewer(
    program: Path, viewer: RunningViewer, tmp_path: Path
) -> None:
    """Redacted at the far end, with the machine they come from, and the same in Jaeger's API span by span."""
    sampling = {"COLLECTOR_DECISION_WAIT": "5s", "COLLECTOR_DECISION_WAIT_AFTER_ROOT": "1s"}
    with (
        running_collector(program, ("gateway", "to-viewer"), tmp_path / "g", **to(viewer), **sampling) as gateway,
        running_collector(program, ("agent",), tmp_path / "a", COLLECTOR_UPSTREAM=gateway.url) as agent,
        httpx.Client(base_url=agent.url) as client,
    ):
        root = span("POST /chat", TRACE, 1, kind=2, ms=50, user__id="7", db__password="hunter2", flow__outcome="denied")
        chat = span("chat", TRACE, 2, 1, kind=3, at_ms=5, note="Bearer abcdefghijklmnop", gen_ai__response__id="r-1")
        assert send(client, request(chat, root).SerializeToString()).status_code == 200
        judged = log_record(
            "gen_ai.evaluation.result", gen_ai__response__id="r-1", gen_ai__evaluation__name="relevance"
        )
        other = log_record("", TRACE, 2, body="a line of some log")
        body = logs_request(judged, other).SerializeToString()
        assert send(client, body, path="/v1/logs").status_code == 200
        eventually(lambda: names(viewer) == ["POST /chat", "chat"], within=60)

        def logs() -> list[str]:
            events = viewer.get(f"/api/v1/flows/{FLOW}")["flow_data"]["events"]
            return [log["name"] for event in events for log in event.get("logs", ())]

        eventually(lambda: logs() == ["gen_ai.evaluation.result"], within=60)
        flow = viewer.get(f"/api/v1/flows/{FLOW}")
    assert "hunter2" not in str(flow) and "abcdefghijklmnop" not in str(flow)
    [process] = [about for about in flow["flow_data"]["processes"].values() if "host.name" in str(about)][:1]
    assert process["resource"]["attributes"]["service.name"] == "router"
    [trace] = viewer.get(f"/jaeger/api/traces/{FLOW}")["data"]
    told = {one["spanID"]: (one["operationName"], one["startTime"], one["duration"]) for one in trace["spans"]}
    events = flow["flow_data"]["events"]
    assert told == {
        event["node_id"]: (
            event["name"],
            int(event["start_ns"]) // 1000,
            (int(event["end_ns"]) - int(event["start_ns"])) // 1000,
        )
        for event in events
    }


def test_a_flow_of_the_example_gateway_is_the_same_in_jaeger_span_by_span(
    program: Path,
    real_jaeger: RunningJaeger,
    make_viewer: MakeViewer,
    redis_url: str,
    postgres_dsn: str,
    tmp_path: Path,
) -> None:
    """By Redis and Postgres into the viewer, by both tiers of Collectors into Jaeger; and from the one to the other."""
    viewer = make_viewer(viewer_trace_url=f"{real_jaeger.query}/trace/{{trace_id}}")
    sampling = {"COLLECTOR_DECISION_WAIT": "10s", "COLLECTOR_DECISION_WAIT_AFTER_ROOT": "2s"}
    keep_all = {**sampling, "COLLECTOR_KEEP_PERCENT": "100", "JAEGER_OTLP_URL": real_jaeger.otlp}
    with (
        running_collector(program, ("gateway", "to-jaeger"), tmp_path / "g", **keep_all) as gateway_tier,
        running_collector(program, ("agent",), tmp_path / "a", COLLECTOR_UPSTREAM=gateway_tier.url) as agent,
    ):
        environment = {
            "EXAMPLE_GATEWAY_PACE": "0.02",
            "SPANFLOW_ENABLED": "true",
            "SPANFLOW_REDIS_URL": redis_url,
            "SPANFLOW_POSTGRES_DSN": postgres_dsn,
            "SPANFLOW_DATA_DIR": str(tmp_path / "data"),
            "SPANFLOW_FLOW_GRACE": "0.5",
            "OTEL_SERVICE_NAME": "example-gateway",
            "OTEL_EXPORTER_OTLP_ENDPOINT": agent.url,
        }
        command = ["opentelemetry-instrument", "uvicorn", "example_gateway.app:app", "--port", "{port}"]
        example = CHECKOUT / "examples" / "gateway"
        with gateway_process(command, tmp_path / "gateway.log", environment, python_path=[example]) as gateway:
            httpx.post(
                f"{gateway.url}/api/v1/ask/stream",
                json={"message": "status of job 42"},
                headers={"authorization": "Bearer demo-ann"},
                timeout=60,
            ).raise_for_status()
            # The gateway still runs: it exports every few seconds, and at its end only what there is time for.
            search = {"service": "example-gateway", "operation": "llm_complete"}
            with httpx.Client(base_url=real_jaeger.query, timeout=15) as query:
                [found] = eventually(lambda: query.get("/api/traces", params=search).json()["data"], within=150)
        with httpx.Client(base_url=real_jaeger.query, timeout=15) as query:
            [own] = eventually(lambda: viewer.http.get(f"/api/traces/{found['traceID']}").json()["data"], within=60)
            spans = len(own["spans"])
            eventually(lambda: len(jaegers(query, found["traceID"])["spans"]) == spans, within=60)
            theirs = jaegers(query, found["traceID"])
            link = viewer.get(f"/api/v1/flows/{found['traceID']}")["trace_url"]
            assert query.get(link).headers["content-type"].startswith("text/html")
            assert link.removeprefix(f"{real_jaeger.query}/trace/") == theirs["traceID"]
    assert {"POST /api/v1/ask/stream", "auth_check", "usage_check", "chat stand-in-small", "llm_complete"} <= {
        one["operationName"] for one in theirs["spans"]
    }
    assert told(own) == told(theirs)


def jaegers(query: httpx.Client, trace_id: str) -> Any:
    [trace] = query.get(f"/api/traces/{trace_id}").json()["data"]
    return trace


def told(trace: dict[str, Any]) -> dict[str, Any]:
    """By span, without what the agent says of its machine and Jaeger of clocks."""
    return {
        one["spanID"]: {
            **{key: one[key] for key in ("operationName", "startTime", "duration", "references")},
            "tags": sorted((each["key"], each["type"], str(each["value"])) for each in one["tags"]),
            "logs": sorted((log["timestamp"], str(log["fields"])) for log in one["logs"]),
            "service": trace["processes"][one["processID"]]["serviceName"],
        }
        for one in trace["spans"]
    }


def test_a_collector_that_is_killed_under_load_loses_nothing(
    program: Path, viewer: RunningViewer, tmp_path: Path
) -> None:
    """Everything that a client was told is accepted is in the viewer, once."""
    where = {**to(viewer), "COLLECTOR_HTTP_PORT": str(free_port())}
    accepted: list[int] = []
    enough = threading.Event()

    def send_some(numbers: range, url: str) -> None:
        with httpx.Client(base_url=url, timeout=20) as client:
            for number in numbers:
                body = request(span(f"step {number}", TRACE, number + 2, 1), span("root", TRACE, 1, kind=2))
                try:
                    if send(client, body.SerializeToString()).status_code == 200:
                        accepted.append(number)
                        if len(accepted) > 100:
                            enough.set()
                except httpx.TransportError:
                    return

    with running_collector(program, ("agent", "to-viewer"), tmp_path, **where) as first:
        # While it goes on accepting.
        def kill() -> None:
            enough.wait(60)
            first.process.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        send_some(range(2000), first.url)
        killer.join()
        first.process.wait()
    with running_collector(program, ("agent", "to-viewer"), tmp_path, **where) as second:
        send_some(range(2000, 2100), second.url)
        expected = {f"step {number}" for number in accepted} | {"root"}
        eventually(lambda: expected <= set(names(viewer)), within=120)
        stored = names(viewer)
    assert 200 < len(accepted) < 2100
    assert len(stored) == len(set(stored))


_PIPELINE = """
service:
  pipelines:
    traces:
      exporters: [otlp_grpc/viewer]
"""


def test_a_collector_sends_by_grpc_as_it_is_documented(program: Path, make_viewer: MakeViewer, tmp_path: Path) -> None:
    page = (CHECKOUT / "docs" / "receiving-spans.md").read_text(encoding="utf-8")
    [exporter] = [block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "otlp_grpc" in block]
    (tmp_path / "by-grpc.yaml").write_text(exporter + _PIPELINE)
    port = free_port()
    viewer = make_viewer(viewer_otlp_grpc_port=port)
    settings = {**to(viewer), "VIEWER_GRPC": f"127.0.0.1:{port}"}
    with (
        running_collector(program, ("agent", str(tmp_path / "by-grpc")), tmp_path / "a", **settings) as agent,
        httpx.Client(base_url=agent.url) as client,
    ):
        root = span("POST /chat", TRACE, 1, kind=2, ms=50, user__id="7", db__password="hunter2")
        assert send(client, request(root).SerializeToString()).status_code == 200
        eventually(lambda: names(viewer) == ["POST /chat"], within=60)
    assert "hunter2" not in viewer.http.get(f"/api/v1/flows/{FLOW}").text
