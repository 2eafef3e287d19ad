"""A gateway that instruments its application itself, with hooks and exclusions of its own, as LiteLLM does."""

from collections.abc import Callable
from typing import Any

import fastapi
import httpx
import pytest
from fastapi import FastAPI
from inline_snapshot import snapshot
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.trace import Span

from spanflow.instrumentation import shutdown
from tests.instrumentation.conftest import Recorded
from tests.support.asgi_server import serving

Start = Callable[..., Recorded]


def gateway(**own: Any) -> FastAPI:
    app = fastapi.FastAPI()

    @app.get("/ask")
    async def ask() -> str:
        return "yes"

    @app.get("/health")
    async def health() -> str:
        return "well"

    FastAPIInstrumentor.instrument_app(app, **own)
    return app


def test_its_own_hooks_are_called_and_its_exclusions_hold(started: Start) -> None:
    recorded = started()

    def name_it(span: Span, scope: dict[str, Any]) -> None:
        span.set_attribute("asked", scope["path"])

    with serving(gateway(server_request_hook=name_it, excluded_urls="health")) as address:
        assert [httpx.get(f"http://{address}/{path}").json() for path in ("ask", "health")] == ["yes", "well"]
    assert recorded.tree(["asked"]) == snapshot(
        [{"name": "GET /ask", "kind": "server", "attributes": {"asked": "/ask"}}]
    )


def test_instrumented_once_more_it_still_has_one_server_span(started: Start, caplog: pytest.LogCaptureFixture) -> None:
    recorded = started()
    app = gateway()
    FastAPIInstrumentor.instrument_app(app)
    with serving(app) as address:
        httpx.get(f"http://{address}/ask")
    assert recorded.tree([]) == snapshot([{"name": "GET /ask", "kind": "server", "attributes": {}}])
    assert "already instrumented" in caplog.text


def test_afterwards_instrumenting_is_what_it_was(started: Start) -> None:
    before = FastAPIInstrumentor.__dict__["instrument_app"]
    started()
    assert FastAPIInstrumentor.__dict__["instrument_app"] is not before
    shutdown()
    assert FastAPIInstrumentor.__dict__["instrument_app"] is before


def test_an_application_that_is_built_differently_starts_as_without_us(started: Start) -> None:
    started()

    class Frozen(FastAPI):
        """Whatever cannot be taken back stays as it is."""

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "_is_instrumented_by_opentelemetry" and value is False:
                raise AttributeError("frozen")
            super().__setattr__(name, value)

    app = Frozen()
    app.__dict__["_is_instrumented_by_opentelemetry"] = True
    FastAPIInstrumentor.instrument_app(app)
