"""OTLP beside our own sinks: only where it is configured, with its own sampling, and without secrets."""

import os
from pathlib import Path

import httpx
import pytest

from spanflow.instrumentation.exporting import choose_defaults
from tests.instrumentation.test_process_models import MODELS, WHOLE, ask, environment, whole_flows
from tests.support.gateway_process import gateway_process
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
