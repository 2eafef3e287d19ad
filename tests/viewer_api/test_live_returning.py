"""Clients that come back and are further than the viewer that they come to."""

import asyncio
from typing import Any

import pytest
import redis

from spanflow.span_processors import names
from spanflow.viewer_api.live import feed
from tests.support.live_client import LiveClient, following
from tests.viewer_api.conftest import MakeFlow, MakeViewer

pytestmark = pytest.mark.anyio


async def until_caught_up(client: LiveClient) -> None:
    """The last frame of what was missed has no events, and where the client is then."""
    await client.until(lambda: any(not message["events"] for message in client.of("events")))


async def test_cut_off_twice_before_the_viewer_has_seen_a_flow_gives_it_once(
    make_viewer: MakeViewer, make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    # A viewer looks once, and then only where a bell rings.
    monkeypatch.setattr(feed, "_TICK_SECONDS", 3600.0)
    one, other = make_viewer(), make_viewer()
    reason: dict[str, Any] = {"reason": "nobody watches"}
    async with following(other, **reason) as stays:
        await until_caught_up(stays)
        flow = make_flow(watched=False)
        flow.start("first")
        async with following(one, **reason) as client:
            await client.until_event("start", "first")
            await until_caught_up(client)
            cursor = client.cursor
        for _ in range(3):
            async with following(other, cursor=cursor, **reason) as client:
                await until_caught_up(client)
                assert client.nodes() == set()
                cursor = client.cursor
        async with following(other, cursor=cursor, **reason) as client:
            await until_caught_up(client)
            flow.start("second")
            publisher = redis.Redis.from_url(redis_url)
            await asyncio.to_thread(publisher.publish, names.flow_bell("7"), flow.flow_id)
            publisher.close()
            await stays.until_event("start", "second")
            await client.until_event("start", "second")
            assert client.events() == [("start", "second")]
            cursor = client.cursor
        async with following(other, cursor=cursor, **reason) as client:
            await until_caught_up(client)
            assert client.nodes() == set()
    assert stays.events() == [("start", "first"), ("start", "second")]


async def test_a_flow_that_began_while_a_client_was_away_and_runs_is_not_called_over(
    make_viewer: MakeViewer, make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_TICK_SECONDS", 3600.0)
    viewer = make_viewer()
    reason: dict[str, Any] = {"reason": "nobody watches"}
    async with following(viewer, **reason) as stays:
        await until_caught_up(stays)
        make_flow(watched=False).start("runs")
        async with following(viewer, cursor=stays.cursor, **reason) as client:
            await until_caught_up(client)
    assert client.nodes() == {"runs"}
    assert [message["open"] for message in client.of("flow")] == [True]
