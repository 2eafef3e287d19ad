"""The live socket: whole flows, in order, each event once, whatever happens on the way."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from dirty_equals import IsInt, IsStr
from inline_snapshot import snapshot

from spanflow.span_processors import names
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import part, span
from tests.support.live_client import following, live
from tests.support.poll import eventually_async
from tests.support.proxy import TcpProxy
from tests.support.query import query
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer

pytestmark = pytest.mark.anyio
ISO = IsStr(regex=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture
def watched(viewer: RunningViewer) -> RunningViewer:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7, 8], "reason": "ticket"})
    return viewer


async def test_a_flow_is_seen_from_start_to_end(watched: RunningViewer, make_flow: MakeFlow) -> None:
    async with live(watched) as client:
        assert await client.next() == {
            "type": "hello",
            "v": 1,
            "name": "operator",
            "heartbeat_seconds": 5.0,
            "server_time_ms": IsInt,
            "stalled_after_seconds": 60.0,
            "redis": "up",
        }
        await client.subscribe()
        assert await client.next() == {
            "type": "subscribed",
            "user_id": 7,
            "watched": True,
            "expires_at": ISO,
            "metadata_only": False,
        }
        flow = make_flow()
        flow.start("root", name="POST /ask")
        await client.until(lambda: client.events())
        flow.step("tool", "root", "tool_call", mcp="qa")
        flow.end("root")
        await client.until(lambda: len(client.events()) == 4)
        flow.close()
        await client.until(lambda: len(client.of("flow")) == 2)
    assert client.events() == snapshot([("start", "root"), ("start", "tool"), ("end", "tool"), ("end", "root")])
    assert [message["open"] for message in client.of("flow")] == [True, False]
    got = [event for message in client.of("events") for event in message["events"]]
    assert got == flow.written


async def test_who_looks_in_the_middle_sees_the_request_from_its_beginning(
    watched: RunningViewer, make_flow: MakeFlow
) -> None:
    flow, done = make_flow(), make_flow()
    done.start("old")
    done.close()
    for number in range(1200):
        flow.start(f"n{number}", f"n{number - 1}" if number else None)
    async with following(watched) as client:
        await client.until(lambda: len(client.nodes()) == 1200)
        flow.end("n1199")
        await client.until(lambda: ("end", "n1199") in client.events())
    assert {message["flow_id"] for message in client.of("snapshot")} == {flow.flow_id}
    assert client.events() == [("end", "n1199")]


async def test_one_socket_follows_several_users_and_lets_them_go(watched: RunningViewer, make_flow: MakeFlow) -> None:
    seven, eight = make_flow("7"), make_flow("8")
    async with live(watched) as client:
        for user_id in (7, "8"):
            await client.subscribe(user_id)
        seven.start("a")
        eight.start("b")
        await client.until(lambda: client.nodes() == {"a", "b"})
        await client.send(type="unsubscribe", user_id=7)
        assert await client.of_type("unsubscribed") == {"type": "unsubscribed", "user_id": 7, "reason": "requested"}
        seven.start("c")
        eight.start("d")
        await client.until(lambda: "d" in client.nodes())
        await client.send(type="ping")
        await client.of_type("pong")
    assert client.nodes() == {"a", "b", "d"}
    assert {message["user_id"] for message in client.of("events")} == {7, 8}


async def test_several_clients_see_the_same_and_each_is_in_the_audit_log(
    watched: RunningViewer, make_flow: MakeFlow, postgres_dsn: str
) -> None:
    async with following(watched) as one, following(watched) as two:
        flow = make_flow()
        for number in range(50):
            flow.start(f"n{number}")
        for client in (one, two):
            await client.until_events(50)
        assert one.events() == two.events()
        assert watched.app.state.viewer.hub.feeds() == 1
    await eventually_async(lambda: watched.app.state.viewer.hub.feeds() == 0)
    assert watched.app.state.viewer.hub.sockets == 0
    looks = "SELECT actor, action, target_user, reason FROM omni2.audit_log WHERE action = 'live_opened'"
    assert await asyncio.to_thread(query, postgres_dsn, looks) == [
        {"actor": "operator", "action": "live_opened", "target_user": "7", "reason": "ticket"}
    ]


async def test_a_late_identity_shows_the_flow_from_its_beginning(watched: RunningViewer, make_flow: MakeFlow) -> None:
    async with following(watched) as client:
        flow = make_flow(None, session_id=None)
        flow.start("root")
        flow.step("auth", "root", "auth_check")
        flow.user_id = "7"
        flow.start("llm", "root", "llm_thinking")
        await client.until(lambda: len(client.events()) == 4)
    assert client.events() == [("start", "root"), ("start", "auth"), ("end", "auth"), ("start", "llm")]


async def test_no_gap_and_no_duplicate_over_cut_lines(
    make_viewer: MakeViewer, make_flow: MakeFlow, proxy: Callable[[str], TcpProxy], redis_url: str
) -> None:
    line = proxy(redis_url)
    viewer = make_viewer(url=line.url)
    viewer.post("/api/v1/monitoring/enable/7")
    async with following(viewer) as one, following(viewer) as two:
        flows = [make_flow(), make_flow()]
        for round_ in range(6):
            for number in range(40):
                for index, flow in enumerate(flows):
                    flow.start(f"{index}-{round_}-{number}")
                if number == 20:
                    await asyncio.to_thread(line.drop_connections if round_ % 2 else line.cut)
            await asyncio.to_thread(line.restore)
        for client in (one, two):
            await client.until_events(480, within=15)
        # What came double would come now.
        flows[0].end("last")
        for client in (one, two):
            await client.until_event("end", "last")
            assert len(client.events()) == 481 == len(set(client.events()))
            for index in (0, 1):
                order = [node for _, node in client.events() if node.startswith(f"{index}-")]
                assert order == [event["node_id"] for event in flows[index].written if event["node_id"] != "last"]


async def test_a_client_resumes_from_its_cursor_without_gap_or_duplicate(
    watched: RunningViewer, make_flow: MakeFlow
) -> None:
    flow = make_flow()
    flow.start("root")
    seen: list[tuple[str, str]] = []
    cursor = None
    for round_ in range(5):
        async with following(watched, cursor=cursor) as client:
            flow.start(f"in-{round_}")
            await client.until_event("start", f"in-{round_}")
            seen += client.events()
            cursor = client.cursor
        # While nobody listens, the feed is gone as well.
        for number in range(3):
            flow.start(f"away-{round_}-{number}")
    flow.end("root")
    async with following(watched, cursor=cursor) as client:
        await client.until(lambda: ("end", "root") in client.events())
        seen += client.events()
        assert not client.of("resync")
    assert seen == [(event["phase"], event["node_id"]) for event in flow.written]


async def test_what_began_and_ended_while_a_client_was_away_comes_as_a_snapshot(
    watched: RunningViewer, make_flow: MakeFlow
) -> None:
    before, kept = make_flow(), make_flow()
    before.start("before")
    kept.start("kept")
    async with following(watched) as client:
        await client.until(lambda: client.nodes() == {"before", "kept"} and client.cursor)
        cursor = client.cursor
    before.end("before")
    before.close()
    meanwhile = make_flow()
    meanwhile.step("meanwhile", None, "tool_call")
    meanwhile.close()
    async with following(watched, cursor=cursor) as client:
        kept.start("now")
        await client.until(lambda: "now" in client.nodes() and len(client.of("snapshot")) == 2)
    snapshots = {message["flow_id"]: message["events"] for message in client.of("snapshot")}
    assert set(snapshots) == {before.flow_id, meanwhile.flow_id}
    assert [entry["phase"] for entry in snapshots[before.flow_id]] == ["end"]
    assert client.events() == [("start", "now")]


async def test_a_flow_that_redis_has_let_go_of_comes_from_postgres(
    watched: RunningViewer, make_flow: MakeFlow, postgres_dsn: str, redis_url: str, tmp_path: Path
) -> None:
    flow = make_flow(flow_id=f"{1:032x}", session_id="s1")
    flow.start("0000000000000001", name="step 1")
    async with following(watched) as client:
        await client.until(lambda: client.events() and client.cursor)
        cursor = client.cursor

    def archive() -> None:
        with archives_in(postgres_dsn, tmp_path / "archive") as archives:
            deliver(archives.make(), part(1, [span(1), span(2, 1, event_type="tool_call")]))
        flow.close()
        with redis.Redis.from_url(redis_url) as server:
            server.delete(names.flow_stream(flow.flow_id))

    await asyncio.to_thread(archive)
    async with following(watched, cursor=cursor) as client:
        await client.until(lambda: client.of("snapshot"))
    (stored,) = client.of("snapshot")
    assert [(entry["node_id"][-1], entry["phase"]) for entry in stored["events"]] == [("1", "end"), ("2", "end")]


async def test_a_useless_cursor_means_starting_over(watched: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow()
    flow.start("root")
    useless: list[Any] = ["nonsense", "eJw", "x" * 40_000, 7, {}]
    for cursor in useless:
        async with following(watched, cursor=cursor) as client:
            await client.until_events(1)
            assert [message["reason"] for message in client.of("resync")] == ["cursor_expired"]
            assert client.events() == [("start", "root")]


async def test_a_cursor_behind_a_trimmed_stream_brings_what_is_left(
    watched: RunningViewer, make_flow: MakeFlow, redis_url: str
) -> None:
    flow = make_flow()
    flow.start("gone")
    async with following(watched) as client:
        await client.until(lambda: client.events() and client.cursor)
        cursor = client.cursor
    flow.start("left")
    with redis.Redis.from_url(redis_url) as server:
        server.xtrim(names.flow_stream(flow.flow_id), maxlen=1, approximate=False)
    async with following(watched, cursor=cursor) as client:
        await client.until(lambda: client.of("snapshot"))
    assert client.of("resync") == [{"type": "resync", "user_id": 7, "reason": "cursor_expired"}]
    (left,) = client.of("snapshot")
    assert (left["truncated"], [entry["node_id"] for entry in left["events"]]) == (True, ["left"])


async def test_a_slow_client_holds_up_nobody_and_still_gets_everything(
    make_viewer: MakeViewer, make_flow: MakeFlow
) -> None:
    viewer = make_viewer(viewer_client_queue=50, viewer_client_queue_bytes=3_000_000)
    viewer.post("/api/v1/monitoring/enable/7")
    flow = make_flow()

    def write() -> None:
        for number in range(100):
            flow.start(f"n{number}", attributes={"text": "x" * 100_000})

    host, _, port = viewer.address.partition(":")
    line = socket.socket()
    # Little room on the way, so that the viewer soon feels that nobody reads.
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 512 * 1024)
    line.connect((host, int(port)))
    line.setblocking(False)
    reads_nothing: dict[str, Any] = {"sock": line, "max_queue": 1, "compression": None, "close_timeout": 0.1}
    async with following(viewer) as quick, following(viewer, connect=reads_nothing) as slow:
        async with asyncio.TaskGroup() as group:
            group.create_task(quick.until(lambda: len(quick.nodes()) == 100))
            group.create_task(asyncio.to_thread(write))
        assert not quick.of("resync")
        await slow.until(lambda: len(slow.nodes()) == 100)
        assert {message["reason"] for message in slow.of("resync")} == {"slow_client"}


async def test_bells_that_get_lost_cost_a_second_at_most(watched: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow(watched=False)
    async with following(watched) as client:
        flow.start("root")
        await client.until(lambda: client.events(), within=2.5)


async def test_clients_are_told_when_redis_is_away_and_when_it_is_back(
    make_viewer: MakeViewer, make_flow: MakeFlow, proxy: Callable[[str], TcpProxy], redis_url: str
) -> None:
    line = proxy(redis_url)
    viewer = make_viewer(url=line.url)
    viewer.post("/api/v1/monitoring/enable/7")
    async with following(viewer) as client:
        await asyncio.to_thread(line.cut)
        assert await client.of_type("state") == {"type": "state", "redis": "down"}
        async with live(viewer) as newcomer:
            assert (await newcomer.next())["redis"] == "down"
            await newcomer.subscribe()
            assert (await newcomer.next())["type"] == "subscribed"
            flow = make_flow()
            flow.start("meanwhile")
            await asyncio.to_thread(line.restore)
            assert await client.of_type("state") == {"type": "state", "redis": "up"}
            for each in (client, newcomer):
                await each.until_events(1)
                assert each.events() == [("start", "meanwhile")]


async def test_a_server_that_is_silent_is_noticed(
    make_viewer: MakeViewer, make_flow: MakeFlow, proxy: Callable[[str], TcpProxy], redis_url: str
) -> None:
    line = proxy(redis_url)
    viewer = make_viewer(url=line.url)
    viewer.post("/api/v1/monitoring/enable/7")
    async with following(viewer) as client:
        await asyncio.to_thread(line.half_open)
        assert await client.of_type("state") == {"type": "state", "redis": "down"}
        await asyncio.to_thread(line.restore)
        make_flow().start("root")
        await client.until(lambda: client.events() == [("start", "root")])


async def test_a_flushed_redis_is_said_and_what_comes_after_is_shown(
    watched: RunningViewer, make_flow: MakeFlow, redis_url: str
) -> None:
    flow = make_flow()
    flow.start("before")
    async with following(watched) as client:
        await client.until(lambda: client.events())
        with redis.Redis.from_url(redis_url) as server:
            server.flushall()
        flow.start("after")
        await client.until(lambda: "after" in client.nodes())


async def test_watching_that_ends_ends_the_subscription(watched: RunningViewer, make_flow: MakeFlow) -> None:
    watched.post(f"/api/v1/monitoring/enable/7?ttl_hours={2 / 3600}")
    async with following(watched) as client:
        assert await client.of_type("expiring") == {
            "type": "expiring",
            "user_id": 7,
            "expires_at": ISO,
            "seconds_left": IsInt(le=2),
        }
        flow = make_flow()
        flow.start("root")
        await client.until(lambda: client.events())
        await client.until(lambda: client.of("watch") and client.of("unsubscribed"))
        flow.start("after")
        await client.send(type="ping")
        await client.of_type("pong")
    assert client.of("watch") == [{"type": "watch", "user_id": 7, "watched": False, "expires_at": None}]
    assert client.of("unsubscribed") == [{"type": "unsubscribed", "user_id": 7, "reason": "expired"}]
    assert "after" not in client.nodes()


async def test_clients_hear_of_a_watch_that_is_extended_or_stopped(watched: RunningViewer) -> None:
    async with following(watched) as client:
        await asyncio.to_thread(watched.post, "/api/v1/monitoring/enable/7?ttl_hours=5")
        assert await client.of_type("watch") == {
            "type": "watch",
            "user_id": 7,
            "watched": True,
            "expires_at": ISO,
            "metadata_only": False,
        }
        await asyncio.to_thread(watched.post, "/api/v1/monitoring/disable/7")
        ended = await client.of_type("unsubscribed")
        assert ended == {"type": "unsubscribed", "user_id": 7, "reason": "disabled"}


async def test_looking_at_somebody_who_is_not_watched_needs_a_reason(
    viewer: RunningViewer, make_flow: MakeFlow, postgres_dsn: str
) -> None:
    flow = make_flow("9", watched=False)
    async with live(viewer) as client:
        await client.subscribe(9)
        refused = await client.of_type("error")
        assert refused == {
            "type": "error",
            "code": "reason_required",
            "detail": "This user is not watched: say why you look.",
            "user_id": 9,
        }
        await client.subscribe(9, reason="hangs since ten minutes")
        assert (await client.next())["watched"] is False
        flow.start("root")
        await client.until(lambda: client.events())
        flow.start("more")
        await client.until(lambda: len(client.events()) == 2)
    looks = "SELECT target_user, reason FROM omni2.audit_log WHERE action = 'live_opened'"
    rows = await asyncio.to_thread(query, postgres_dsn, looks)
    assert rows == [{"target_user": "9", "reason": "hangs since ten minutes"}]


async def test_a_process_that_disappears_is_reported_and_so_is_its_return(
    watched: RunningViewer, make_flow: MakeFlow
) -> None:
    flow = make_flow()
    flow.beat()
    flow.start("root")
    async with following(watched) as client:
        await client.until(lambda: client.events())
        flow.die()
        lost = await client.of_type("process")
        assert lost == {
            "type": "process",
            "user_id": 7,
            "flow_id": flow.flow_id,
            "process": "p-1",
            "alive": False,
        }
        async with following(watched) as late:
            assert (await late.of_type("process"))["alive"] is False
        flow.beat()
        assert (await client.of_type("process"))["alive"] is True


async def test_an_entry_that_cannot_be_read_stops_nobody(
    watched: RunningViewer, make_flow: MakeFlow, redis_url: str
) -> None:
    flow = make_flow()
    async with following(watched) as client:
        with redis.Redis.from_url(redis_url) as server:
            for poison in (b"{", b"\xff", b"null", b"[" * 2000, b'{"phase":"start"}'):
                server.xadd(names.flow_stream(flow.flow_id), {names.STREAM_FIELD: poison})
            server.xadd(names.flow_stream(flow.flow_id), {"other": "field"})
        flow.start("root")
        await client.until(lambda: client.events() == [("start", "root")])
