"""Many small pieces, and very large ones: what arrives in one read must not hold up everybody else.

Each of these held the server for seconds, without any sign-in. Whether it does is told by what is counted.
"""

import base64
import os
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.frames import Frame

from spanflow.viewer_api.operations import live_web_socket
from spanflow.viewer_api.operations.live_web_socket import LiveWebSocket
from spanflow.viewer_api.operations.server import LimitedHttp
from tests.support.asgi_server import serving
from tests.support.poll import eventually

counts: Counter[str] = Counter()
TEXT, CONTINUATION, PING = 0x1, 0x0, 0x9
FIN = 0x80
POLICY_VIOLATION, TOO_BIG = 1008, 1009


class CountingHttp(LimitedHttp):
    def on_message_begin(self) -> None:
        counts["requests"] += 1
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        counts["headers"] += 1
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        counts["pieces"] += 1
        super().on_body(body)


class CountingWebSocket(LiveWebSocket):
    def handle_ping(self) -> None:
        counts["frames"] += 1
        super().handle_ping()

    def handle_text(self, event: Frame) -> None:
        counts["frames"] += 1
        super().handle_text(event)

    def handle_cont(self, event: Frame) -> None:
        counts["frames"] += 1
        super().handle_cont(event)

    def connection_lost(self, exc: Exception | None) -> None:
        counts["lost sockets"] += 1
        super().connection_lost(exc)


async def hello(request: Request) -> Response:
    return PlainTextResponse("hi")


async def size(request: Request) -> Response:
    try:
        return PlainTextResponse(str(len(await request.body())))
    except ClientDisconnect:
        return Response(status_code=400)


async def lengths(socket: WebSocket) -> None:
    """Says how long each message is."""
    await socket.accept()
    with suppress(WebSocketDisconnect):
        async for text in socket.iter_text():
            counts["messages"] += 1
            await socket.send_text(str(len(text)))


async def endless(socket: WebSocket) -> None:
    await socket.accept()
    while True:
        await socket.send_text("x" * 10_000)


APP = Starlette(
    routes=[
        Route("/", hello),
        Route("/size", size, methods=["POST"]),
        WebSocketRoute("/lengths", lengths),
        WebSocketRoute("/endless", endless),
    ]
)


@pytest.fixture
def address() -> Iterator[str]:
    counts.clear()
    options: dict[str, Any] = {"ws_max_size": 256 * 1024, "ws_per_message_deflate": False}
    with serving(APP, http=CountingHttp, ws=CountingWebSocket, **options) as address:
        yield address


@contextmanager
def dialled(address: str) -> Iterator[socket.socket]:
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        yield connection


def said_to(connection: socket.socket, data: bytes) -> bytes:
    """What the server answers until it closes the connection."""
    answer = b""
    with suppress(OSError):
        connection.sendall(data)
    with suppress(OSError):
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


# -- requests ----------------------------------------------------------------------------------------------------------

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST /size HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
REQUESTS: dict[str, tuple[bytes, str, int]] = {
    "pipelined requests": (ASK * 8000, "requests", 300),
    "chunks of one byte": (CHUNKED + b"1\r\na\r\n" * 40_000, "pieces", 1100),
    "headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a:\r\n" * 15_000 + b"\r\n", "headers", 300),
}


