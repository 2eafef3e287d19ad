"""Whatever strangers may write, in any form: cursors and messages of a socket, and events in Redis."""

import base64
import json
import time
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import orjson
import pytest
import redis
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from spanflow.span_processors import names
from spanflow.viewer_api.export.formats import FORMATS
from spanflow.viewer_api.live.cursor import Cursor, CursorKey
from tests.support import fuzzing
from tests.support.viewer_server import TOKEN, RunningViewer

BEARER = {"Authorization": f"Bearer {TOKEN}"}
CURSORS = fuzzing.examples(60, 3000)
MESSAGES = fuzzing.examples(60, 800)
#: Each of these is asked for in many ways.
EVENTS = fuzzing.examples(10, 90)
KEY = CursorKey(b"a secret")

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "7", "-1", "1e999", "\0", "\u202e", "a" * 5000, "NaN", "<script>", "{}", "../..", "1-0"]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


# -- cursors -----------------------------------------------------------------------------------------------------------


@CURSORS
def test_a_cursor_with_any_content_and_a_good_signature_is_well_formed_or_none(examples: int) -> None:
    """As if the secret had leaked: what comes out is still flows and positions in their streams."""
    letters = st.text("AZaz09-_~!.", max_size=60)

    def attack(content: Any, packed: str, moved: str) -> None:
        for word in (KEY.signed(packed, moved), KEY.signed(_packed(content)), KEY.signed(_packed([1, content]))):
            cursor = KEY.read(word)
            if cursor is not None:
                check(cursor)

    def check(cursor: Cursor) -> None:
        assert isinstance(cursor.read_ms, int)
        for flow_id, position in cursor.positions.items():
            assert isinstance(flow_id, str) and len(flow_id) <= 128
            left, _, right = position.partition("-")
            assert left.isdecimal() and right.isdecimal()
        assert KEY.read(cursor.encoded()) is not None

    positions = st.dictionaries(st.text(max_size=40), st.text(max_size=20) | scalars, max_size=5)
    fuzzing.fuzz(examples, {"content": values | positions, "packed": letters, "moved": letters}, attack)


def _packed(content: Any) -> str:
    try:
        data = orjson.dumps(content)
    except TypeError:
        data = b"?"
    return base64.urlsafe_b64encode(zlib.compress(data)).rstrip(b"=").decode()


# -- messages of the live socket ---------------------------------------------------------------------------------------


class Line(ExitStack):
    """A socket that is dialled again when the viewer has closed it."""

    def __init__(self, viewer: RunningViewer) -> None:
        super().__init__()
        self._viewer = viewer

    def dial(self) -> None:
        self.close()
        url = f"{self._viewer.ws}/api/v1/live"
        self.socket = self.enter_context(connect(url, additional_headers=BEARER, max_size=None))


fields = st.sampled_from(
    ["type", "user_id", "flow_id", "conversation_id", "session_id", "cursor", "reason", "token", "monitoring", "more"]
)
kinds = st.sampled_from(["subscribe", "unsubscribe", "ping", "pong", "auth", "hello"])
messages = st.one_of(
    st.dictionaries(fields, values, max_size=6),
    st.builds(lambda kind, more: {**more, "type": kind}, kinds, st.dictionaries(fields, values, max_size=5)),
    values,
)


