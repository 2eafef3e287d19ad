"""Whether contents are recorded is said with each flow, whether it runs or is stored."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.sdk.trace import TracerProvider

from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings
from tests.support.flow_parts import part, span
from tests.support.poll import eventually
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, Store


def told(viewer: RunningViewer, flow_id: str) -> list[Any]:
    return [viewer.get(f"/api/v1/flows/{flow_id}{path}")["contents"] for path in ("", "/flat", "/tree")]


@pytest.mark.parametrize("policy", ["off", "hash", "full"])
def test_the_policy_of_a_gateway_is_said_while_a_flow_runs_and_later(
    viewer: RunningViewer, redis_url: str, tmp_path: Path, policy: str
) -> None:
    dsn = viewer.settings.postgres_dsn
    data_dir = str(tmp_path / "gateway")
    settings = Settings(redis_url=redis_url, postgres_dsn=dsn, data_dir=data_dir, flow_grace=0.05, content=policy)
    pipeline = build_pipeline(settings)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(FlowSpanProcessor(pipeline))
    try:
        turn = provider.get_tracer("t").start_span("POST /ask")
        pipeline.force_flush(5)
        flow_id = f"{turn.get_span_context().trace_id:032x}"
        eventually(lambda: told(viewer, flow_id) == [policy] * 3)
        turn.end()
        pipeline.force_flush(5)
        eventually(lambda: viewer.get(f"/api/v1/flows/{flow_id}")["open"] is False)
        assert told(viewer, flow_id) == [policy] * 3
    finally:
        provider.shutdown()


def test_processes_of_different_policies_are_mixed_and_older_ones_say_nothing(
    viewer: RunningViewer, store: Store
) -> None:
    def described(number: int, policy: str | None, instance_id: str = "p1") -> FlowPart:
        about = orjson.dumps({} if policy is None else {"content": policy})
        spans = [span(1)] if instance_id == "p1" else [span(2, 1)]
        return replace(part(number, spans, process=instance_id), process=about)

    store(described(1, None))
    store(described(2, "off"))
    store(described(2, "full", "p2"))
    assert [told(viewer, f"{number:032x}")[0] for number in (1, 2)] == [None, "mixed"]


def test_what_a_watch_keeps_back_is_told_from_what_is_not_recorded(viewer: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow()
    flow.start("root", name="POST /ask")
    assert told(viewer, flow.flow_id) == [None] * 3
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7], "metadata_only": True, "reason": "r"})
    assert told(viewer, flow.flow_id) == ["withheld"] * 3
