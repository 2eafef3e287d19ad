"""Health checks, scrapes and a gateway's own jobs are left out as long as they end well, and counted."""

import sys
from types import ModuleType
from typing import Any

import pytest
import redis
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from spanflow.span_processors.encoding.noise import Noise
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.setting_table import SettingsError
from spanflow.span_processors.settings import Settings
from tests.support.poll import eventually
from tests.support.query import query
from tests.support.traced_gateway import TracedGateway, flow_id_of, stream_of

SERVER, CLIENT, INTERNAL = SpanKind.SERVER, SpanKind.CLIENT, SpanKind.INTERNAL
PROBE = {"http.method": "GET", "http.target": "/health/liveliness?verbose=1"}


@pytest.mark.parametrize(
    ("kind", "name", "attributes", "expected"),
    [
        (SERVER, "GET /healthz", {"http.request.method": "GET", "url.path": "/healthz"}, True),
        (SERVER, "GET /health/{kind}", PROBE, True),
        (SERVER, "GET /metrics", {"http.method": "GET", "http.url": "http://gateway:8000/metrics"}, True),
        (SERVER, "POST /health", {"http.method": "POST", "http.target": "/health"}, False),
        (SERVER, "GET /health-records", {"http.method": "GET", "http.target": "/health-records"}, False),
        (SERVER, "GET /", {"http.method": "GET", "http.target": "/", "http.user_agent": "kube-probe/1.31"}, True),
        (SERVER, "GET /", {"http.method": "GET", "url.path": "/", "user_agent.original": "Prometheus/3.1.0"}, True),
        (SERVER, "GET /", {"http.method": "GET", "http.target": "http://[", "http.user_agent": 7}, False),
        (CLIENT, "SELECT", {"db.system": "postgresql"}, True),
        (CLIENT, "GET", {"db.system.name": "redis"}, True),
        (INTERNAL, "SELECT", {"db.system": "postgresql"}, False),
        (CLIENT, "POST", {"http.url": "http://localhost:40321/"}, False),
        (INTERNAL, "reset_budget_job", {}, False),
    ],
)
def test_what_every_gateway_may_have(kind: SpanKind, name: str, attributes: dict[str, Any], expected: bool) -> None:
    assert Noise("off")(kind, name, attributes) is expected


def test_a_gateways_own_jobs_are_known_where_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "litellm", raising=False)
    noise = Noise()
    jobs: list[tuple[SpanKind, str, dict[str, Any]]] = [
        (INTERNAL, "reset_budget_job", {}),
        (INTERNAL, "redis_daily_spend_update_queue", {}),
        (INTERNAL, "auth /health/readiness", {}),
        (INTERNAL, "auth /metrics/", {}),
        (CLIENT, "redis.mget router_budgets", {}),
        (CLIENT, "postgres.select LiteLLM_BudgetTable", {}),
        (CLIENT, "POST", {"http.url": "http://localhost:40321/"}),
    ]
    assert [noise(*job) for job in jobs] == [False] * len(jobs)
    monkeypatch.setitem(sys.modules, "litellm", ModuleType("litellm"))
    assert [noise(*job) for job in jobs] == [True] * len(jobs)
    assert not noise(INTERNAL, "litellm_request", {})
    assert not noise(INTERNAL, "auth /v1/chat/completions", {})
    assert Noise("contextforge")(INTERNAL, "gateway.health_check", {})


def test_rules_of_ones_own_are_added() -> None:
    settings = Settings.from_environ({"SPANFLOW_NOISE_RULES": "/internal/*; nightly *; @job.kind:clean*"})
    noise = Noise.from_settings(settings)
    assert noise is not None
    assert noise(SERVER, "GET", {"http.method": "GET", "http.target": "/internal/state"})
    assert noise(INTERNAL, "nightly report", {}) and noise(INTERNAL, "x", {"job.kind": "cleaning"})
    assert Noise.from_settings(Settings(leave_out_noise=False)) is None


@pytest.mark.parametrize("rule", ["*", "/*", "@job.kind:", "@:x", "/internal; **"])
def test_rules_that_would_leave_out_everything_are_refused(rule: str) -> None:
    with pytest.raises(SettingsError, match="SPANFLOW_NOISE_RULES"):
        Settings.from_environ({"SPANFLOW_NOISE_RULES": rule})


def probed(gateway: TracedGateway, **more: Any) -> Span:
    with gateway.span("GET /health", kind=SERVER, attributes={**PROBE, **more}) as root:
        with gateway.span("SELECT 1", root, kind=CLIENT):
            pass
    return root


def test_a_probe_that_ends_well_is_nowhere_and_is_counted(
    redis_url: str, redis_client: "redis.Redis", postgres_dsn: str
) -> None:
    with TracedGateway(redis_url, archive_enabled=True, postgres_dsn=postgres_dsn) as gateway:
        for _ in range(3):
            probed(gateway)
        with gateway.span("POST /ask", kind=SERVER):
            pass
        assert gateway.pipeline.force_flush(5)
        counts = gateway.pipeline.counters
        assert (counts.left_out, counts.open_flows, counts.open_bytes) == (3, 0, 0)
        assert counts.intake.balanced and all(sink.balanced for sink in counts.sinks.values())
        rows = query(postgres_dsn, "SELECT name FROM omni2.interaction_flows")
        assert [row["name"] for row in rows] == ["POST /ask"]
        streams: Any = redis_client.keys("flow:*")
        assert len(streams) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        {"http.status_code": 503},
        {"http.status_code": 401},
        {"flow.outcome": "cancelled"},
    ],
)
def test_one_that_does_not_is_told_as_any_other(
    redis_url: str, redis_client: "redis.Redis", trouble: dict[str, Any]
) -> None:
    with TracedGateway(redis_url) as gateway:
        root = probed(gateway, **trouble)
        assert gateway.pipeline.force_flush(5)
        told = [(event["phase"], event.get("name")) for event in stream_of(redis_client, flow_id_of(root))]
        assert told == [("start", "GET /health"), ("start", "SELECT 1"), ("end", None), ("end", None)]
        assert gateway.pipeline.counters.left_out == 0


