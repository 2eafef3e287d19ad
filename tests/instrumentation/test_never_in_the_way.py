"""Whatever breaks on our side, the gateway answers byte for byte what it answers without us."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import fastapi
import pytest
from fastapi import BackgroundTasks, Depends, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from mcp import Client
from mcp.server import MCPServer
from opentelemetry import baggage, context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from spanflow.instrumentation import (
    ActivityTracker,
    FlowTracker,
    checkpoint,
    checkpoint_stream,
    current_checkpoint,
    flow,
    identify,
    record_assistant_response,
    record_tool_call,
    record_tool_response,
    record_user_message,
    shutdown,
)
from spanflow.instrumentation.asgi import EdgeGuard
from spanflow.instrumentation.body_user import BodyUser, BodyWatch
from spanflow.instrumentation.exporting import redacted_batches
from spanflow.instrumentation.extractors import Extractors, HeaderExtractor
from spanflow.instrumentation.identity_processor import IdentitySpanProcessor
from spanflow.instrumentation.jwt_claims import JwtClaims
from spanflow.instrumentation.known_flows import KnownFlow, KnownFlows
from spanflow.instrumentation.mcp_propagation import McpPropagation
from spanflow.instrumentation.propagation import EdgePropagator
from spanflow.instrumentation.runtime import GlobalTracer, Runtime
from spanflow.instrumentation.startup import start
from spanflow.instrumentation.trusted_peers import TrustedPeers
from spanflow.instrumentation.turns import Turns
from spanflow.span_processors.archive.archive import ArchiveSink
from spanflow.span_processors.encoding.encoder import Encoder
from spanflow.span_processors.encoding.mapping import SpanMapping
from spanflow.span_processors.pipeline import Pipeline
from spanflow.span_processors.redaction.redacting_exporter import RedactingExporter
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.redis.mirror import Mirror
from spanflow.span_processors.redis.watched import WatchedUsers
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.stages.intake import Intake
from tests.support.asgi_server import serving
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy

pytestmark = pytest.mark.usefixtures("fresh_mcp_tracer")

tracer = trace.get_tracer("gateway")

REQUESTS = [
    b"GET /ask?q=1 HTTP/1.1\r\n",
    b"GET /denied HTTP/1.1\r\n",
    b"GET /boom HTTP/1.1\r\n",
    b"GET /stream HTTP/1.1\r\n",
    b"GET /broken-stream HTTP/1.1\r\n",
    b"GET /dependency HTTP/1.1\r\n",
    b"GET /number/notanumber HTTP/1.1\r\n",
    b"HEAD /ask HTTP/1.1\r\n",
    b"GET /nowhere HTTP/1.1\r\n",
    b"GET /said HTTP/1.1\r\n",
    b"GET /older HTTP/1.1\r\n",
    b"GET /tool HTTP/1.1\r\n",
    b"POST /body HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 14\r\n",
]
BODY = b'{"user":"joe"}'
HEADERS = (
    b"Host: gateway\r\nConnection: close\r\nX-User-Id: ann\r\n"
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\nbaggage: a=1\r\n\r\n"
)


def gateway() -> fastapi.FastAPI:
    app = fastapi.FastAPI()
    add_plain(app)
    add_streams(app)
    add_trackers(app)
    return app


def add_plain(app: fastapi.FastAPI) -> None:
    def dependency() -> Iterator[str]:
        with checkpoint("block_check"):
            yield "dependency"

    @app.get("/ask")
    async def ask(q: str = "") -> dict[str, str]:
        identify(user_id="bob", email="bob@example.com")
        with checkpoint("auth_check", q=q) as step, tracer.start_as_current_span("plain"):
            step.set(token="secret").deny("no").fail(ValueError("x"))
        with flow("turn", conversation_id="c"):
            decorated(1)
        return {"q": q}

    @checkpoint("tool_call", tool="t")
    def decorated(number: int) -> int:
        current_checkpoint().set(number=number)
        return number

    @app.get("/denied")
    async def denied() -> None:
        with checkpoint("usage_check"):
            raise HTTPException(429, "budget used up")

    @app.get("/boom")
    async def boom() -> None:
        with checkpoint("llm_thinking"):
            raise ValueError("password=hunter2")

    @app.get("/dependency")
    async def with_dependency(background: BackgroundTasks, what: str = Depends(dependency)) -> str:
        background.add_task(decorated, 2)
        return what

    @app.post("/body")
    async def body(document: dict[str, str]) -> dict[str, str]:
        return document

    @app.get("/number/{number}")
    async def number(number: int) -> int:
        return number


def add_streams(app: fastapi.FastAPI) -> None:
    async def tokens(error: Exception | None = None) -> Any:
        for number in range(3):
            with checkpoint("tool_call"):
                await asyncio.sleep(0)
            yield f"{number}\n"
        if error is not None:
            raise error

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(checkpoint_stream("llm_thinking", tokens, model="m"))

    @app.get("/broken-stream")
    async def broken_stream() -> StreamingResponse:
        return StreamingResponse(checkpoint_stream("llm_thinking", tokens(RuntimeError("model gone"))))

    @app.websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            with checkpoint("llm_thinking"), flow("turn"):
                await socket.send_text(text.upper())


def add_trackers(app: fastapi.FastAPI) -> None:
    tools = MCPServer("tools", log_level="ERROR")

    @tools.tool()
    async def look(what: str) -> str:
        """Look at something."""
        return what

    @app.get("/said")
    async def said() -> str:
        record_user_message("password=hunter2", conversation_id="c", user_id="bob")
        record_tool_call("qa_mcp", "look", {"what": "a"})
        record_tool_response("qa_mcp", "look", duration_ms=3)
        record_assistant_response("done", tokens_used=5)
        return "said"

    @app.get("/older")
    async def older() -> bool:
        token = context.attach(Context())  # as if nobody traced the request
        try:
            await report()
        finally:
            context.detach(token)
        return await report()

    async def report() -> bool:
        tracker, activities = FlowTracker(), ActivityTracker()
        auth = await tracker.log_event("s", 7, "auth_check", allowed=False)
        await tracker.log_event("s", 7, "llm_thinking", parent_id=auth)
        await activities.record_user_message(None, "c", "s", 7, 1, "hello")
        await tracker.save_to_db("s", 7, db=None)
        return await tracker.is_monitored(7)

    @app.get("/tool")
    async def tool() -> list[Any]:
        token = context.attach(baggage.set_baggage("tenant", "a"))
        try:
            async with Client(tools, mode="legacy") as client:
                result = await client.call_tool("look", {"what": "a"})
        finally:
            context.detach(token)
        return [part.model_dump() for part in result.content]


def with_a_broken_handler() -> fastapi.FastAPI:
    """Its own answer to errors fails as well, so that it is the server that answers."""
    app = fastapi.FastAPI()

    @app.exception_handler(Exception)
    async def explain(request: fastapi.Request, error: Exception) -> NoReturn:
        raise RuntimeError("nothing to explain")

    @app.get("/boom")
    async def boom() -> None:
        raise ValueError("password=hunter2")

    mounted = fastapi.FastAPI()
    mounted.add_api_route("/boom", boom)
    mounted.add_exception_handler(Exception, explain)
    app.mount("/mounted", mounted)
    return app


def answers() -> list[bytes]:
    """Everything the gateway sends, as it stands on the wire."""
    with serving(gateway(), date_header=False, server_header=False) as address:
        host, port = address.split(":")
        bodies = [BODY if request.startswith(b"POST") else b"" for request in REQUESTS]
        requests = [request + HEADERS + body for request, body in zip(REQUESTS, bodies, strict=True)]
        return [exchange(host, int(port), request) for request in requests] + [chat(host, int(port))]


def exchange(host: str, port: int, request: bytes) -> bytes:
    with socket.create_connection((host, port), timeout=10) as line:
        line.sendall(request)
        return read_all(line)


def chat(host: str, port: int) -> bytes:
    """Two messages and a goodbye on a WebSocket, frame by frame."""
    upgrade = (
        b"GET /chat HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    unmasked = b"\x00\x00\x00\x00"
    with socket.create_connection((host, port), timeout=10) as line:
        line.sendall(upgrade)
        head = line.recv(65536)
        for word in (b"one", b"two"):
            line.sendall(b"\x81\x83" + unmasked + word)
            head += line.recv(65536)
        line.sendall(b"\x88\x82" + unmasked + b"\x03\xe8")
        return head + read_all(line)


def read_all(line: socket.socket) -> bytes:
    parts = []
    while part := line.recv(65536):
        parts.append(part)
    return b"".join(parts)


@pytest.fixture(scope="module")
def without_us() -> list[bytes]:
    return answers()


def settings(**changes: Any) -> Settings:
    given = {"mirror_enabled": False, "archive_enabled": False, "jwt_claims": ("user_id=sub",), "body_user": ("user",)}
    return Settings(enabled=True, **{**given, **changes})


class Fault:
    """Takes the place of a part of ours, and raises."""

    def __init__(self) -> None:
        self.reached = False

    def __get__(self, instance: object, owner: type) -> Callable[..., NoReturn]:
        return self.__call__

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.reached = True
        raise RuntimeError("a fault of Spanflow's own")


PARTS: list[tuple[type, str]] = [
    (BodyUser, "watch"),
    (BodyWatch, "add"),
    (EdgeGuard, "_open"),
    (EdgePropagator, "inject"),
    (Extractors, "identity"),
    (FlowTracker, "_log_event"),
    (FlowTracker, "_finish"),
    (GlobalTracer, "__call__"),
    (HeaderExtractor, "__call__"),
    (IdentitySpanProcessor, "_started"),
    (JwtClaims, "__call__"),
    (Intake, "start"),
    (Intake, "put"),
    (Intake, "end"),
    (KnownFlow, "learn"),
    (KnownFlows, "child_started"),
    (KnownFlows, "get"),
    (KnownFlows, "started"),
    (KnownFlows, "ended"),
    (McpPropagation, "_outbound"),
    (Pipeline, "end_flow"),
    (Pipeline, "identify"),
    (Pipeline, "is_watched"),
    (Pipeline, "prepare"),
    (Pipeline, "record_activity"),
    (Pipeline, "span_started"),
    (Pipeline, "span_updated"),
    (Pipeline, "span_ended"),
    (Redactor, "attributes"),
    (Redactor, "text"),
    (Runtime, "clean_text"),
    (TrustedPeers, "includes"),
    (Turns, "_begin"),
    (Turns, "_within_turn"),
]
#: What runs on threads of ours.
BEHIND: list[tuple[type, str]] = [
    (ArchiveSink, "deliver"),
    (ArchiveSink, "idle"),
    (ArchiveSink, "sizes"),
    (Encoder, "activity"),
    (Encoder, "complete"),
    (Encoder, "end_flow"),
    (Encoder, "ended"),
    (Encoder, "identify"),
    (Encoder, "next_due"),
    (Encoder, "started"),
    (Encoder, "updated"),
    (Mirror, "deliver"),
    (Mirror, "idle"),
    (Mirror, "sizes"),
    (Pipeline, "force_flush"),
    (RedactingExporter, "export"),
    (SpanMapping, "__call__"),
    (WatchedUsers, "_read"),
]
#: An update is left out when the end has come already.
UNLESS_QUICK = [(Encoder, "updated")]


def named(parts: list[tuple[type, str]]) -> list[Any]:
    return [pytest.param(owner, part, id=f"{owner.__name__}.{part}") for owner, part in parts]


def test_the_server_answers_where_the_applications_own_error_handler_fails(fresh_otel: None) -> None:
    requests = [b"GET /boom HTTP/1.1\r\n" + HEADERS, b"GET /mounted/boom HTTP/1.1\r\n" + HEADERS]

    def said() -> list[bytes]:
        with serving(with_a_broken_handler(), date_header=False, server_header=False) as address:
            host, port = address.split(":")
            return [exchange(host, int(port), request) for request in requests]

    untraced = said()
    assert start(settings()) is not None
    try:
        assert said() == untraced
    finally:
        shutdown()
    assert [b"500 Internal Server Error" in answer.splitlines()[0] for answer in untraced] == [True, True]


def test_answers_are_the_same_when_everything_works(without_us: list[bytes], fresh_otel: None) -> None:
    assert start(settings()) is not None
    try:
        assert answers() == without_us
    finally:
        shutdown()
    assert b'{"q":"1"}' in without_us[0]
    assert without_us[1].startswith(b"HTTP/1.1 429")
    assert without_us[-1].endswith(b"\x81\x03ONE\x81\x03TWO\x88\x02\x03\xe8")


@pytest.mark.parametrize(("owner", "part"), named(PARTS))
def test_answers_are_the_same_when_a_part_of_ours_raises(
    owner: type, part: str, without_us: list[bytes], fresh_otel: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = Fault()
    monkeypatch.setattr(owner, part, fault)  # first: some are looked up once, at the start
    assert start(settings()) is not None
    try:
        assert answers() == without_us
    finally:
        monkeypatch.undo()
        shutdown()
    assert fault.reached


@pytest.fixture
def with_servers(redis_url: str, postgres_dsn: str, tmp_path: Path) -> dict[str, Any]:
    """Settings under which flows go to Redis and Postgres, and are archived while the gateway still answers."""
    return {
        "mirror_enabled": True,
        "redis_url": redis_url,
        "archive_enabled": True,
        "postgres_dsn": postgres_dsn,
        "data_dir": str(tmp_path),
        "flow_grace": 0.01,
    }


def exporting(configured: Settings) -> TracerProvider:
    """A provider that exports as well, as the configurator makes it where an endpoint is given."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(redacted_batches(configured)(InMemorySpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


