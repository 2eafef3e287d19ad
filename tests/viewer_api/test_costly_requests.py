"""Small requests that would cost the viewer seconds: all others wait meanwhile, because there is one event loop.

Each of these took between one and thirty seconds once; a bound of one second tells the two apart on a busy machine too.
"""

import base64
import socket
import time
import zlib
from pathlib import Path

import pytest

from tests.support.live_client import live
from tests.support.people import VIEWER_7, write_tokens
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer

SECONDS = 1.0
#: Unpacks to 63 KB of nested lists, and is 120 bytes itself.
BOMB = base64.urlsafe_b64encode(zlib.compress(b"[1,[" + b"[]," * 20_000 + b"[]]]", 9)).rstrip(b"=").decode()


@pytest.fixture
def viewer(make_viewer: MakeViewer, tmp_path: Path) -> RunningViewer:
    return make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", VIEWER_7)))


def answered(viewer: RunningViewer, method: str, path: str, body: bytes = b"", **headers: str) -> int:
    """The status of the answer to a request as it is written here; libraries would refuse to send some."""
    given = {"Host": viewer.address, "Connection": "close", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    host, _, port = viewer.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return int(connection.recv(4096).split()[1])


def quickly(viewer: RunningViewer, method: str, path: str, body: bytes = b"", **headers: str) -> int:
    answered(viewer, "GET", "/healthz")
    began = time.perf_counter()
    status = answered(viewer, method, path, body, **headers)
    assert time.perf_counter() - began < SECONDS
    return status


def many_bombs(letters: str = "u") -> str:
    return ",".join(f"{letter}.{number:02x}.{BOMB}" for letter in letters for number in range(100, 100 + 440))


@pytest.mark.anyio
@pytest.mark.parametrize("topics", [{"user_id": 7}, {"user_id": ["7", "8"], "flow_id": "f" * 32}])
async def test_a_message_with_cursors_that_unpack_to_megabytes_is_answered_at_once(
    viewer: RunningViewer, topics: dict[str, object]
) -> None:
    async with live(viewer, additional_headers=VIEWER_7.bearer) as client:
        assert (await client.next())["type"] == "hello"
        began = time.perf_counter()
        await client.send(type="subscribe", cursor=many_bombs()[:60_000], **topics)
        await client.send(type="ping")
        await client.of_type("pong")
        assert time.perf_counter() - began < SECONDS


@pytest.mark.parametrize("user_id", ["7", "8"])
def test_a_header_with_such_cursors_is_answered_at_once(viewer: RunningViewer, user_id: str) -> None:
    cursors = many_bombs()[:60_000]
    path = f"/api/v1/live?user_id={user_id}"
    status = quickly(viewer, "GET", path, b"", Last_Event_ID=cursors, **VIEWER_7.bearer)
    assert status == (200 if user_id == "7" else 403)


def test_a_strangers_cookie_is_read_at_once(viewer: RunningViewer) -> None:
    """The standard library unquotes cookies in quadratic time in the older ones of its versions."""
    cookie = 'a="' + "\\" * 60_000 + '"'
    assert quickly(viewer, "GET", "/api/v1/session", Cookie=cookie) == 401


def test_a_reason_is_cleaned_once_however_many_users_it_is_for(viewer: RunningViewer) -> None:
    """Nothing is left of a reason without a printable character, so that it was asked for again for every user."""
    users = str(list(range(1000))).encode()
    reason = "\u200b" * 20_000
    headers = {"Content_Type": "application/json", "X_Spanflow_Reason": reason}
    bearer = {"Authorization": str(viewer.http.headers["Authorization"])}
    assert quickly(viewer, "POST", "/api/v1/monitoring/disable", users, **headers, **bearer) == 200


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/flows", "/api/v1/session", "/"])
def test_an_address_without_end_is_refused(viewer: RunningViewer, path: str) -> None:
    assert quickly(viewer, "GET", f"{path}?{'a&' * 30_000}") == 414
    assert quickly(viewer, "GET", f"{path}?{'a=' + 'b' * 30_000}") == 414
