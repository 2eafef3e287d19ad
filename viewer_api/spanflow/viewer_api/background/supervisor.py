"""Jobs beside the requests: one that fails is logged and started again, and never stops the viewer."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

log = logging.getLogger(__name__)

Job = Callable[[], Awaitable[None]]
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_CANCEL_AGAIN: Final = 1.0


@asynccontextmanager
async def running(name: str, job: Job) -> AsyncIterator[None]:
    """`job`, which never ends by itself, as long as the block lasts."""
    task = asyncio.create_task(_keep(name, job), name=f"spanflow {name}")
    try:
        yield
    finally:
        # A cancellation that meets a time-out can get lost in a library; without another the viewer would never stop.
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_CANCEL_AGAIN)


async def _keep(name: str, job: Job) -> None:
    pause = _FIRST_PAUSE
    while True:
        started = asyncio.get_running_loop().time()
        try:
            await job()
        except Exception:
            log.exception("The background job «%s» failed and is started again in %.0f s", name, pause)
        if asyncio.get_running_loop().time() - started > _LONGEST_PAUSE:
            pause = _FIRST_PAUSE
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def every(seconds: float, job: Job, *, first_after: float = 0.0) -> Job:
    """A job that does its work again and again."""

    async def again() -> None:
        await asyncio.sleep(first_after)
        while True:
            await job()
            await asyncio.sleep(seconds)

    return again
