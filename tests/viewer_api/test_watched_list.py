"""Who is watched reaches every client of every viewer process within a second."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from dirty_equals import IsPartialDict

from tests.support.live_client import LiveClient, following, live
from tests.support.people import VIEWER_7, WATCHES_7, write_tokens
from tests.support.proxy import TcpProxy
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer

pytestmark = pytest.mark.anyio


async def listening(stack: AsyncExitStack, viewer: RunningViewer) -> LiveClient:
    client = await stack.enter_async_context(live(viewer))
    await client.next()
    await client.send(type="subscribe", monitoring=True)
    return client


async def test_the_list_is_sent_once_and_then_what_changes(viewer: RunningViewer, make_viewer: MakeViewer) -> None:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7], "reason": "ticket"})
    other = make_viewer(viewer_recheck_seconds=60.0)
    async with AsyncExitStack() as stack:
        clients = [await listening(stack, each) for each in (viewer, other)]
        for client in clients:
            first = await client.next()
            assert first == {
                "type": "monitoring",
                "complete": True,
                "monitored_users": [IsPartialDict(user_id=7, reason="ticket", by="operator", metadata_only=False)],
                "ended": [],
            }
        begun = time.monotonic()
        viewer.post("/api/v1/monitoring/enable", {"user_ids": list(range(100, 400)), "metadata_only": True})
        for client in clients:
            seen: list[Any] = []
            while len(seen) < 300:
                seen += (await client.next(3.0))["monitored_users"]
            assert {each["user_id"] for each in seen} == set(range(100, 400))
            assert len(client.messages) < 20
        viewer.post("/api/v1/monitoring/extend/7", {"hours": 1, "reason": "longer"})
        viewer.post("/api/v1/monitoring/disable/100")
        for client in clients:
            changed = await client.next(3.0)
            assert [each["user_id"] for each in changed["monitored_users"]] == [7]
            ended = changed["ended"] or (await client.next(3.0))["ended"]
            assert ended == [{"user_id": 100, "reason": "disabled"}]
        assert time.monotonic() - begun < 5
        await clients[0].send(type="unsubscribe", monitoring=True)
        assert (await clients[0].next())["type"] == "unsubscribed"
        viewer.post("/api/v1/monitoring/disable/101")
        await clients[1].until(lambda: clients[1].messages[-1]["ended"])
        with pytest.raises(TimeoutError):
            await clients[0].next(0.2)


async def test_an_end_is_told_to_the_second_by_every_viewer_though_postgres_is_away(
    make_viewer: MakeViewer, proxy: Callable[[str], TcpProxy], postgres_dsn: str
) -> None:
    line = proxy(postgres_dsn)
    viewers = [make_viewer(), make_viewer(dsn=line.url)]
    viewers[0].post(f"/api/v1/monitoring/enable/7?ttl_hours={2 / 3600}")
    until = viewers[0].get("/api/v1/monitoring/list")["monitored_users"][0]
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(following(each)) for each in viewers]
        lists = [await listening(stack, each) for each in viewers]
        for client in lists:
            assert len((await client.next())["monitored_users"]) == 1
        line.cut()
        for client in clients:
            assert (await client.of_type("unsubscribed"))["reason"] == "expired"
        assert time.time() == pytest.approx(_seconds(until["expires_at"]), abs=1.0)
        for client in lists:
            ended = await client.next(3.0)
            assert ended["ended"] == [{"user_id": 7, "reason": "expired"}]


async def test_without_redis_other_viewers_hear_of_a_change_soon_all_the_same(
    make_viewer: MakeViewer, proxy: Callable[[str], TcpProxy], redis_url: str
) -> None:
    line = proxy(redis_url)
    viewers = [make_viewer(url=line.url, viewer_recheck_seconds=60.0, redis_timeout=0.2) for _ in range(2)]
    async with AsyncExitStack() as stack:
        client = await listening(stack, viewers[1])
        assert (await client.next())["monitored_users"] == []
        line.cut()
        viewers[1].get("/api/v1/monitoring/list")
        viewers[0].post("/api/v1/monitoring/enable/7")
        await client.until(lambda: any(message.get("monitored_users") for message in client.messages), within=4)


async def test_a_flush_of_redis_disturbs_nobody(viewer: RunningViewer, redis_url: str) -> None:
    viewer.post("/api/v1/monitoring/enable/7")
    async with AsyncExitStack() as stack:
        client = await listening(stack, viewer)
        await client.next()
        with redis.Redis.from_url(redis_url) as admin:
            admin.flushall()
        with pytest.raises(TimeoutError):
            await client.next(0.8)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


async def test_reading_the_list_is_logged(viewer: RunningViewer) -> None:
    async with AsyncExitStack() as stack:
        client = await listening(stack, viewer)
        await client.next()
    (entry,) = await asyncio.to_thread(lambda: viewer.get("/api/v1/audit?action=monitoring_followed")["entries"])
    assert entry["actor"] == "operator"


async def test_the_list_has_only_users_whom_one_may_see(make_viewer: MakeViewer, tmp_path: Path) -> None:
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", WATCHES_7, VIEWER_7)))
    viewer.post("/api/v1/monitoring/enable", [7, 8])
    async with live(viewer, additional_headers=WATCHES_7.bearer) as client:
        await client.next()
        await client.send(type="subscribe", monitoring=True, user_id=7)
        first = await client.of_type("monitoring")
        assert [each["user_id"] for each in first["monitored_users"]] == [7]
        await client.until(lambda: client.of("subscribed"))
        viewer.post("/api/v1/monitoring/disable", [8])
        viewer.post("/api/v1/monitoring/disable", [7])
        assert (await client.of_type("monitoring"))["ended"] == [{"user_id": 7, "reason": "disabled"}]
    async with live(viewer, additional_headers=VIEWER_7.bearer) as client:
        await client.next()
        await client.send(type="subscribe", monitoring=True)
        assert (await client.next())["code"] == "forbidden"
    denied = viewer.get("/api/v1/audit?outcome=denied")["entries"]
    assert [each["detail"]["asked"] for each in denied] == ["monitoring_followed"]