@pytest.mark.parametrize(("owner", "part"), named(BEHIND))
def test_answers_are_the_same_when_a_sink_or_what_feeds_it_raises(
    owner: type,
    part: str,
    without_us: list[bytes],
    fresh_otel: None,
    with_servers: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault = Fault()
    monkeypatch.setattr(owner, part, fault)
    configured = settings(**with_servers)
    provider = exporting(configured)
    assert start(configured) is not None
    try:
        assert answers() == without_us
        provider.force_flush(2000)
    finally:
        shutdown(2)
        provider.shutdown()
    assert fault.reached or (owner, part) in UNLESS_QUICK


def test_the_process_starts_untraced_when_the_start_itself_fails(
    without_us: list[bytes], fresh_otel: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from spanflow.instrumentation import configure
    from spanflow.instrumentation.startup import pre_instrument
    from spanflow.span_processors import assembly

    monkeypatch.setattr(assembly, "build_pipeline", Fault())
    monkeypatch.setenv("SPANFLOW_ENABLED", "true")
    with caplog.at_level(logging.ERROR, logger="spanflow"):
        pre_instrument()
        assert not configure(gateway())
    assert "the application runs untraced" in caplog.text
    assert answers() == without_us


@pytest.mark.parametrize("hanging", ["redis_url", "postgres_dsn"])
def test_answers_are_as_quick_when_the_servers_hang(
    hanging: str,
    without_us: list[bytes],
    fresh_otel: None,
    with_servers: dict[str, Any],
    proxy: Callable[[str], TcpProxy],
) -> None:
    line = proxy(with_servers[hanging])
    line.half_open()
    patient = {"redis_timeout": 30.0, "postgres_timeout": 30.0, "flush_timeout": 0.2}
    assert start(settings(**{**with_servers, hanging: line.url}, **patient)) is not None
    try:
        begun = time.monotonic()
        assert answers() == without_us
        assert time.monotonic() - begun < 5
        eventually(lambda: line.accepted)
    finally:
        line.cut()
        shutdown(0.5)
