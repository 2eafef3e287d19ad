"""Jobs beside the requests: one that fails is logged and started again, and never stops the viewer."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from spanflow.viewer_api.background.jobs import JobRecord, JobRegistry

log = logging.getLogger(__name__)

Job = Callable[[], Awaitable[None]]
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_CANCEL_AGAIN: Final = 1.0


@asynccontextmanager
async def running(name: str, job: Job, registry: JobRegistry | None = None) -> AsyncIterator[None]:
    """`job`, which never ends by itself, while the block runs. `registry` records its state."""
    registry = registry or JobRegistry()
    record = registry.record(name)
    record.alive = True
    task = asyncio.create_task(_keep(record, job, registry.monotonic), name=f"spanflow {name}")
    task.add_done_callback(lambda _: setattr(record, "alive", False))
    try:
        yield
    finally:
        # A cancellation that meets a time-out can get lost in a library; without another the viewer would never stop.
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_CANCEL_AGAIN)


async def _keep(record: JobRecord, job: Job, monotonic: Callable[[], float]) -> None:
    pause = _FIRST_PAUSE
    while True:
        started = asyncio.get_running_loop().time()
        try:
            if isinstance(job, Rounds):
                await job(record)
            else:
                record.runs += 1
                await job()
        except Exception as error:
            record.failed(error, monotonic())
            log.exception("The background job %r failed and is restarted in %.0f s", record.name, pause)
        if asyncio.get_running_loop().time() - started > _LONGEST_PAUSE:
            pause = _FIRST_PAUSE
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class Rounds:
    """A job that does its work again and again."""

    seconds: float
    job: Job
    first_after: float

    async def __call__(self, record: JobRecord | None = None) -> None:
        await asyncio.sleep(self.first_after)
        while True:
            await self.job()
            if record is not None:
                record.runs += 1
            await asyncio.sleep(self.seconds)


def every(seconds: float, job: Job, *, first_after: float = 0.0) -> Rounds:
    """A job that does its work again and again."""
    return Rounds(seconds, job, first_after)
