"""Flows and conversations followed live: each with its own cursor, to its end, by whoever may see its user."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import redis
from dirty_equals import IsStr
from inline_snapshot import snapshot

from spanflow.span_processors import names
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import part, span
from tests.support.live_client import following, live
from tests.support.people import VIEWER_7, write_tokens
from tests.support.query import query
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, of

pytestmark = pytest.mark.anyio
REASON = "hangs since ten minutes"


@pytest.fixture
def watched(viewer: RunningViewer) -> RunningViewer:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7, 8], "reason": "ticket"})
    # A complete flow is looked at for a minute, and a test has no minute.
    linger(viewer, 0.3)
    return viewer


def linger(viewer: RunningViewer, seconds: float) -> None:
    viewer.app.state.viewer.hub.feed_context.linger_seconds = seconds


async def test_a_running_flow_is_followed_to_its_end(
    watched: RunningViewer, make_flow: MakeFlow, postgres_dsn: str
) -> None:
    flow, other = make_flow(), make_flow()
    flow.start("root")
    other.start("of another flow")
    async with live(watched) as client:
        await client.send(type="subscribe", flow_id=flow.flow_id)
        assert await client.of_type("subscribed") == {
            "type": "subscribed",
            "flow_id": flow.flow_id,
            "watched": True,
            "expires_at": IsStr(),
            "metadata_only": False,
        }
        await client.until_events(1)
        flow.step("tool", "root", "tool_call")
        flow.end("root")
        flow.close()
        await client.until(lambda: client.of("flow") and client.of("flow")[-1]["open"] is False)
        flow.end("late", "root")
        flow.close()
        assert await client.of_type("unsubscribed") == {
            "type": "unsubscribed",
            "flow_id": flow.flow_id,
            "reason": "complete",
        }
    assert client.events() == snapshot(
        [("start", "root"), ("start", "tool"), ("end", "tool"), ("end", "root"), ("end", "late")]
    )
    looks = "SELECT target_user, target, reason FROM omni2.audit_log WHERE action = 'live_opened'"
    assert await asyncio.to_thread(query, postgres_dsn, looks) == [
        {"target_user": "7", "target": flow.flow_id, "reason": "ticket"}
    ]


async def test_a_flow_that_is_complete_is_shown_and_that_is_all(
    watched: RunningViewer, make_flow: MakeFlow, postgres_dsn: str, redis_url: str, tmp_path: Path
) -> None:
    in_redis, in_postgres = make_flow(), make_flow(flow_id=f"{1:032x}", session_id="s1")
    in_redis.step("tool", None, "tool_call")
    in_redis.close()
    in_postgres.start("0000000000000001")

    def archive() -> None:
        with archives_in(postgres_dsn, tmp_path / "archive") as archives:
            deliver(archives.make(), part(1, [span(1), span(2, 1)], **of("s1")))
        in_postgres.close()
        with redis.Redis.from_url(redis_url) as server:
            server.delete(names.flow_stream(in_postgres.flow_id))

    await asyncio.to_thread(archive)
    async with live(watched) as client:
        await client.send(type="subscribe", flow_id=[in_redis.flow_id, in_postgres.flow_id])
        await client.until(lambda: len(client.of("unsubscribed")) == 2)
    assert {message["reason"] for message in client.of("unsubscribed")} == {"complete"}
    assert client.events() == [("start", "tool"), ("end", "tool")]
    (stored,) = client.of("snapshot")
    assert stored["flow_id"] == in_postgres.flow_id
    assert [entry["phase"] for entry in stored["events"]] == ["end", "end"]


async def test_each_topic_goes_on_from_its_own_cursor(watched: RunningViewer, make_flow: MakeFlow) -> None:
    flow, chat = make_flow(), make_flow("8", conversation_id="c-1")
    flow.start("a1")
    chat.start("b1")
    async with live(watched) as client:
        await client.send(type="subscribe", flow_id=flow.flow_id, conversation_id="c-1", user_id=[7, 8])
        await client.until(lambda: len(client.of("subscribed")) == 4 and len(client.events()) == 4)
        kinds = [next(key for key in message if key.endswith("_id")) for message in client.of("subscribed")]
        assert sorted(kinds) == ["conversation_id", "flow_id", "user_id", "user_id"]
        await client.send(type="ping")
        await client.of_type("pong")
        cursors = {
            kind: next(
                message["cursor"]
                for message in reversed(client.messages)
                if message.get("cursor") and kind in message and "user_id" not in message
            )
            for kind in ("flow_id", "conversation_id")
        }
    flow.start("a2")
    chat.start("b2")
    async with live(watched) as client:
        await client.send(type="subscribe", flow_id=flow.flow_id, cursor=cursors["flow_id"])
        await client.send(type="subscribe", conversation_id="c-1", cursor=cursors["conversation_id"])
        await client.until_events(2)
        flow.start("a3")
        await client.until_event("start", "a3")
    assert sorted(client.events()) == [("start", "a2"), ("start", "a3"), ("start", "b2")]


async def test_a_conversation_is_followed_over_its_turns_and_only_that_of_its_user(
    watched: RunningViewer, make_flow: MakeFlow
) -> None:
    first = make_flow(conversation_id="c-1")
    first.start("first")
    async with live(watched) as client:
        await client.send(type="subscribe", conversation_id="c-1")
        await client.until_events(1)
        second = make_flow(conversation_id="c-1")
        second.start("second")
        # Somebody else's client may call its conversation the same.
        make_flow("8", conversation_id="c-1").start("somebody else's")
        make_flow(conversation_id="c-2").start("another conversation's")
        await client.until_event("start", "second")
        second.end("second")
        await client.until_event("end", "second")
    assert client.nodes() == {"first", "second"}


async def test_what_is_not_there_is_said(watched: RunningViewer) -> None:
    async with live(watched) as client:
        await client.send(type="subscribe", flow_id="f" * 32)
        assert (await client.of_type("error"))["code"] == "flow_not_found"
        await client.send(type="subscribe", conversation_id="nobody's", reason=REASON)
        refused = await client.of_type("error")
        assert (refused["code"], refused["conversation_id"]) == ("conversation_not_found", "nobody's")


async def test_flows_of_somebody_who_is_not_watched_need_a_reason(viewer: RunningViewer, make_flow: MakeFlow) -> None:
    flow, nobodys = make_flow("9", conversation_id="c-9"), make_flow(None, session_id=None)
    flow.start("root")
    nobodys.start("root of nobody")
    async with live(viewer) as client:
        wanted: list[dict[str, Any]] = [
            {"flow_id": flow.flow_id},
            {"conversation_id": "c-9"},
            {"flow_id": nobodys.flow_id},
        ]
        for topic in wanted:
            await client.send(type="subscribe", **topic)
            assert (await client.of_type("error"))["code"] == "reason_required"
        for topic in wanted:
            await client.send(type="subscribe", **topic, reason=REASON)
            assert (await client.of_type("subscribed"))["watched"] is False
        await client.until(lambda: client.nodes() == {"root", "root of nobody"})


async def test_a_watch_that_ends_takes_flows_and_conversations_with_it(
    watched: RunningViewer, make_flow: MakeFlow
) -> None:
    flow = make_flow(conversation_id="c-1")
    flow.start("root")
    async with live(watched) as client:
        await client.send(type="subscribe", flow_id=flow.flow_id, conversation_id="c-1", user_id=7)
        await client.until_events(3)
        await asyncio.to_thread(watched.post, "/api/v1/monitoring/disable/7")
        await client.until(lambda: len(client.of("unsubscribed")) == 3)
    assert {message["reason"] for message in client.of("unsubscribed")} == {"disabled"}


async def test_unsubscribing_ends_one_topic(watched: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow()
    flow.start("root")
    async with following(watched) as client:
        await client.send(type="subscribe", flow_id=flow.flow_id)
        await client.until_events(2)
        await client.send(type="unsubscribe", flow_id=flow.flow_id)
        ended = await client.of_type("unsubscribed")
        assert (ended["flow_id"], ended["reason"]) == (flow.flow_id, "requested")
        flow.end("root")
        await client.until_event("end", "root")
        assert client.events().count(("end", "root")) == 1


async def test_a_forged_cursor_shows_nothing_of_others(watched: RunningViewer, make_flow: MakeFlow) -> None:
    """A cursor names flows, and comes from the client; even with the secret it opens nothing."""
    strangers = make_flow("666", watched=False)
    strangers.start("secret")
    strangers.end("secret")
    strangers.close()
    key = watched.app.state.viewer.hub.feed_context.cursors
    forged = key.cursor(0, {strangers.flow_id: "1-0"}).encoded()
    async with following(watched, 7, cursor=forged) as client:
        make_flow().start("mine")
        await client.until_event("start", "mine")
        await client.send(type="ping")
        await client.of_type("pong")
    assert client.nodes() == {"mine"}


async def test_one_socket_follows_a_hundred_things(watched: RunningViewer) -> None:
    async with live(watched) as client:
        await client.send(type="subscribe", user_id=list(range(1000, 1101)), reason=REASON)
        refused = await client.of_type("error")
        assert (refused["code"], refused["user_id"]) == ("too_many_topics", 1100)
        assert len(client.of("subscribed")) == 100


async def test_who_may_not_see_a_user_finds_nothing_of_theirs(
    make_viewer: MakeViewer, make_flow: MakeFlow, tmp_path: Path
) -> None:
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens", VIEWER_7)))
    own = make_flow("7", conversation_id="c-both")
    own.start("own")
    flow = make_flow("8", conversation_id="c-both")
    flow.start("of 8")
    make_flow("8", conversation_id="c-8").start("of 8 as well")
    async with live(viewer, additional_headers=VIEWER_7.bearer) as client:
        for topic in ({"flow_id": flow.flow_id}, {"conversation_id": "c-8"}, {"user_id": 8}):
            await client.send(type="subscribe", **topic, reason=REASON)
        await client.until(lambda: len(client.of("error")) == 3)
        # Nobody has to say why they look at themselves.
        await client.send(type="subscribe", flow_id=own.flow_id, conversation_id="c-both", user_id=7)
        await client.until(lambda: len(client.events()) == 3)
    codes = [message["code"] for message in client.of("error")]
    assert codes == ["flow_not_found", "conversation_not_found", "forbidden"]
    assert client.nodes() == {"own"}
