"""Redis and Postgres both away from a real gateway: its requests are as quick, and afterwards nothing is missing."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.asker import COMMAND, USER, Asker, environment
from tests.support.gateway_process import gateway_process
from tests.support.live_client import following
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.viewer_server import running_viewer

MakeProxy = Callable[[str], TcpProxy]
#: Whoever waited for a server would wait for longer than this.
QUICK = 1.0
EVENTS_OF_A_REQUEST = 8


@pytest.mark.anyio
async def test_requests_are_answered_and_every_flow_is_there_afterwards(
    redis_url: str, postgres_dsn: str, tmp_path: Path, proxy: MakeProxy
) -> None:
    redis_line, postgres_line = proxy(redis_url), proxy(postgres_dsn)
    settings = environment(redis_line.url, postgres_line.url, tmp_path / "gateway")
    with (
        gateway_process(COMMAND, tmp_path / "log", settings) as gateway,
        running_viewer(postgres_line.url, redis_line.url, tmp_path / "viewer") as viewer,
        Asker(gateway.url) as asker,
    ):
        await asyncio.to_thread(viewer.post, f"/api/v1/monitoring/enable/{USER}")
        async with following(viewer, USER) as client:
            before = await asyncio.to_thread(asker.asks, 20)
            await client.until(lambda: asker.flows[-1] in client.flows())
            redis_line.cut()
            postgres_line.cut()
            during = await asyncio.to_thread(asker.asks, 60)
            assert during < max(QUICK, 5 * before)
            # There is nobody to take them.
            await asyncio.to_thread(eventually, lambda: asker.counts()["stages"]["mirror"]["waiting"] > 0, 20)
            redis_line.restore()
            postgres_line.restore()
            await asyncio.to_thread(asker.asks, 20)
            await client.until(lambda: asker.flows[-1] in client.flows(), within=60)
        await asyncio.to_thread(eventually, lambda: asker.all_in(postgres_dsn), 20)
        await asyncio.to_thread(eventually, asker.settled, 20)
        stages = asker.counts()["stages"]
    assert stages["intake"]["accepted"] == EVENTS_OF_A_REQUEST * len(asker.flows)
    assert stages["postgres"]["accepted"] == stages["postgres"]["delivered"] == len(asker.flows)
    assert all(stage["dropped"] == {} for stage in stages.values())
    assert "Traceback" not in gateway.said


def test_requests_go_on_while_postgres_accepts_and_never_answers(
    redis_url: str, postgres_dsn: str, tmp_path: Path, proxy: MakeProxy
) -> None:
    line = proxy(postgres_dsn)
    settings = environment(redis_url, line.url, tmp_path / "gateway", SPANFLOW_POSTGRES_TIMEOUT="1")
    with gateway_process(COMMAND, tmp_path / "log", settings) as gateway, Asker(gateway.url) as asker:
        asker.asks(10)
        eventually(lambda: asker.all_in(postgres_dsn), within=10)
        line.half_open()
        assert asker.asks(60) < QUICK
        eventually(lambda: asker.counts()["spool_bytes"] > 0, within=10)
        assert asker.asks(10) < QUICK
        line.restore()
        eventually(lambda: asker.all_in(postgres_dsn), within=60)
        eventually(asker.settled, within=60)
        stages = asker.counts()["stages"]
    assert stages["postgres"] == {"accepted": 80, "delivered": 80, "dropped": {}, "waiting": 0}
    assert stages["intake"]["accepted"] == stages["intake"]["delivered"] == EVENTS_OF_A_REQUEST * 80
