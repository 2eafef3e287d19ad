"""The live socket's twin over plain HTTP: server-sent events, for curl and EventSource."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from dirty_equals import IsInt, IsStr
from inline_snapshot import snapshot

from tests.support.live_client import BEARER
from tests.support.people import VIEWER_7, write_tokens
from tests.support.poll import eventually_async
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer

pytestmark = pytest.mark.anyio
#: Parameters of the address: httpx takes several of one name.
Parameters = list[tuple[str, str | int | float | bool | None]]
SEVEN: Parameters = [("user_id", "7")]


@pytest.fixture
def watched(viewer: RunningViewer) -> RunningViewer:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7, 8], "reason": "ticket"})
    viewer.app.state.viewer.hub.feed_context.linger_seconds = 0.3
    return viewer


class EventClient:
    """Reads one stream as an EventSource does."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()
        self.messages: list[dict[str, Any]] = []
        self.comments: list[str] = []
        self.last_id: str | None = None
        self.ended = False

    async def next(self) -> None:
        fields: dict[str, str] = {}
        async for line in self._lines:
            if line == "":
                break
            name, _, value = line.partition(": ")
            if name == "":
                self.comments.append(value)
            fields[name] = value
        else:
            self.ended = True
        if "id" in fields:
            self.last_id = fields["id"]
        if "data" in fields:
            self.messages.append(orjson.loads(fields["data"]))

    async def until(self, done: Any) -> None:
        async with asyncio.timeout(8):
            while not done():
                assert not self.ended, (self.response.status_code, self.messages)
                await self.next()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    def events(self) -> list[tuple[str, str]]:
        return [(event["phase"], event["node_id"]) for message in self.of("events") for event in message["events"]]


@contextlib.asynccontextmanager
async def events_of(viewer: RunningViewer, parameters: Parameters, **headers: str) -> AsyncIterator[EventClient]:
    async with httpx.AsyncClient(base_url=viewer.origin, headers={**BEARER, **headers}, timeout=10) as http:
        async with http.stream("GET", "/api/v1/live", params=httpx.QueryParams(parameters)) as response:
            yield EventClient(response)


