"""Server spans of mounted applications are named with the path of the mount."""

from collections.abc import Callable
from typing import Any

import fastapi
import httpx
import pytest
from opentelemetry import trace
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from tests.instrumentation.conftest import Recorded
from tests.support.asgi_server import serving

Start = Callable[..., Recorded]
#: FastAPI before 0.142 has no tracing of its own.
with_own_tracing = pytest.mark.skipif(not hasattr(fastapi.FastAPI(), "_telemetry"), reason="FastAPI is too old")


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("done")


async def raw(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("done")(scope, receive, send)


def api(**options: Any) -> Any:
    app = fastapi.FastAPI(**options)

    @app.get("/items/{item}")
    def items(item: str) -> str:
        return item

    return app


def names_of(recorded: Recorded) -> list[tuple[str, Any]]:
    servers = [span for span in recorded.spans if span.kind is trace.SpanKind.SERVER]
    return [(span.name, (span.attributes or {}).get("http.route")) for span in servers]


@pytest.mark.parametrize("disabled", ["", pytest.param("fastapi", marks=with_own_tracing)])
def test_what_is_mounted_in_fastapi(started: Start, disabled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", disabled)
    recorded = started()
    outer, middle = api(), api()
    middle.mount("/inner", api())
    outer.mount("/api", middle)
    outer.mount("/plain", Starlette(routes=[Route("/word/{word}", answer)]))
    with serving(outer) as address:
        for path in ("/items/1", "/api/items/1", "/api/inner/items/1", "/plain/word/1"):
            assert httpx.get(f"http://{address}{path}").status_code == 200
    paths = ["/items/{item}", "/api/items/{item}", "/api/inner/items/{item}", "/plain/word/{word}"]
    assert [name for name, _ in names_of(recorded)] == [f"GET {path}" for path in paths]
    if not disabled:  # FastAPI's own tracing has words of its own there
        assert [route for _, route in names_of(recorded)] == paths


def test_fastapi_that_is_mounted_in_starlette(started: Start) -> None:
    recorded = started()
    with serving(Starlette(routes=[Mount("/api", app=api())])) as address:
        httpx.get(f"http://{address}/api/items/1")
    assert names_of(recorded) == [("GET /api/items/{item}", "/api/items/{item}")]


def test_an_application_without_routes_is_named_by_the_mount(started: Start) -> None:
    recorded = started()
    outer = api()
    outer.mount("/mcp", raw)
    with serving(outer) as address:
        httpx.get(f"http://{address}/mcp/messages/5b8aa5a2d2c872e8")
    assert names_of(recorded) == [("GET /mcp", "/mcp")]


def test_a_proxys_path_is_no_mount(started: Start) -> None:
    recorded = started()
    outer = api()
    outer.mount("/api", api())
    with serving(outer, root_path="/behind/proxy") as address:
        for path in ("/items/1", "/api/items/1"):
            httpx.get(f"http://{address}{path}")
    assert names_of(recorded) == [
        ("GET /items/{item}", "/items/{item}"),
        ("GET /api/items/{item}", "/api/items/{item}"),
    ]


def test_a_name_of_the_applications_own_stays(started: Start) -> None:
    recorded = started()
    inner = fastapi.FastAPI()

    @inner.middleware("http")
    async def named(request: Request, call_next: Any) -> Any:
        trace.get_current_span().update_name("mine")
        return await call_next(request)

    inner.add_route("/items", answer)
    with serving(Starlette(routes=[Mount("/api", app=inner)])) as address:
        httpx.get(f"http://{address}/api/items")
    assert [name for name, _ in names_of(recorded)] == ["mine"]
