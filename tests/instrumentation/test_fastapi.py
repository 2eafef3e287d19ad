"""A FastAPI gateway under Spanflow, over real sockets: its flows as whole trees."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import version
from typing import Any

import fastapi
import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.responses import StreamingResponse
from inline_snapshot import snapshot
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from packaging.version import Version

from spanflow.instrumentation import checkpoint, checkpoint_stream, configure, identify
from tests.instrumentation.conftest import Recorded
from tests.support.asgi_server import serving
from tests.support.poll import eventually

Start = Callable[..., Recorded]
#: FastAPI before 0.142 has no tracing of its own.
with_own_tracing = pytest.mark.skipif(not hasattr(fastapi.FastAPI(), "_telemetry"), reason="FastAPI is too old")
SHOWN = ["user.id", "session.id", "flow.source", "flow.checkpoint.type", "flow.outcome", "http.route"]


def gateway(**options: Any) -> Any:
    """As an unchanged gateway makes its application: whatever `fastapi.FastAPI` is by then."""
    app = fastapi.FastAPI(**options)
    tracer = trace.get_tracer("gateway")

    @app.get("/ask/{name}")
    async def ask(name: str) -> dict[str, str]:
        with tracer.start_as_current_span("auth_check"):
            pass
        with checkpoint("tool_call", tool="lookup"):
            return {"hello": name}

    add_streams(app)
    add_late_work(app)

    @app.get("/boom")
    async def boom() -> None:
        raise ValueError("password=hunter2")

    @app.get("/who")
    def who() -> str:
        identify(user_id="from-code", conversation_id="c-1")
        return "ok"

    return app


def add_streams(app: FastAPI) -> None:
    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def tokens() -> AsyncIterator[str]:
            for number in range(3):
                await asyncio.sleep(0)
                yield f"data: {number}\n\n"

        return StreamingResponse(checkpoint_stream("llm_thinking", tokens), media_type="text/event-stream")

    @app.get("/endless")
    async def endless() -> StreamingResponse:
        async def tokens() -> AsyncIterator[str]:
            while True:
                yield "data: x\n\n"
                await asyncio.sleep(0.01)

        return StreamingResponse(checkpoint_stream("llm_thinking", tokens), media_type="text/event-stream")


def add_late_work(app: FastAPI) -> None:
    def yielding() -> Iterator[str]:
        with checkpoint("block_check"):
            yield "dependency"

    @app.get("/late")
    async def late(background: BackgroundTasks, what: str = Depends(yielding)) -> str:
        def afterwards() -> None:
            with checkpoint("usage_check"):
                pass

        async def alone() -> None:
            await asyncio.sleep(0.05)
            with checkpoint("llm_complete"):
                pass

        background.add_task(afterwards)
        app.state.task = asyncio.create_task(alone())
        return what


def test_an_unchanged_gateway_gives_one_tree_per_request(started: Start) -> None:
    recorded = started()
    with serving(gateway()) as address:
        answer = httpx.get(
            f"http://{address}/ask/ann",
            headers={"X-User-Id": "7", "X-User-Email": "a@b.c", "X-Session-Id": "s-1", "X-Source": "web"},
        )
    assert answer.json() == {"hello": "ann"}
    assert recorded.tree(SHOWN) == snapshot(
        [
            {
                "name": "GET /ask/{name}",
                "kind": "server",
                "attributes": {"flow.source": "web", "http.route": "/ask/{name}", "session.id": "s-1", "user.id": "7"},
                "children": [
                    {
                        "name": "auth_check",
                        "kind": "internal",
                        "attributes": {"flow.source": "web", "session.id": "s-1", "user.id": "7"},
                    },
                    {
                        "name": "tools/call lookup",
                        "kind": "client",
                        "attributes": {
                            "flow.checkpoint.type": "tool_call",
                            "flow.outcome": "ok",
                            "flow.source": "web",
                            "session.id": "s-1",
                            "user.id": "7",
                        },
                    },
                ],
            }
        ]
    )


def test_the_team_comes_with_a_header_of_a_trusted_peer(started: Start) -> None:
    recorded = started()
    with serving(gateway()) as address:
        httpx.get(f"http://{address}/ask/ann", headers={"X-User-Id": "7", "X-User-Team": "research"})
    (root,) = [span.attributes or {} for span in recorded.spans if span.parent is None]
    assert (root["user.id"], root["user.team"]) == ("7", "research")
    assert not any("user.team" in (span.attributes or {}) for span in recorded.spans if span.parent is not None)


@with_own_tracing
def test_fastapis_own_tracing_is_used_when_the_instrumentation_is_off(
    started: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "fastapi")
    recorded = started()
    with serving(gateway()) as address:
        httpx.get(f"http://{address}/ask/ann", headers={"X-User-Id": "7"})
        httpx.get(f"http://{address}/stream")
    assert recorded.tree(SHOWN) == snapshot(
        [
            {
                "name": "GET /ask/{name}",
                "kind": "server",
                "attributes": {"http.route": "/ask/{name}", "user.id": "7"},
                "children": [
                    {"name": "auth_check", "kind": "internal", "attributes": {"user.id": "7"}},
                    {
                        "name": "tools/call lookup",
                        "kind": "client",
                        "attributes": {"flow.checkpoint.type": "tool_call", "flow.outcome": "ok", "user.id": "7"},
                    },
                ],
            },
            {
                "name": "GET /stream",
                "kind": "server",
                "attributes": {"http.route": "/stream"},
                "children": [
                    {
                        "name": "llm_thinking",
                        "kind": "client",
                        "attributes": {"flow.checkpoint.type": "llm_thinking", "flow.outcome": "ok"},
                    }
                ],
            },
        ]
    )


@with_own_tracing
def test_fastapis_operation_spans_on_request(started: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "fastapi")
    recorded = started(fastapi_operation_spans=True)
    with serving(gateway()) as address:
        httpx.get(f"http://{address}/ask/ann")
    assert recorded.outline() == snapshot(
        [
            "GET /ask/{name}",
            "  fastapi.dependencies",
            "  fastapi.endpoint",
            "    auth_check",
            "    tools/call lookup [ok]",
            "  fastapi.serialization",
        ]
    )


def test_a_span_for_each_message_only_on_request(started: Start) -> None:
    recorded = started(fastapi_message_spans=True)
    with serving(gateway()) as address:
        httpx.get(f"http://{address}/stream")
    assert len([span for span in recorded.spans if span.name.endswith("http send")]) > 3


def test_a_stream_is_one_step_however_many_chunks(started: Start) -> None:
    recorded = started()
    with serving(gateway()) as address:
        assert httpx.get(f"http://{address}/stream").text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert recorded.outline() == snapshot(["GET /stream", "  llm_thinking [ok]"])


@pytest.mark.parametrize("disabled", ["", pytest.param("fastapi", marks=with_own_tracing)])
def test_a_client_that_leaves_ends_the_flow_as_cancelled(
    started: Start, disabled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", disabled)
    recorded = started()
    with serving(gateway()) as address:
        with httpx.stream("GET", f"http://{address}/endless") as answer:
            next(answer.iter_bytes())
        eventually(lambda: len(recorded.spans) == 2)
    assert recorded.outline() == snapshot(["GET /endless [cancelled]", "  llm_thinking [cancelled]"])


def test_work_after_the_response_belongs_to_the_flow(started: Start, caplog: pytest.LogCaptureFixture) -> None:
    recorded = started()
    with serving(gateway()) as address:
        httpx.get(f"http://{address}/late", headers={"X-User-Id": "7"})
        eventually(lambda: "llm_complete [ok]" in str(recorded.outline()))
    outline = recorded.outline()
    if Version(version("opentelemetry-instrumentation-fastapi")) < Version("0.63b0"):
        # It makes no span of a background task.
        assert outline == snapshot(["GET /late", "  block_check [ok]", "  usage_check [ok]", "  llm_complete [ok]"])
    else:
        assert outline == snapshot(
            [
                "GET /late",
                "  block_check [ok]",
                "  BackgroundTask afterwards",
                "    usage_check [ok]",
                "  llm_complete [ok]",
            ]
        )
    assert {(span.attributes or {}).get("user.id") for span in recorded.spans} == {"7"}
    assert caplog.records == []


def test_identity_from_code_in_a_thread_pool_reaches_the_server_span(started: Start) -> None:
    recorded = started()
    with serving(gateway()) as address:
        httpx.get(f"http://{address}/who")
    assert recorded.tree(SHOWN) == snapshot(
        [
            {
                "name": "GET /who",
                "kind": "server",
                "attributes": {"http.route": "/who", "session.id": "c-1", "user.id": "from-code"},
            }
        ]
    )


def test_a_failing_request_is_one_flow_with_its_error(started: Start) -> None:
    recorded = started()
    with serving(gateway()) as address:
        assert httpx.get(f"http://{address}/boom").status_code == 500
    (root,) = recorded.spans
    assert root.status.status_code.name == "ERROR"


def test_a_mounted_application_is_part_of_the_same_request(started: Start) -> None:
    recorded = started()
    app = gateway()
    app.mount("/sub", gateway())
    with serving(app) as address:
        httpx.get(f"http://{address}/sub/ask/ann", headers={"X-User-Id": "7"})
    assert len(recorded.trace_ids()) == 1
    assert {(span.attributes or {}).get("user.id") for span in recorded.spans} == {"7"}


def test_pipelined_requests_are_separate_flows(started: Start) -> None:
    recorded = started()

    async def pipelined(address: str) -> bytes:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        one = b"GET /ask/one HTTP/1.1\r\nHost: x\r\nX-User-Id: 1\r\n\r\n"
        two = b"GET /ask/two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        writer.write(one + two)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    with serving(gateway()) as address:
        answer = asyncio.run(pipelined(address))
    assert answer.count(b"200 OK") == 2
    assert len(recorded.trace_ids()) == 2
    assert recorded.tree(["user.id"]) == snapshot(
        [
            {
                "name": "GET /ask/{name}",
                "kind": "server",
                "attributes": {"user.id": "1"},
                "children": [
                    {"name": "auth_check", "kind": "internal", "attributes": {"user.id": "1"}},
                    {"name": "tools/call lookup", "kind": "client", "attributes": {"user.id": "1"}},
                ],
            },
            {
                "name": "GET /ask/{name}",
                "kind": "server",
                "attributes": {},
                "children": [
                    {"name": "auth_check", "kind": "internal", "attributes": {}},
                    {"name": "tools/call lookup", "kind": "client", "attributes": {}},
                ],
            },
        ]
    )


def test_a_dependency_with_yield_is_a_step_and_not_the_parent_of_the_rest(started: Start) -> None:
    recorded = started()
    app = fastapi.FastAPI()

    @checkpoint("auth_check")
    async def session() -> AsyncIterator[str]:
        with checkpoint("security_check"):
            pass
        yield "session"

    @checkpoint("usage_check")
    def budget() -> Iterator[int]:
        yield 1

    @app.get("/")
    @checkpoint("llm_thinking")
    async def route(first: str = Depends(session), second: int = Depends(budget)) -> str:
        return f"{first} {second}"

    with serving(app) as address:
        assert httpx.get(f"http://{address}/").json() == "session 1"
        eventually(lambda: len(recorded.spans) == 5)
    assert recorded.outline() == snapshot(
        [
            "GET /",
            "  auth_check [ok]",
            "    security_check [ok]",
            "  usage_check [ok]",
            "  llm_thinking [ok]",
        ]
    )


def test_every_flow_is_recorded_though_nothing_is_exported(started: Start) -> None:
    recorded = started(sampler=ALWAYS_OFF)
    with serving(gateway()) as address:
        httpx.get(f"http://{address}/ask/ann")
    assert recorded.outline() == snapshot(["GET /ask/{name}", "  auth_check", "  tools/call lookup [ok]"])
    assert {span.context.trace_flags.sampled for span in recorded.spans if span.context} == {False}


def test_configure_after_the_application_was_made_and_twice(
    started: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = gateway()
    recorded = started()
    assert configure(app)
    assert configure(app)
    with caplog.at_level(logging.WARNING), serving(app) as address:
        httpx.get(f"http://{address}/ask/ann")
        assert configure(app)
        httpx.get(f"http://{address}/ask/ann")
    assert recorded.outline() == snapshot(
        [
            "GET /ask/{name}",
            "  auth_check",
            "  tools/call lookup [ok]",
            "GET /ask/{name}",
            "  auth_check",
            "  tools/call lookup [ok]",
        ]
    )
    assert caplog.records == []


def test_a_request_of_an_included_router_is_named_by_its_route(started: Start) -> None:
    recorded = started()
    app, router = fastapi.FastAPI(), fastapi.APIRouter()

    @router.get("/items/{item}")
    async def item(item: str) -> str:
        return item

    app.include_router(router, prefix="/v1")
    with serving(app) as address:
        assert httpx.get(f"http://{address}/v1/items/7").text == '"7"'
        assert httpx.post(f"http://{address}/v1/items/7").status_code == 405
        assert httpx.get(f"http://{address}/nowhere").status_code == 404
    assert recorded.outline() == snapshot(["GET /v1/items/{item}", "POST /v1/items/{item}", "GET /nowhere"])


def test_an_application_of_a_module_that_took_the_name_before(started: Start) -> None:
    from fastapi.applications import FastAPI as TakenBefore

    recorded = started()
    app = TakenBefore()
    mounted = TakenBefore()
    app.mount("/sub", mounted)

    @mounted.get("/ask")
    async def ask() -> str:
        return "ok"

    with serving(app) as address:
        httpx.get(f"http://{address}/sub/ask")
    assert recorded.tree(["http.method"]) == snapshot(
        [{"name": "GET /sub/ask", "kind": "server", "attributes": {"http.method": "GET"}}]
    )


@with_own_tracing
def test_an_application_that_wants_no_tracing_gets_none(started: Start) -> None:
    from fastapi.applications import FastAPI as TakenBefore

    recorded = started()
    with serving(TakenBefore(telemetry={"tracing": False})) as address:
        httpx.get(f"http://{address}/")
    assert recorded.spans == ()


@with_own_tracing
def test_fastapis_second_exporter_stays_off(
    started: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    recorded = started()
    with caplog.at_level(logging.WARNING), serving(gateway()) as address:
        httpx.get(f"http://{address}/ask/ann")
    assert recorded.outline() == snapshot(["GET /ask/{name}", "  auth_check", "  tools/call lookup [ok]"])
    assert "FASTAPI_OTEL_AUTO_CONFIGURE" in caplog.text


def test_a_plain_generator_in_the_thread_pool(started: Start, caplog: pytest.LogCaptureFixture) -> None:
    recorded = started()
    app = fastapi.FastAPI()

    @checkpoint("llm_thinking")
    def tokens() -> Iterator[str]:
        for number in range(3):
            with checkpoint("tool_call", tool=number):
                yield str(number)

    @app.get("/")
    def stream() -> StreamingResponse:
        return StreamingResponse(tokens())

    with serving(app) as address:
        assert httpx.get(f"http://{address}/").text == "012"
    assert recorded.outline() == snapshot(
        ["GET /", "  llm_thinking [ok]", "    tools/call 0 [ok]", "    tools/call 1 [ok]", "    tools/call 2 [ok]"]
    )
    assert caplog.records == []