@MESSAGES
def test_no_message_makes_the_live_socket_fail(
    make_viewer: Callable[..., RunningViewer], examples: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It is answered, or closed with a code of its own: never 1011, and nothing in the log is an error."""
    viewer = make_viewer(viewer_requests_per_second=100_000.0, viewer_max_sockets=1000)
    line = Line(viewer)

    def attack(message: Any, as_text: bool) -> None:
        try:
            line.socket.send(json.dumps(message) if as_text else json.dumps(message)[:-1].encode())
            line.socket.send('{"type": "ping"}')
            end = time.monotonic() + 10
            while (said := orjson.loads(line.socket.recv(timeout=10)))["type"] != "pong":
                assert said["type"] != "error" or said["code"] != "internal_error", said
                assert time.monotonic() < end
        except ConnectionClosed as why:
            assert why.rcvd is not None and 4400 <= why.rcvd.code < 4500, why
            line.dial()

    with line:
        line.dial()
        fuzzing.fuzz(examples, {"message": messages, "as_text": st.booleans() | st.just(True)}, attack)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


# -- events in Redis ---------------------------------------------------------------------------------------------------

FLOW = "f" * 32
sensible: dict[str, Any] = {
    "v": 1,
    "phase": "end",
    "flow_id": FLOW,
    "node_id": "a" * 16,
    "parent_id": None,
    "event_type": "tool_call",
    "name": "POST /ask",
    "kind": "server",
    "start_ns": "1767614400000000000",
    "end_ns": "1767614401000000000",
    "status": "ok",
    "status_message": "fine",
    "outcome": "ok",
    "attributes": {"user.id": "7", "flow.data.mcp": "m", "gen_ai.usage.input_tokens": 3},
    "types": {"gen_ai.usage.input_tokens": "int"},
    "links": [{"trace_id": FLOW, "span_id": "b" * 16}],
    "logs": [{"name": "exception", "time_ns": "1", "attributes": {}}],
    "process": "p-1",
    "scope": "s",
    "flags": 1,
    "trace_state": "a=b",
}
strange = st.dictionaries(st.sampled_from([*sensible, "more"]), values, min_size=1, max_size=4)
entries = st.one_of(
    st.binary(max_size=40),
    strange.map(lambda changes: _json({**sensible, **changes})),
    st.sampled_from(list(sensible)).map(lambda gone: _json({key: sensible[key] for key in sensible if key != gone})),
    values.map(lambda value: _json(value)),
)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode(errors="replace")


@EVENTS
def test_no_event_in_redis_makes_the_viewer_fail(
    viewer: RunningViewer, redis_url: str, examples: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever may write to Redis can show nonsense, but no request fails by it and nothing is logged as an error."""
    paths = [
        "/api/v1/flows?user_id=7",
        "/api/v1/flows",
        f"/api/v1/flows/{FLOW}",
        f"/api/v1/flows/{FLOW}/tree",
        f"/api/v1/flows/{FLOW}/flat",
        f"/api/v1/flows/{FLOW}/activities",
        "/api/v1/flows/session/s-7",
        "/api/v1/monitoring/flows/session/s-7",
        "/api/v1/monitoring/flows/7",
        "/api/v1/flows/user/7/sessions",
        "/api/v1/conversations/c-7",
        "/api/v1/users/7",
        f"/api/v1/flows/compare?a={FLOW}&b={FLOW}",
        f"/api/v1/flows/previews?flow_id={FLOW}",
        f"/api/v1/playback?flow_id={FLOW}",
        *(f"/api/v1/flows/{FLOW}/export?format={name}" for name in FORMATS),
        f"/api/traces/{FLOW}",
        f"/jaeger/api/traces?traceID={FLOW}",
        "/api/traces?service=s&start=0",
        f"/api/v3/traces/{FLOW}",
        "/jaeger/api/v3/trace-summaries?query.serviceName=s"
        "&query.startTimeMin=2020-01-01T00:00:00Z&query.startTimeMax=2030-01-01T00:00:00Z",
    ]
    with redis.Redis.from_url(redis_url) as store, httpx.Client(base_url=viewer.origin, headers=BEARER) as client:

        def attack(written: list[bytes]) -> None:
            store.delete(names.flow_stream(FLOW))
            for entry in (_json({**sensible, "phase": "start"}), *written):
                store.xadd(names.flow_stream(FLOW), {names.STREAM_FIELD: entry})
            for index in (names.OPEN_FLOWS, names.user_flows("7"), names.session_flows("s-7")):
                store.zadd(index, {FLOW: time.time()})
            for path in paths:
                answer = client.get(path)
                assert answer.status_code in {200, 404}, (path, answer.status_code, answer.text[:500])

        fuzzing.fuzz(examples, {"written": st.lists(entries, min_size=1, max_size=4)}, attack)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
