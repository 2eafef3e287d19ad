"""The pipeline's own counts as OpenTelemetry metrics."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dirty_equals import IsFloat, IsInt
from inline_snapshot import snapshot
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from spanflow.instrumentation import checkpoint, flow
from spanflow.instrumentation.configure import configure, shutdown
from spanflow.instrumentation.startup import started
from spanflow.span_processors.self_metrics import METRICS, observe
from spanflow.span_processors.settings import Settings
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.stepped_clock import SteppedClock
from tests.support.traced_gateway import TracedGateway

_PREFIX = "spanflow_span_processor/"


def points(reader: InMemoryMetricReader) -> dict[str, dict[str, Any]]:
    """Metric → stage (and reason) → value."""
    found: dict[str, dict[str, Any]] = {}
    data: Any = reader.get_metrics_data()
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    stage = point.attributes.get("otel.component.name", "").removeprefix(_PREFIX)
                    reason = point.attributes.get("error.type")
                    found.setdefault(metric.name, {})[f"{stage}: {reason}" if reason else stage] = point.value
    return found


def test_what_is_accepted_delivered_lost_and_waiting_is_told(redis_url: str, tmp_path: Path, fresh_otel: None) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    nowhere = "postgresql://127.0.0.1:1/none"
    configure(settings=Settings(enabled=True, redis_url=redis_url, postgres_dsn=nowhere, data_dir=str(tmp_path)))
    with flow("turn", user_id=42), checkpoint("auth_check"):
        pass
    running = started()
    assert running is not None
    assert running.pipeline.force_flush(10)
    assert points(reader) == snapshot(
        {
            "otel.sdk.processor.span.processed": {"intake": 4, "mirror": 5, "postgres": 1},
            "spanflow.processor.accepted": {"intake": 4, "mirror": 5, "postgres": 1},
            "otel.sdk.processor.span.queue.size": {"intake": 0, "mirror": 0, "postgres": 0},
            "otel.sdk.processor.span.queue.capacity": {"intake": 65536, "mirror": 262144, "postgres": 10000},
            "spanflow.processor.queue.bytes": {"intake": 0, "mirror": 0, "postgres": 0},
            "spanflow.processor.lag": {"mirror": 0.0, "postgres": 0.0},
            "spanflow.flows.open": {"": 0},
            "spanflow.flows.open.bytes": {"": 0},
            "spanflow.flows.left_out": {"": 0},
            "spanflow.redaction.shortened": {"": 0},
            "spanflow.spool.size": {"": IsInt(gt=0)},
            "spanflow.spool.written": {"": 1},
            "spanflow.spool.replayed": {"": 0},
            "spanflow.spool.usable": {"": 1},
            "spanflow.spool.unreadable": {"": 0},
            "spanflow.archive.poisoned": {"": 0},
            "spanflow.native.faults": {"": 0},
        }
    )
    assert set(points(reader)) == {metric.name for metric in METRICS}
    shutdown()
    provider.shutdown()


def test_the_lag_is_the_age_of_what_waits_for_a_server_that_does_not_answer(
    redis_url: str, postgres_dsn: str, tmp_path: Path, proxy: Callable[[str], TcpProxy]
) -> None:
    clock = SteppedClock()
    redis_line, postgres_line = proxy(redis_url), proxy(postgres_dsn)
    both: dict[str, Any] = {"archive_enabled": True, "postgres_dsn": postgres_line.url, "data_dir": str(tmp_path)}
    slow: dict[str, Any] = {"redis_timeout": 30.0, "postgres_timeout": 30.0, "flow_grace": 0.01}
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    with TracedGateway(redis_line.url, wall_clock=clock, **both, **slow) as gateway:
        observe(gateway.pipeline, provider.get_meter("spanflow"))
        with gateway.span("POST /ask"):
            pass
        assert gateway.pipeline.force_flush(10)
        assert points(reader)["spanflow.processor.lag"] == {"mirror": 0.0, "postgres": 0.0}
        redis_line.half_open()
        postgres_line.half_open()
        with gateway.span("POST /ask"):
            pass
        gateway.pipeline.force_flush(0.2)
        clock.step(7)
        lags = points(reader)["spanflow.processor.lag"]
        assert lags == {"mirror": IsFloat(ge=7, lt=9), "postgres": IsFloat(ge=7, lt=9)}
        clock.step(20)
        redis_line.restore()
        postgres_line.restore()
        eventually(lambda: points(reader)["spanflow.processor.lag"] == {"mirror": 0.0, "postgres": 0.0})
    provider.shutdown()


def test_what_is_in_the_spool_is_told_and_whether_it_can_be_used(tmp_path: Path, postgres_dsn: str) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    line: dict[str, Any] = {"archive_enabled": True, "postgres_dsn": "postgresql://127.0.0.1:1/none"}
    (tmp_path / "spool").write_text("a file stands where the folder should be")
    with TracedGateway("redis://127.0.0.1:1", mirror_enabled=False, data_dir=str(tmp_path), **line) as gateway:
        observe(gateway.pipeline, provider.get_meter("spanflow"))
        for _ in range(3):
            with gateway.span("POST /ask"):
                pass
        assert not gateway.pipeline.force_flush(0.3)
        assert spool_metrics(reader) == snapshot(
            {"size": 0, "written": 0, "replayed": 0, "usable": 0, "unreadable": 0, "waiting": 3}
        )
        (tmp_path / "spool").unlink()
        assert gateway.pipeline.force_flush(15)
        assert spool_metrics(reader) == snapshot(
            {"size": IsInt(gt=0), "written": 3, "replayed": 0, "usable": 1, "unreadable": 0, "waiting": 0}
        )
    provider.shutdown()


def spool_metrics(reader: InMemoryMetricReader) -> dict[str, Any]:
    found = points(reader)
    words = ("size", "written", "replayed", "usable", "unreadable")
    waiting = found["otel.sdk.processor.span.queue.size"]["postgres"]
    return {word: found[f"spanflow.spool.{word}"][""] for word in words} | {"waiting": waiting}