@pytest.mark.parametrize(("data", "counted", "most"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_of_very_many_pieces_ends_the_connection(address: str, data: bytes, counted: str, most: int) -> None:
    with dialled(address) as connection:
        said_to(connection, data)
    assert 0 < counts[counted] <= most
    assert httpx.get(f"http://{address}").text == "hi"


def test_a_request_of_as_many_pieces_as_clients_have_reason_for_is_answered(address: str) -> None:
    chunks = b"".join(b"40\r\n" + b"x" * 64 + b"\r\n" for _ in range(3000))
    with dialled(address) as connection:
        assert said_to(connection, CHUNKED + chunks + b"0\r\n\r\n").endswith(b"\r\n\r\n192000")
    with dialled(address) as connection:
        asked = ASK * 5 + ASK.replace(b"Host", b"Connection: close\r\nHost")
        assert said_to(connection, asked).count(b"\r\n\r\nhi") == 6
    assert httpx.get(f"http://{address}", headers={f"x-{number}": "1" for number in range(200)}).text == "hi"


# -- WebSockets --------------------------------------------------------------------------------------------------------


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, announced: int | None = None) -> bytes:
    """A client's frame, whose mask changes nothing."""
    length = len(data) if announced is None else announced
    head = bytes([opcode | (FIN if fin else 0)])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65536:
        head += bytes([0x80 | 126]) + struct.pack("!H", length)
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", length)
    return head + bytes(4) + data


HANDSHAKE = (
    b"Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    + base64.b64encode(os.urandom(16))
    + b"\r\n\r\n"
)


@contextmanager
def web_socket(address: str, path: str = "/lengths") -> Iterator[socket.socket]:
    with dialled(address) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\n".encode() + HANDSHAKE)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(1)
        assert answer.startswith(b"HTTP/1.1 101 ")
        yield connection


def close_code(answer: bytes) -> int | None:
    """Of the last frame of a server that closes."""
    at = answer.rfind(b"\x88")
    return None if at < 0 else int(struct.unpack("!H", answer[at + 2 : at + 4])[0])


FLOODS: dict[str, bytes] = {
    "pings": frame(PING) * 40_000,
    "pings with much to answer": frame(PING, b"x" * 125) * 5_000,
    "messages of one letter": frame(TEXT, b"a") * 40_000,
    "empty parts of one message": frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 40_000,
    "parts of one byte": frame(TEXT, fin=False) + frame(CONTINUATION, b"a", fin=False) * 40_000,
}


@pytest.mark.parametrize("data", FLOODS.values(), ids=FLOODS)
def test_a_client_that_sends_frame_after_frame_is_closed(
    address: str, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with web_socket(address) as connection:
        answer = said_to(connection, data)
    # Of a connection that is reset, the last words may be lost.
    assert close_code(answer) in (POLICY_VIOLATION, None)
    eventually(lambda: counts["lost sockets"] == 1)
    # Those of one slice may be seen after it is closed.
    assert 400 < counts["frames"] < 500 + 4096 // 6 + 100
    assert counts["messages"] <= 600
    assert httpx.get(f"http://{address}").text == "hi"
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_as_many_frames_as_clients_have_reason_for_are_taken(address: str) -> None:
    with web_socket(address) as connection:
        text = "é".encode() * 50_000
        parts = [text[at : at + 4000] for at in range(0, len(text), 4000)]
        data = frame(TEXT, parts[0], fin=False)
        data += b"".join(frame(CONTINUATION, part, fin=False) for part in parts[1:])
        data += frame(PING, b"?") + frame(CONTINUATION) + frame(TEXT, b"abc") * 300
        connection.sendall(data)
        said = b""
        while said.count(b"\x81\x013") < 300:
            said += connection.recv(65536)
        assert said.startswith(b"\x8a\x01?\x81\x0550000")


LARGE: dict[str, bytes] = {
    "one frame": frame(TEXT, b"x" * 1_000_000),
    "a frame that is only announced": frame(TEXT, announced=2**62),
    "parts": frame(TEXT, b"x" * 60_000, fin=False) + frame(CONTINUATION, b"x" * 60_000, fin=False) * 20,
}


@pytest.mark.parametrize("data", LARGE.values(), ids=LARGE)
def test_a_message_of_a_megabyte_is_not_even_read(address: str, data: bytes) -> None:
    with web_socket(address) as connection:
        assert close_code(said_to(connection, data)) in (TOO_BIG, None)
    eventually(lambda: counts["lost sockets"] == 1)
    assert counts["messages"] == 0


def test_a_socket_that_takes_nothing_is_dropped(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_web_socket, "_STUCK_SECONDS", 0.3)
    with web_socket(address, "/endless"):
        eventually(lambda: counts["lost sockets"] == 1)


def test_a_handshake_may_be_longer_than_a_slice(address: str) -> None:
    with dialled(address) as connection:
        connection.sendall(b"GET /lengths HTTP/1.1\r\nX-Filler: " + b"x" * 5000 + b"\r\n" + HANDSHAKE)
        assert connection.recv(1).startswith(b"H")
        connection.sendall(frame(TEXT, b"abc"))
        said = b""
        while not said.endswith(b"\x81\x013"):
            piece = connection.recv(65536)
            assert piece, said
            said += piece


def test_many_connections_of_one_flood_still_let_others_in(address: str) -> None:
    flood: Callable[[int], bytes] = lambda number: list(FLOODS.values())[number % len(FLOODS)]  # noqa: E731
    with ExitStack() as stack:
        for number in range(20):
            connection = stack.enter_context(web_socket(address))
            with suppress(OSError):
                connection.sendall(flood(number)[:100_000])
        assert httpx.get(f"http://{address}").text == "hi"
