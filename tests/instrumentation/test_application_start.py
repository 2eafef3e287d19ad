"""When the application has started, its process is ready: connected to Redis, and it knows who is watched."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastapi
import pytest
import redis

from spanflow.instrumentation import configure, shutdown
from spanflow.instrumentation.startup import started
from spanflow.span_processors import names
from spanflow.span_processors.settings import Settings
from tests.support.poll import eventually
from tests.support.ports import free_port


@pytest.fixture(autouse=True)
def stopped_afterwards(fresh_otel: None) -> Iterator[None]:
    yield
    running = started()
    shutdown()
    if running is not None:
        running.provider.shutdown()


def settings(redis_url: str, tmp_path: Path) -> Settings:
    # The watched users are not read again by themselves while a test runs.
    return Settings(
        enabled=True, redis_url=redis_url, archive_enabled=False, data_dir=str(tmp_path), watched_refresh=300
    )


async def start_up(app: Any, until: Any = lambda: True) -> float:
    """Take an application through its lifespan's start; seconds until it said that it was ready."""
    said: asyncio.Queue[str] = asyncio.Queue()
    asked: asyncio.Queue[str] = asyncio.Queue()

    async def receive() -> dict[str, Any]:
        return {"type": await asked.get()}

    async def send(message: dict[str, Any]) -> None:
        said.put_nowait(message["type"])

    serving = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send))
    begun = time.monotonic()
    asked.put_nowait("lifespan.startup")
    assert await said.get() == "lifespan.startup.complete"
    took = time.monotonic() - begun
    await asyncio.to_thread(eventually, until)
    asked.put_nowait("lifespan.shutdown")
    assert await said.get() == "lifespan.shutdown.complete"
    await serving
    return took


def ours() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("spanflow-")}


def test_it_is_connected_and_knows_who_is_watched_before_the_first_request(redis_url: str, tmp_path: Path) -> None:
    with redis.Redis.from_url(redis_url) as client:

        def connections() -> int:
            return len(client.client_list()) - 1

        client.zadd(names.MONITORED_UNTIL, {"7": time.time() + 60})
        app = fastapi.FastAPI()
        assert configure(app, settings=settings(redis_url, tmp_path))
        assert (ours(), connections()) == (set(), 0)
        running = started()
        assert running is not None
        # One connection hears of changes, one reads who is watched, and one writes events.
        asyncio.run(start_up(app, lambda: running.pipeline.is_watched("7") and connections() == 3))
        assert client.dbsize() == 1, "no flow and no heartbeat of a process that has traced nothing"


def test_an_application_starts_at_once_although_redis_is_away(tmp_path: Path) -> None:
    app = fastapi.FastAPI()
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    assert configure(app, settings=settings(nowhere, tmp_path))
    assert asyncio.run(start_up(app)) < 1.0