def test_an_error_in_a_step_is_told(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        with gateway.span("GET /health", kind=SERVER, attributes=PROBE) as root:
            with gateway.span("SELECT 1", root) as failing:
                failing.set_status(Status(StatusCode.ERROR, "no answer"))
        assert gateway.pipeline.force_flush(5)
        assert len(stream_of(redis_client, flow_id_of(root))) == 4


def test_a_health_check_that_asks_models_is_a_flow(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        with gateway.span("GET /health", kind=SERVER, attributes=PROBE) as root:
            with gateway.span("llm_thinking", root):
                pass
        assert gateway.pipeline.force_flush(5)
        assert len(stream_of(redis_client, flow_id_of(root))) == 4


@pytest.mark.parametrize(("outcome", "told"), [(None, 0), ("denied", 4), ("error", 4)])
def test_a_probe_that_signs_in_is_left_out_too_unless_it_is_refused(
    outcome: str | None, told: int, redis_url: str, redis_client: "redis.Redis"
) -> None:
    said = {} if outcome is None else {"flow.outcome": outcome}
    with TracedGateway(redis_url) as gateway:
        with gateway.span("GET /health", kind=SERVER, attributes=PROBE) as root:
            with gateway.span("auth_check", root, attributes=said):
                pass
        assert gateway.pipeline.force_flush(5)
        assert len(stream_of(redis_client, flow_id_of(root))) == told


def test_a_probe_that_hangs_is_seen_while_it_does(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        root = gateway.start("GET /health", kind=SERVER, attributes=PROBE)
        assert gateway.pipeline.force_flush(5)
        assert stream_of(redis_client, flow_id_of(root)) == []
        eventually(lambda: len(stream_of(redis_client, flow_id_of(root))) == 1, within=10)
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        assert len(stream_of(redis_client, flow_id_of(root))) == 2


@pytest.mark.parametrize(("step", "seen"), [("Received Proxy Server Request", False), ("llm_thinking", True)])
def test_one_that_has_answered_is_left_out_although_a_span_of_it_never_ends_unless_that_is_a_checkpoint(
    step: str, seen: bool, redis_url: str, redis_client: "redis.Redis"
) -> None:
    with TracedGateway(redis_url, flow_unfinished=6.0) as gateway:
        with gateway.span("GET /metrics", kind=SERVER, attributes=PROBE) as root:
            gateway.start(step, root)
        assert gateway.pipeline.force_flush(5)
        assert gateway.pipeline.counters.open_flows == 1
        if seen:
            eventually(lambda: len(stream_of(redis_client, flow_id_of(root))) == 3, within=10)
        eventually(lambda: gateway.pipeline.counters.open_flows == 0, within=15)
        assert gateway.pipeline.counters.left_out == int(not seen)
        assert bool(stream_of(redis_client, flow_id_of(root))) is seen


def test_what_makes_many_spans_is_no_probe(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        with gateway.span("GET /health", kind=SERVER, attributes=PROBE) as root:
            for _ in range(100):
                with gateway.span("SELECT 1", root):
                    pass
        assert gateway.pipeline.force_flush(5)
        assert len({event["node_id"] for event in stream_of(redis_client, flow_id_of(root))}) == 101


def test_late_work_of_a_probe_is_left_out_with_it(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        root = probed(gateway)
        assert gateway.pipeline.force_flush(5)
        with gateway.span("write to cache", root):
            pass
        assert gateway.pipeline.force_flush(5)
        assert stream_of(redis_client, flow_id_of(root)) == []
        with gateway.span("tool_call", root):
            pass
        assert gateway.pipeline.force_flush(5)
        assert len(stream_of(redis_client, flow_id_of(root))) == 2
        assert gateway.pipeline.counters.left_out == 1


def test_a_probe_that_says_who_it_is_is_told_in_order_when_it_fails(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    with TracedGateway(redis_url) as gateway:
        with gateway.span("GET /health", kind=SERVER, attributes=PROBE) as root:
            gateway.pipeline.identify(root.get_span_context().trace_id, Identity(user_id="7"))
            assert gateway.pipeline.force_flush(5)
            root.set_status(Status(StatusCode.ERROR))
        assert gateway.pipeline.force_flush(5)
        assert [event["phase"] for event in stream_of(redis_client, flow_id_of(root))] == ["start", "update", "end"]
        assert redis_client.zcard("flows:user:7") == 1


def test_it_can_be_switched_off(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url, leave_out_noise=False) as gateway:
        root = probed(gateway)
        assert gateway.pipeline.force_flush(5)
        assert len(stream_of(redis_client, flow_id_of(root))) == 4
