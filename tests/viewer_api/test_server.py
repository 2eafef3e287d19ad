"""The web server around a viewer, as `spanflow serve` runs it: what strangers may cost it, and how it stops."""

import asyncio
import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
import redis
import websockets
from dirty_equals import IsStr
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from spanflow.viewer_api.operations import server
from spanflow.viewer_api.operations.idle_connections import IdleConnections
from spanflow.viewer_api.operations.server import MAX_HEAD, LimitedHttp
from tests.support.asgi_server import serving
from tests.support.poll import eventually, eventually_async
from tests.support.ports import accepts
from tests.support.spanflow_command import COMMAND, Running, running
from tests.support.viewer_server import TOKEN
from tests.viewer_api.conftest import MakeFlow

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def there(redis_url: str, postgres_dsn: str) -> dict[str, str]:
    return {
        "SPANFLOW_REDIS_URL": redis_url,
        "SPANFLOW_POSTGRES_DSN": postgres_dsn,
        "SPANFLOW_VIEWER_TOKEN": TOKEN,
        "SPANFLOW_LOG_FORMAT": "json",
    }


@contextmanager
def served(settings: dict[str, str], *command: str) -> Iterator[tuple[Running, str]]:
    """A `spanflow serve` and its address."""
    with running("serve", "--port", "0", settings=settings, command=[*command, *COMMAND]) as viewer:
        said = viewer.wait_for("Application startup complete")
        link = re.search(r"Open (http://127\.0\.0\.1:\d+)/", said)
        assert link is not None, said
        # Listening comes after the start-up.
        eventually(lambda: accepts(int(link[1].rpartition(":")[2])))
        yield viewer, link[1]


def lines_of(viewer: Running) -> list[dict[str, object]]:
    return [json.loads(line) for line in viewer.said.splitlines() if line.startswith("{")]


# -- what strangers may cost -------------------------------------------------------------------------------------------


async def _hello(request: Request) -> Response:
    return PlainTextResponse("hi")


async def _size(request: Request) -> Response:
    try:
        return PlainTextResponse(str(len(await request.body())))
    except ClientDisconnect:
        return Response(status_code=400)


async def _echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


APP = Starlette(routes=[Route("/", _hello), Route("/size", _size, methods=["POST"]), WebSocketRoute("/socket", _echo)])


def said_to(address: str, *parts: bytes) -> bytes:
    """What the server answers until it closes the connection."""
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        answer = b""
        try:
            for part in parts:
                connection.sendall(part)
            while chunk := connection.recv(65536):
                answer += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answer


