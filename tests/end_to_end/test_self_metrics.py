"""The pipeline's own counts as OpenTelemetry metrics."""

from pathlib import Path
from typing import Any

from dirty_equals import IsInt
from inline_snapshot import snapshot
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from spanflow.instrumentation import checkpoint, flow
from spanflow.instrumentation.configure import configure, shutdown
from spanflow.instrumentation.startup import started
from spanflow.span_processors.settings import Settings

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
            "spanflow.processor.lag": {"mirror": 0.0, "postgres": 0.0},
            "spanflow.flows.open": {"": 0},
            "spanflow.spool.size": {"": IsInt(gt=0)},
        }
    )
    shutdown()
    provider.shutdown()
