"""Starting inside this process: once, over whatever provider there is, and back again."""

import logging
from typing import Any

import fastapi
import pytest
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider

from spanflow.instrumentation import checkpoint, configure, shutdown
from spanflow.instrumentation.identity_processor import IdentitySpanProcessor
from spanflow.instrumentation.propagation import EdgePropagator
from spanflow.instrumentation.runtime import runtime
from spanflow.instrumentation.startup import enabled_settings, pre_instrument, start, started
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings

QUIET = Settings(enabled=True, mirror_enabled=False, archive_enabled=False)


@pytest.fixture(autouse=True)
def stopped_afterwards(fresh_otel: None) -> Any:
    yield
    shutdown()
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()


def processors(provider: Any) -> list[type]:
    return [type(processor) for processor in provider._active_span_processor._span_processors]


def test_starting_twice_adds_our_processors_once() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    first = start(QUIET)
    assert start(QUIET) is first
    assert configure(settings=QUIET)
    assert processors(provider) == [IdentitySpanProcessor, FlowSpanProcessor]


def test_without_a_provider_one_is_made() -> None:
    assert configure(settings=QUIET)
    assert isinstance(trace.get_tracer_provider(), TracerProvider)


def test_a_provider_that_takes_no_processors_is_named(caplog: pytest.LogCaptureFixture) -> None:
    trace.set_tracer_provider(trace.NoOpTracerProvider())
    with caplog.at_level(logging.ERROR, logger="spanflow"):
        assert not configure(settings=QUIET)
    assert "NoOpTracerProvider takes no span processors" in caplog.text
    assert started() is None


def test_a_provider_of_somebody_elses_kind_is_used(caplog: pytest.LogCaptureFixture) -> None:
    class Vendors(trace.TracerProvider):
        def __init__(self) -> None:
            self.added: list[Any] = []

        def add_span_processor(self, processor: Any) -> None:
            self.added.append(processor)

        def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
            return trace.NoOpTracer()

    vendors = Vendors()
    trace.set_tracer_provider(vendors)
    with caplog.at_level(logging.WARNING, logger="spanflow"):
        assert start(QUIET) is not None
    assert [type(processor) for processor in vendors.added] == [IdentitySpanProcessor, FlowSpanProcessor]
    assert "The sampler of Vendors cannot be seen" in caplog.text


def test_tracers_that_were_made_before_record_everything_too() -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    early = trace.get_tracer("early")
    start(QUIET)
    assert early.start_span("x").is_recording()


def test_stopping_undoes_what_can_be_undone() -> None:
    before = (fastapi.FastAPI, fastapi.applications.FastAPI.__call__, propagate.get_global_textmap(), runtime())
    assert configure(settings=QUIET)
    assert fastapi.FastAPI is not before[0]
    assert isinstance(propagate.get_global_textmap(), EdgePropagator)
    assert shutdown()
    after = (fastapi.FastAPI, fastapi.applications.FastAPI.__call__, propagate.get_global_textmap(), runtime())
    assert after == before
    with checkpoint("auth_check"):
        pass


def test_code_switches_it_on_and_the_environment_may_switch_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert enabled_settings() is None
    assert enabled_settings(explicit=True) is not None
    monkeypatch.setenv("SPANFLOW_ENABLED", "false")
    assert enabled_settings(explicit=True) is None
    assert not configure()
    assert not configure(settings=Settings.from_environ())


def test_the_entry_point_does_nothing_when_it_is_off() -> None:
    pre_instrument()
    assert started() is None
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_something_that_is_no_fastapi_application_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="spanflow"):
        assert configure(object(), settings=QUIET)
    assert "object is not a FastAPI application; wrap it in EdgeMiddleware instead" in caplog.text