def test_a_head_without_an_end_is_cut_off() -> None:
    with serving(APP, http=LimitedHttp) as address:
        filler = b"X-Filler: " + b"x" * 1000 + b"\r\n"
        answer = said_to(address, b"GET / HTTP/1.1\r\nHost: a\r\n", *[filler] * (4 * MAX_HEAD // 1000))
        assert answer.startswith(b"HTTP/1.1 400 ") or answer == b""
        assert httpx.get(f"http://{address}", headers={"X-Much": "x" * 30_000}).text == "hi"


@pytest.mark.parametrize("size", [30_000, 60_000, 70_000, 200_000])
@pytest.mark.parametrize("piece", [1_000_000, 1000, 997])
def test_a_head_is_measured_however_it_arrives(size: int, piece: int) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Filler: " + b"x" * size + b"\r\n\r\n"
    with serving(APP, http=LimitedHttp) as address:
        answer = said_to(address, *[head[at : at + piece] for at in range(0, len(head), piece)])
    if size < MAX_HEAD:
        assert answer.startswith(b"HTTP/1.1 200 ")
    else:
        assert answer.startswith(b"HTTP/1.1 400 ") or (answer == b"" and piece < 1_000_000)


def test_a_body_that_comes_with_the_end_of_its_head_does_not_count_as_head() -> None:
    head = b"POST /size HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n"
    with serving(APP, http=LimitedHttp) as address:
        for cut in range(1, 5):
            answer = said_to(address, head[:-cut], head[-cut:] + b"x" * 200_000)
            assert answer.endswith(b"\r\n\r\n200000"), answer


SILENT = {
    "silent": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: a\r\n",
    "half a body": b"POST /size HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx",
    "kept alive": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("said", SILENT.values(), ids=SILENT)
@pytest.mark.parametrize("limits", [(10, 100), (100, 10)], ids=["of all", "of one address"])
def test_clients_that_say_nothing_keep_nobody_out(said: bytes, limits: tuple[int, int]) -> None:
    idle = IdleConnections(*limits)
    with serving(APP, http=partial(LimitedHttp, idle=idle), limit_concurrency=20, timeout_keep_alive=60) as address:
        host, _, port = address.partition(":")
        with ExitStack() as stack:
            for _ in range(60):
                connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
                connection.sendall(said)
            for _ in range(5):
                assert httpx.get(f"http://{address}").text == "hi"
            assert 1 <= len(idle) <= 10
        eventually(lambda: len(idle) == 0)


def test_a_client_that_goes_on_asking_is_not_closed_before_those_that_say_nothing() -> None:
    idle = IdleConnections(5, 100)
    with serving(APP, http=partial(LimitedHttp, idle=idle), limit_concurrency=50) as address, ExitStack() as stack:
        host, _, port = address.partition(":")
        with httpx.Client(base_url=f"http://{address}") as client:
            for _ in range(30):
                stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
                assert client.get("/").text == "hi"
            assert len(idle) == 5


def test_a_client_that_takes_nothing_of_its_answer_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def large(request: Request) -> Response:
        return Response(b"x" * 20_000_000)

    lost: list[float] = []

    class Noted(LimitedHttp):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.append(time.monotonic())

    monkeypatch.setattr(server, "_STUCK_SECONDS", 0.3)
    with serving(Starlette(routes=[Route("/", large)]), http=Noted) as address:
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            eventually(lambda: lost)
            taken = 0
            with suppress(ConnectionResetError):
                while chunk := connection.recv(1_000_000):
                    taken += len(chunk)
            assert taken < 20_000_000
        assert len(httpx.get(f"http://{address}").content) == 20_000_000


def test_a_head_that_takes_for_ever_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_HEAD_SECONDS", 0.2)
    with serving(APP, http=LimitedHttp) as address:
        began = time.monotonic()
        assert said_to(address, b"GET / HTTP/1.1\r\nHost: ") == b""
        assert said_to(address) == b""
        assert time.monotonic() - began < 5
        with httpx.Client(base_url=f"http://{address}") as client:
            assert [client.get("/").text for _ in range(3)] == ["hi"] * 3


@pytest.mark.anyio
async def test_a_body_that_takes_for_ever_is_cut_off_and_a_socket_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_BODY_SECONDS", 0.2)
    with serving(APP, http=LimitedHttp) as address:
        async with websockets.connect(f"ws://{address}/socket") as socket:
            began = time.monotonic()
            slow = b"POST /size HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"
            assert await asyncio.to_thread(said_to, address, slow) == b""
            assert 0.2 < time.monotonic() - began < 5
            await socket.send("still here")
            assert await socket.recv() == "still here"
        async with httpx.AsyncClient(base_url=f"http://{address}") as client:
            assert [(await client.post("/size", content=b"x" * 70_000)).text for _ in range(3)] == ["70000"] * 3


# -- how it stops ------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_clients_are_told_and_get_a_cursor_and_one_that_never_reads_delays_nothing(
    there: dict[str, str], make_flow: MakeFlow
) -> None:
    flow = make_flow()
    with served({**there, "SPANFLOW_VIEWER_STOP_SECONDS": "3"}) as (viewer, address):
        live = f"{address.replace('http', 'ws', 1)}/api/v1/live"
        flow.start("root")
        async with websockets.connect(live, additional_headers=BEARER) as reading:
            # Its window is small and it never reads: what is sent to it gets stuck.
            deaf = await asyncio.to_thread(_deaf, address)
            await reading.send('{"type": "subscribe", "user_id": 7, "reason": "a test"}')
            messages: list[dict[str, Any]] = []
            while not messages or not messages[-1].get("cursor"):
                messages.append(orjson.loads(await reading.recv()))
            began = time.monotonic()
            viewer.process.send_signal(signal.SIGTERM)
            with pytest.raises(websockets.ConnectionClosed):
                while True:
                    messages.append(orjson.loads(await reading.recv()))
            cursors = [{"user_id": 7, "cursor": IsStr}]
            assert messages[-1] == {"type": "closing", "code": "restarting", "detail": IsStr, "cursors": cursors}
            assert reading.close_code == 1012
        assert await asyncio.to_thread(viewer.process.wait, 20) == -signal.SIGTERM
        assert time.monotonic() - began < 3 + 5
        deaf.close()


def _deaf(address: str) -> socket.socket:
    host, _, port = address.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reason = "X-Spanflow-Reason: a test\r\n"
    head = f"GET /api/v1/live?user_id=7 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n{reason}\r\n"
    connection.sendall(head.encode())
    return connection


def test_it_stops_well_however_little_time_it_has(there: dict[str, str], make_flow: MakeFlow) -> None:
    make_flow().start("root")
    with served({**there, "SPANFLOW_VIEWER_STOP_SECONDS": "0.1"}) as (viewer, address):
        deaf = _deaf(address)
        assert b"200 OK" in deaf.recv(100)
        assert viewer.end(signal.SIGTERM, within=10) == -signal.SIGTERM
        deaf.close()
    assert [line for line in lines_of(viewer) if "exception" in line] == []
    assert "Application shutdown complete" in viewer.said


@pytest.mark.anyio
async def test_a_request_that_runs_gets_its_answer_and_nobody_new_is_let_in(
    there: dict[str, str], postgres_dsn: str
) -> None:
    with served(there) as (viewer, address):
        blocker = await asyncpg.connect(postgres_dsn)
        async with httpx.AsyncClient(base_url=address, headers=BEARER) as client:
            async with blocker.transaction():
                await blocker.execute("LOCK TABLE omni2.audit_log IN ACCESS EXCLUSIVE MODE")
                waiting = asyncio.create_task(client.get("/api/v1/flows?user_id=7"))
                blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                await eventually_async(lambda: blocker.fetchval(blocked))
                viewer.process.send_signal(signal.SIGTERM)
                port = int(address.rpartition(":")[2])
                await eventually_async(lambda: asyncio.to_thread(lambda: not accepts(port)))
            assert (await waiting).status_code == 200
        await blocker.close()
        assert await asyncio.to_thread(viewer.process.wait, 20) == -signal.SIGTERM


# -- its log, and itself -----------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_whole_log_is_json_and_holds_no_query(there: dict[str, str]) -> None:
    with served(there) as (viewer, address):
        async with httpx.AsyncClient(base_url=address, headers=BEARER) as client:
            await client.get("/api/v1/flows?q=very-private")
        for path in ("/api/v1/live?token=stolen", "/somewhere?token=stolen"):
            with pytest.raises(websockets.InvalidStatus):
                async with websockets.connect(f"{address.replace('http', 'ws', 1)}{path}", origin="https://evil"):  # type: ignore[arg-type]
                    pass
        await asyncio.to_thread(viewer.end, signal.SIGTERM)
    said = [line for line in viewer.said.splitlines() if not line.startswith("Open ")]
    assert [line for line in said if not line.startswith("{")] == []
    assert [line["path"] for line in lines_of(viewer) if line["message"] == "socket refused"]
    assert "private" not in viewer.said and "stolen" not in viewer.said


def test_it_is_not_traced_by_whatever_instruments_it(there: dict[str, str], redis_url: str) -> None:
    """As when gateway and viewer share an environment and a container's entry point."""
    traced = {
        **there,
        "SPANFLOW_ENABLED": "true",
        "SPANFLOW_FLOW_GRACE": "0",
        "OTEL_TRACES_EXPORTER": "console",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    instrument = COMMAND[0].replace("/python", "/opentelemetry-instrument")
    with served(traced, instrument) as (viewer, address), httpx.Client(base_url=address, headers=BEARER) as client:
        assert client.post("/api/v1/monitoring/enable/7").status_code == 200
        assert client.get("/api/v1/flows?user_id=7").status_code == 200
        with redis.Redis.from_url(redis_url) as store:
            eventually(lambda: store.sismember("monitored_users", "7"))
            # What its own watches are kept in begins with `flows:` too.
            kept = set(store.keys("flow*"))
            assert {key.partition(b"flows:watch")[1] for key in kept} == {b"flows:watch"}, kept
        viewer.end(signal.SIGTERM)
    assert '"trace_id"' not in viewer.said