async def test_the_messages_are_those_of_the_socket(watched: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow()
    async with events_of(watched, SEVEN) as client:
        assert client.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert client.response.headers["x-accel-buffering"] == "no"
        assert client.response.headers["cache-control"] == "no-store"
        flow.start("root")
        flow.end("root")
        await client.until(lambda: len(client.events()) == 2)
    assert client.messages[:2] == snapshot(
        [
            {
                "type": "hello",
                "v": 1,
                "name": "operator",
                "heartbeat_seconds": 5.0,
                "server_time_ms": IsInt(),
                "stalled_after_seconds": 60.0,
                "redis": "up",
            },
            {"type": "subscribed", "user_id": 7, "watched": True, "expires_at": IsStr(), "metadata_only": False},
        ]
    )
    assert client.events() == [("start", "root"), ("end", "root")]
    await eventually_async(lambda: watched.app.state.viewer.hub.sockets == 0)
    assert watched.app.state.viewer.hub.feeds() == 0


async def test_the_last_event_id_goes_on_for_all_topics_at_once(watched: RunningViewer, make_flow: MakeFlow) -> None:
    seven, eight = make_flow("7"), make_flow("8", conversation_id="ü 1")
    topics: Parameters = [("user_id", "7"), ("user_id", "8"), ("flow_id", seven.flow_id), ("conversation_id", "ü 1")]
    seen: list[tuple[str, str]] = []
    last_id = ""
    for flow in (seven, eight):
        flow.start(f"{flow.user_id}-before")
    for round_ in range(4):
        async with events_of(watched, topics, **({"Last-Event-ID": last_id} if last_id else {})) as client:
            for flow in (seven, eight):
                flow.start(f"{flow.user_id}-in-{round_}")
            await client.until(lambda: len(client.events()) == 8)
            assert not client.of("resync")
            seen += client.events()
            assert client.last_id is not None
            last_id = client.last_id
        for flow in (seven, eight):
            flow.start(f"{flow.user_id}-away-{round_}")
    # Each flow is in two of the topics.
    written = [(event["phase"], event["node_id"]) for flow in (seven, eight) for event in flow.written[:-1]]
    assert sorted(seen) == sorted(written * 2)


async def test_a_stream_ends_when_its_flow_is_complete(watched: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow()
    flow.start("root")
    async with events_of(watched, [("flow_id", flow.flow_id)]) as client:
        await client.until(lambda: client.events())
        flow.end("root")
        flow.close()
        await client.until(lambda: client.ended)
    assert client.events() == [("start", "root"), ("end", "root")]
    assert [message["type"] for message in client.messages[-2:]] == ["unsubscribed", "closing"]


async def test_comments_keep_a_silent_stream_alive(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_heartbeat_seconds=0.1)
    viewer.post("/api/v1/monitoring/enable/7")
    async with events_of(viewer, SEVEN) as client:
        await client.until(lambda: len(client.comments) >= 3)
    assert not client.of("closing")


@pytest.mark.parametrize(
    ("parameters", "headers", "status", "code"),
    [
        ([], {}, 422, "invalid_request"),
        ([("user_id", "a/b")], {}, 422, "invalid_id"),
        ([("user_id", "9")], {}, 422, "reason_required"),
        ([("flow_id", "f" * 32)], {}, 404, "flow_not_found"),
        ([("conversation_id", "c")], {}, 404, "conversation_not_found"),
        ([("user_id", str(number)) for number in range(21)], {}, 422, "invalid_request"),
        (SEVEN, {"Authorization": "Bearer wrong"}, 401, "not_signed_in"),
    ],
)
async def test_what_cannot_be_followed_is_a_problem_and_no_stream(
    watched: RunningViewer, parameters: Parameters, headers: dict[str, str], status: int, code: str
) -> None:
    async with events_of(watched, parameters, **headers) as client:
        assert client.response.status_code == status
        assert orjson.loads(await client.response.aread())["code"] == code
    assert watched.app.state.viewer.hub.sockets == 0


async def test_a_reason_comes_in_a_header_and_rights_hold(make_viewer: MakeViewer, tmp_path: Any) -> None:
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens", VIEWER_7)))
    async with events_of(viewer, [("user_id", "9")], **{"X-Spanflow-Reason": "hangs"}) as client:
        await client.until(lambda: client.of("subscribed"))
    async with events_of(viewer, SEVEN, **VIEWER_7.bearer) as own:
        await own.until(lambda: own.of("subscribed"))
    async with events_of(viewer, [("user_id", "8")], **VIEWER_7.bearer) as other:
        assert other.response.status_code == 403


async def test_a_useless_id_means_starting_over(watched: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow()
    flow.start("root")
    async with events_of(watched, SEVEN, **{"Last-Event-ID": "nonsense"}) as client:
        await client.until(lambda: client.events())
    assert [message["reason"] for message in client.of("resync")] == ["cursor_expired"]


async def test_curl_follows_a_flow(watched: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow()
    flow.start("root")
    command = ["curl", "-sN", "-H", f"Authorization: Bearer {TOKEN}", "-H", "Accept: text/event-stream"]

    def run() -> str:
        address = f"{watched.origin}/api/v1/live?flow_id={flow.flow_id}"
        return subprocess.run([*command, address], capture_output=True, text=True, timeout=15).stdout

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(asyncio.to_thread(run))
        await eventually_async(lambda: watched.app.state.viewer.hub.sockets == 1)
        flow.end("root")
        flow.close()
    data = [orjson.loads(line[6:]) for line in reading.result().splitlines() if line.startswith("data: ")]
    found = [event["phase"] for message in data if message["type"] == "events" for event in message["events"]]
    assert found == ["start", "end"]
