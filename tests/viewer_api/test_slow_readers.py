"""Clients that ask for much and take nothing of it: a download, server-sent events, a socket."""

import base64
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from spanflow.viewer_api.operations import live_web_socket
from spanflow.viewer_api.operations import server as viewer_server
from spanflow.viewer_api.operations.live_web_socket import LiveWebSocket
from spanflow.viewer_api.operations.server import LimitedHttp
from tests.support.flow_parts import part, span
from tests.support.people import VIEWER_7, VIEWER_8, Person, write_tokens
from tests.support.poll import eventually
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store, of

FLOWS, TEXT = 300, "x" * 60_000


@pytest.fixture
def viewer(make_viewer: MakeViewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunningViewer:
    monkeypatch.setattr(viewer_server, "_STUCK_SECONDS", 1.0)
    monkeypatch.setattr(live_web_socket, "_STUCK_SECONDS", 1.0)
    return make_viewer(
        server={"http": LimitedHttp, "ws": LiveWebSocket},
        viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", VIEWER_7, VIEWER_8)),
        viewer_requests_at_once=1,
        viewer_sockets_per_person=1,
    )


@contextmanager
def deaf(viewer: RunningViewer, path: str, person: Person, *headers: str) -> Iterator[socket.socket]:
    """Asks, and takes nothing of the answer."""
    host, _, port = viewer.address.partition(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        connection.connect((host, int(port)))
        token = f"Authorization: {person.bearer['Authorization']}"
        lines = [f"GET {path} HTTP/1.1", f"Host: {viewer.address}", token, *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        yield connection


def by(viewer: RunningViewer, person: Person) -> httpx.Client:
    return httpx.Client(base_url=viewer.origin, headers=person.bearer, timeout=15)


@pytest.mark.parametrize("format", ["jsonl", "csv", "otlp"])
def test_a_download_that_is_not_taken_ends_and_gives_its_place_back(
    viewer: RunningViewer, store: Store, format: str
) -> None:
    """Nothing is read on for it meanwhile, and nobody else waits."""
    big = [span(1, attributes={f"http.url.{number}": TEXT[:8000] for number in range(8)})]
    store(*(part(number, big, **of(f"s-{number}", "7")) for number in range(1, FLOWS)))
    with deaf(viewer, f"/api/v1/export?format={format}", VIEWER_7), by(viewer, VIEWER_8) as eight:
        for _ in range(10):
            assert eight.get("/api/v1/flows").status_code == 200
        # They may ask for one thing at a time, and this waits ten seconds at most.
        with by(viewer, VIEWER_7) as seven:
            assert seven.get("/api/v1/flows?limit=1").status_code == 200
            whole = seven.get(f"/api/v1/export?format={format}")
    assert whole.status_code == 200 and len(whole.content) > (5_000_000 if format != "csv" else 10_000)


def test_events_that_are_not_taken_end_and_give_their_place_back(viewer: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow("7")
    flow.start("root", None)
    with deaf(viewer, "/api/v1/live?user_id=7", VIEWER_7, "X-Spanflow-Reason: a test") as connection:
        hub = viewer.app.state.viewer.hub
        eventually(lambda: hub.sockets == 1)
        for number in range(700):
            flow.step(f"step{number}", "root", "tool_call", tool="x" * 8000)
        with by(viewer, VIEWER_8) as eight:
            assert eight.get("/api/v1/flows").status_code == 200
        eventually(lambda: hub.sockets == 0, within=15)
        del connection


def test_a_socket_whose_messages_are_not_taken_ends_and_gives_its_place_back(
    viewer: RunningViewer, make_flow: MakeFlow
) -> None:
    flow = make_flow("7")
    flow.start("root", None)
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")
    with deaf(viewer, "/api/v1/live", VIEWER_7, *upgrade) as connection:
        message = b'{"type":"subscribe","user_id":7,"reason":"a test"}'
        connection.sendall(bytes([0x81, 0x80 | len(message)]) + bytes(4) + message)
        hub = viewer.app.state.viewer.hub
        eventually(lambda: hub.sockets == 1)
        for number in range(700):
            flow.step(f"step{number}", "root", "tool_call", tool="x" * 8000)
        eventually(lambda: hub.sockets == 0, within=15)
