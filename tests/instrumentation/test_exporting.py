"""OTLP beside our own sinks: only where it is configured, with its own sampling, and without secrets."""

import logging
import os
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from opentelemetry._logs import get_logger_provider
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from packaging.version import Version

from spanflow.instrumentation.configurator import SpanflowConfigurator
from spanflow.instrumentation.exporting import choose_defaults
from spanflow.span_processors.settings import Settings
from tests.instrumentation.test_process_models import MODELS, WHOLE, ask, environment, whole_flows
from tests.support.gateway_process import gateway_process
from tests.support.log_records import log_record
from tests.support.otlp_receiver import otlp_receiver
from tests.support.poll import eventually


def test_an_endpoint_is_enough_and_secrets_stay_here(redis_url: str, tmp_path: Path) -> None:
    with otlp_receiver() as (receiver, endpoint):
        settings = environment(redis_url, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_BSP_SCHEDULE_DELAY="100")
        with gateway_process(MODELS["uvicorn"], tmp_path / "log", settings) as gateway:
            ask(gateway, 2)
            httpx.get(f"{gateway.url}/ask?token=abcdef0123456789")
            eventually(lambda: whole_flows(redis_url, 2))
        assert receiver.names == sorted(WHOLE * 3)
    assert b"ann" in receiver.raw
    assert b"abcdef0123456789" not in receiver.raw


def test_spans_of_a_watched_user_say_so(redis_url: str, tmp_path: Path) -> None:
    """By that a Collector keeps their flows, whatever share of the rest it keeps."""
    with redis.Redis.from_url(redis_url) as server:
        server.sadd("monitored_users", "ann")
    with otlp_receiver() as (receiver, endpoint):
        settings = environment(redis_url, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_BSP_SCHEDULE_DELAY="100")
        with gateway_process(MODELS["uvicorn"], tmp_path / "log", settings) as gateway:
            ask(gateway, 1)
            eventually(lambda: whole_flows(redis_url, 1))
            ask(gateway, 1)
            httpx.get(f"{gateway.url}/ask", headers={"X-User-Id": "bob"}).raise_for_status()
            eventually(lambda: whole_flows(redis_url, 2))
    flows = {span.trace_id for span in receiver.spans if _of(span, "user.id").string_value == "ann"}
    marked = {span.trace_id for span in receiver.spans if _of(span, "flow.monitored").bool_value}
    assert marked and marked <= flows


def _of(span: Any, key: str) -> AnyValue:
    """An attribute's value, or one that says nothing."""
    return next((pair.value for pair in span.attributes if pair.key == key), AnyValue())


def test_log_records_leave_without_content_and_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newer instrumentations of models send what was said as events, which are log records."""
    with otlp_receiver() as (receiver, endpoint):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
        # Before 1.30 there is no logger provider without that; later it is about the logging module only.
        if Version(version("opentelemetry-sdk")) < Version("1.30"):
            monkeypatch.setenv("OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED", "true")
            monkeypatch.setattr(logging.root, "handlers", [*logging.root.handlers])
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment=blue,password=hidden-1")
        SpanflowConfigurator().configure_sdk(Settings(enabled=True))  # type: ignore[no-untyped-call]
        provider: Any = get_logger_provider()
        log = provider.get_logger("library token=hidden-2")
        details = "gen_ai.client.inference.operation.details"
        said = {"gen_ai.input.messages": "hidden-3", "content": "hidden-4", "gen_ai.request.model": "big-model"}
        log.emit(log_record(event_name=details, attributes=said, body={"content": "hidden-5"}))
        log.emit(log_record(attributes={"event.name": "gen_ai.choice", "index": 0}, body={"message": "hidden-6"}))
        failed: dict[str, Any] = {"message": "it failed", "cause": ["password=hidden-7"], "pwd": "hidden-8"}
        log.emit(log_record(body=failed, attributes={"note": "token=hidden-9", "api_key": "hidden-10"}))
        provider.shutdown()
    assert re.findall(rb"hidden-\d+", receiver.raw) == []
    kept = (b"blue", b"library", details.encode(), b"big-model", b"gen_ai.choice", b"it failed", b"note")
    assert [word for word in kept if word not in receiver.raw] == []


def test_the_export_keeps_its_own_sampling(redis_url: str, tmp_path: Path) -> None:
    with otlp_receiver() as (receiver, endpoint):
        settings = environment(
            redis_url,
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
            OTEL_TRACES_SAMPLER="parentbased_traceidratio",
            OTEL_TRACES_SAMPLER_ARG="0.0",
        )
        with gateway_process(MODELS["uvicorn"], tmp_path / "log", settings) as gateway:
            ask(gateway, 3)
            eventually(lambda: whole_flows(redis_url, 3))
        assert receiver.spans == []


def test_a_collector_that_is_away_costs_no_flow(redis_url: str, tmp_path: Path) -> None:
    settings = environment(redis_url, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TIMEOUT="1")
    with gateway_process(MODELS["uvicorn"], tmp_path / "log", settings) as gateway:
        ask(gateway, 3)
        eventually(lambda: whole_flows(redis_url, 3))


def test_what_is_configured_stays(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
    choose_defaults()
    assert os.environ["OTEL_TRACES_EXPORTER"] == "console"
    assert os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc"


def test_without_an_endpoint_nothing_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    monkeypatch.delenv("OTEL_TRACES_EXPORTER", raising=False)
    choose_defaults()
    assert "OTEL_TRACES_EXPORTER" not in os.environ
