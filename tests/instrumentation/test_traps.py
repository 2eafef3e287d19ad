"""Traps of OpenTelemetry and FastAPI that no other test walks into. `tests/traps.md` lists them all."""

import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import fastapi
import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from spanflow.instrumentation import shutdown
from spanflow.instrumentation.startup import start
from spanflow.span_processors.pipeline import Pipeline
from spanflow.span_processors.settings import Settings
from tests.instrumentation.test_fastapi import with_own_tracing
from tests.support.asgi_server import serving
from tests.support.checkout import ROOT
from tests.support.mirrored import ended_names, flows_of
from tests.support.poll import eventually

BOTH_KINDS = pytest.mark.parametrize(
    "disabled", ["", pytest.param("fastapi", marks=with_own_tracing)], ids=["instrumentation", "own tracing"]
)


def gateway() -> fastapi.FastAPI:
    app = fastapi.FastAPI()

    @app.get("/ask")
    async def ask() -> str:
        return "asked"

    @app.get("/boom")
    async def boom() -> None:
        raise ValueError("password=hunter2")

    return app


@pytest.fixture
def mirrored(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], list[dict[str, Any]]]]:
    """Asks for a path under FastAPI's own tracing or the instrumentation; the events of the flow."""

    def ask(path: str, disabled: str) -> list[dict[str, Any]]:
        monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", disabled)
        assert start(Settings(enabled=True, archive_enabled=False, redis_url=redis_url)) is not None
        with serving(gateway()) as address:
            httpx.get(f"http://{address}{path}", headers={"X-User-Id": "ann"})

        def ended() -> list[dict[str, Any]]:
            [events] = flows_of(redis_url, "ann").values() or [[]]
            return events if ended_names(events) else []

        return eventually(ended)

    yield ask
    shutdown()


@BOTH_KINDS
def test_a_token_in_the_address_is_recorded_nowhere(
    disabled: str, mirrored: Callable[[str, str], list[dict[str, Any]]]
) -> None:
    events = mirrored("/ask?token=abcdef0123456789&q=apollo", disabled)
    assert "abcdef0123456789" not in str(events)
    assert "GET /ask" in str(events)


@BOTH_KINDS
def test_an_exception_is_on_the_flow_however_it_was_told_and_without_its_secret(
    disabled: str, mirrored: Callable[[str, str], list[dict[str, Any]]]
) -> None:
    events = mirrored("/boom", disabled)
    end = next(event for event in events if event["phase"] == "end")
    assert end["status"] == "error"
    assert "ValueError" in str(end)
    assert "hunter2" not in str(events)


def test_a_fault_of_ours_hides_no_span_from_the_exporter_behind_us(
    fresh_otel: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("a fault of Spanflow's own")

    provider, behind = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    trace.set_tracer_provider(provider)
    monkeypatch.setattr(Pipeline, "span_started", fault)
    monkeypatch.setattr(Pipeline, "span_ended", fault)
    assert start(Settings(enabled=True, mirror_enabled=False, archive_enabled=False)) is not None
    provider.add_span_processor(SimpleSpanProcessor(behind))
    with provider.get_tracer("gateway").start_as_current_span("auth_check"):
        pass
    shutdown()
    provider.shutdown()
    assert [span.name for span in behind.get_finished_spans()] == ["auth_check"]


def test_nothing_that_we_require_forces_older_or_unfinished_packages() -> None:
    """opentelemetry-distro pins an older release than the SDK's newest: together they cannot be installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    others = [name for name in required if not name.startswith("spanflow-")]
    assert not [name for name in others if name.startswith("opentelemetry-distro") or "==" in name]
