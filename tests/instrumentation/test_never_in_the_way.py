"""Whatever breaks on our side, the gateway answers byte for byte what it answers without us."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import fastapi
import pytest
from fastapi import BackgroundTasks, Depends, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from opentelemetry import trace

from spanflow.instrumentation import checkpoint, checkpoint_stream, current_checkpoint, flow, identify, shutdown
from spanflow.instrumentation.asgi import EdgeGuard
from spanflow.instrumentation.extractors import Extractors, HeaderExtractor
from spanflow.instrumentation.identity_processor import IdentitySpanProcessor
from spanflow.instrumentation.known_flows import KnownFlow, KnownFlows
from spanflow.instrumentation.propagation import EdgePropagator
from spanflow.instrumentation.runtime import GlobalTracer, Runtime
from spanflow.instrumentation.startup import start
from spanflow.instrumentation.trusted_peers import TrustedPeers
from spanflow.instrumentation.turns import Turns
from spanflow.span_processors.encoding.encoder import Encoder
from spanflow.span_processors.pipeline import Pipeline
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.stages.intake import Intake
from tests.support.asgi_server import serving
from tests.support.proxy import TcpProxy

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
]
HEADERS = (
    b"Host: gateway\r\nConnection: close\r\nX-User-Id: ann\r\n"
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\nbaggage: a=1\r\n\r\n"
)


def gateway() -> fastapi.FastAPI:
    app = fastapi.FastAPI()
    add_plain(app)
    add_streams(app)
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


def answers() -> list[bytes]:
    """Everything the gateway sends, as it stands on the wire."""
    with serving(gateway(), date_header=False, server_header=False) as address:
        host, port = address.split(":")
        return [exchange(host, int(port), request + HEADERS) for request in REQUESTS] + [chat(host, int(port))]


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
    return Settings(enabled=True, **{"mirror_enabled": False, "archive_enabled": False, **changes})


def failing(*args: Any, **kwargs: Any) -> NoReturn:
    raise RuntimeError("a fault of Spanflow's own")


PARTS: list[tuple[type, str]] = [
    (EdgeGuard, "_open"),
    (EdgePropagator, "inject"),
    (Encoder, "started"),
    (Encoder, "ended"),
    (Extractors, "identity"),
    (GlobalTracer, "__call__"),
    (HeaderExtractor, "__call__"),
    (IdentitySpanProcessor, "_started"),
    (Intake, "start"),
    (Intake, "put"),
    (Intake, "end"),
    (KnownFlow, "learn"),
    (KnownFlows, "get"),
    (KnownFlows, "started"),
    (KnownFlows, "ended"),
    (Pipeline, "force_flush"),
    (Pipeline, "identify"),
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


def test_answers_are_the_same_when_everything_works(without_us: list[bytes], fresh_otel: None) -> None:
    assert start(settings()) is not None
    try:
        assert answers() == without_us
    finally:
        shutdown()
    assert b'{"q":"1"}' in without_us[0]
    assert without_us[1].startswith(b"HTTP/1.1 429")
    assert without_us[-1].endswith(b"\x81\x03ONE\x81\x03TWO\x88\x02\x03\xe8")


@pytest.mark.parametrize(("owner", "part"), PARTS, ids=[f"{owner.__name__}.{part}" for owner, part in PARTS])
def test_answers_are_the_same_when_a_part_of_ours_raises(
    owner: type, part: str, without_us: list[bytes], fresh_otel: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start(settings()) is not None
    monkeypatch.setattr(owner, part, failing)
    try:
        assert answers() == without_us
    finally:
        monkeypatch.undo()
        shutdown()


def test_the_process_starts_untraced_when_the_start_itself_fails(
    without_us: list[bytes], fresh_otel: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from spanflow.instrumentation import configure
    from spanflow.instrumentation.startup import pre_instrument
    from spanflow.span_processors import assembly

    monkeypatch.setattr(assembly, "build_pipeline", failing)
    monkeypatch.setenv("SPANFLOW_ENABLED", "true")
    with caplog.at_level(logging.ERROR, logger="spanflow"):
        pre_instrument()
        assert not configure(gateway())
    assert "the application runs untraced" in caplog.text
    assert answers() == without_us


def test_answers_are_as_quick_when_the_servers_hang(
    without_us: list[bytes], fresh_otel: None, redis_url: str, proxy: Callable[[str], TcpProxy]
) -> None:
    line = proxy(redis_url)
    line.half_open()
    assert start(settings(mirror_enabled=True, redis_url=line.url, redis_timeout=30.0, flush_timeout=0.2)) is not None
    try:
        begun = time.monotonic()
        assert answers() == without_us
        assert time.monotonic() - begun < 5
    finally:
        line.cut()
        shutdown(0.5)
