"""Archives what processes that are gone have left open: read back from Redis, once, by any viewer.

A flow whose process stands still is not dead: as long as its heartbeat is there a quiet call may take its hours. And
what was taken for dead by mistake is put right by itself: when the process is heard of again, what it hands over is
merged into the same row, which then is a normal one.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import orjson
from redis.exceptions import RedisError

from spanflow.span_processors import names
from spanflow.span_processors.archive.archive import ArchiveSink, build_archive
from spanflow.span_processors.clock import Clock, SystemClock
from spanflow.span_processors.event.event import EventError, decode
from spanflow.span_processors.flow_part import REAPED, FlowPart
from spanflow.span_processors.redis.redis_client import async_client, close_async_client
from spanflow.span_processors.shared_settings import SharedSettings
from spanflow.span_processors.stages.sink import Unavailable
from spanflow.span_processors.tree.flow_identity import identity_of_flow
from spanflow.span_processors.tree.reducer import FlowReducer
from spanflow.span_processors.tree.tree import time_of

_log = logging.getLogger(__name__)

R = TypeVar("R")

#: Entries read from Redis in one go.
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a process must have been silent, in seconds."""

    #: A flow is looked at when nothing has been written to it for so long.
    quiet: float = 20.0
    #: A process counts as gone when its heartbeat (which lives for 20 s itself) has been missing for so long. Longer
    #: than a gateway takes to come back to a Redis that was away.
    missing: float = 15.0
    #: How long one viewer keeps a flow to itself while it archives it.
    lock: float = 60.0
    #: A flow of which every span has ended should have been archived after so long. If it was not (its process had
    #: neither Postgres nor room on its disk, or it began in a process that does not run Spanflow), the reaper does it.
    settled: float = 600.0
    #: An entry without a stream is taken out of the index after so long.
    forgotten: float = 3600.0


@dataclass(frozen=True, slots=True)
class _Quiet:
    """A flow that nobody writes to."""

    last_write: float
    #: The processes that wrote to it and have not been reaped yet.
    processes: frozenset[str]
    all_ended: bool


class Reaper:
    """Run it as a task of the viewer: `await Reaper(settings).run()`. It ends when it is cancelled, and never raises.

    It also replays what processes that are gone have left in the spool of this machine.
    """

    def __init__(
        self,
        settings: SharedSettings,
        *,
        redis: Any = None,
        archive: ArchiveSink | None = None,
        clock: Clock | None = None,
        every: float = 10.0,
        patience: Patience | None = None,
    ) -> None:
        self._settings = settings
        self._own_redis = redis is None
        self._redis = redis
        self._token = uuid.uuid4().hex
        self._archive = archive or build_archive(settings, lambda: f"reaper-{self._token}")
        self._clock = clock or SystemClock()
        self._every = every
        self._patience = patience or Patience()
        self._missing: dict[str, float] = {}
        #: What is known of quiet flows, by flow id.
        self._known: dict[str, _Quiet] = {}
        self._said = ""
        # One thread, because the archive's connection belongs to the thread that opened it.
        self._thread = ThreadPoolExecutor(1, "spanflow-reaper")
        #: Flows archived so far.
        self.reaped = 0

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        try:
            while True:
                await self.scan()
                await asyncio.sleep(self._every)
        finally:
            await self.close()

    async def scan(self) -> int:
        """Look once; how many flows were archived. Servers that are away are waited for, and said once."""
        try:
            await self._in_thread(self._replay_spools)
            found = await self._look()
        except Unavailable as why:
            self._say(f"Postgres is away: {why}")
        except (RedisError, OSError) as why:
            # Heartbeats that could not be seen are no heartbeats that were missing.
            self._missing.clear()
            self._say(f"Redis is away: {why}")
        except Exception:
            _log.exception("looking for flows of processes that are gone failed")
        else:
            self._said = ""
            return found
        return 0

    def _say(self, what: str) -> None:
        if not self._said:
            _log.warning("flows of processes that are gone have to wait; %s", what)
        self._said = what

    async def close(self) -> None:
        """Let go of connections; what waited stays where it is."""
        await self._in_thread(lambda: self._archive.close(time.monotonic() + 2))
        self._thread.shutdown(wait=False)
        if self._own_redis and self._redis is not None:
            with suppress(RedisError, OSError):
                await close_async_client(self._redis)
            self._redis = None

    # -- finding them --------------------------------------------------------------------------------------------------

    async def _look(self) -> int:
        if self._redis is None:
            self._redis = async_client(self._settings)
        now = self._clock.time_ns() / 1e9
        scores = {flow_id: score async for flow_id, score in self._quiet_flows(now)}
        self._known = {flow_id: await self._look_at(flow_id, score, now) for flow_id, score in scores.items()}
        gone = await self._gone({process for flow in self._known.values() for process in flow.processes})
        found = 0
        for flow_id, flow in list(self._known.items()):
            overdue = flow.all_ended and now - flow.last_write > self._patience.settled
            ours = flow.processes if overdue else flow.processes & gone
            if ours:
                found += await self._reap(flow_id, ours, bool(flow.processes - ours))
        return found

    async def _quiet_flows(self, now: float) -> AsyncIterator[tuple[str, float]]:
        """Entries of the index that nobody has refreshed for a while."""
        start = 0
        while True:
            page = await self._redis.zrangebyscore(
                names.OPEN_FLOWS, "-inf", now - self._patience.quiet, start=start, num=_PAGE, withscores=True
            )
            for member, score in page:
                yield _text(member), score
            if len(page) < _PAGE:
                return
            start += _PAGE

    async def _look_at(self, flow_id: str, score: float, now: float) -> _Quiet:
        """Its stream is read once, and again when somebody has written to it."""
        known = self._known.get(flow_id)
        if known is not None and known.last_write == score:
            return known
        events = await self._events(flow_id)
        if not events and now - score > self._patience.forgotten:
            await self._redis.zrem(names.OPEN_FLOWS, flow_id)
        entries = FlowReducer(events).entries()
        done = {_text(member) for member in await self._redis.smembers(_reaped_key(flow_id))}
        return _Quiet(
            score,
            frozenset(entry["process"] for entry in entries if entry.get("process")) - done,
            all(entry["phase"] == names.END for entry in entries),
        )

    async def _gone(self, processes: set[str]) -> set[str]:
        """Those whose heartbeat has been missing for long enough."""
        now = self._clock.monotonic()
        missing: dict[str, float] = {}
        for process in processes:
            if not await self._redis.exists(names.process_heartbeat(process)):
                missing[process] = self._missing.get(process, now)
        self._missing = missing
        return {process for process, since in missing.items() if now - since >= self._patience.missing}

    # -- archiving one -------------------------------------------------------------------------------------------------

    async def _reap(self, flow_id: str, gone: frozenset[str], others_live: bool) -> int:
        lock = names.flow_key(flow_id, "reaper")
        if not await self._redis.set(lock, self._token, nx=True, px=int(self._patience.lock * 1000)):
            return 0
        try:
            # Another viewer may have been faster than our list of flows.
            if await self._redis.zscore(names.OPEN_FLOWS, flow_id) is None:
                return 0
            parts = await self._parts(flow_id, gone)
            if parts:
                deadline = time.monotonic() + self._settings.postgres_timeout
                receipt = await self._in_thread(partial(self._archive.deliver, parts, deadline))
                if receipt.again:
                    raise Unavailable(receipt.away)
            await self._leave(flow_id, gone, others_live)
        finally:
            with suppress(RedisError, OSError):
                if _text(await self._redis.get(lock)) == self._token:
                    await self._redis.delete(lock)
        self._known.pop(flow_id, None)
        self.reaped += 1
        _log.info("archived flow %s for %s", flow_id, ", ".join(sorted(gone)))
        return 1

    async def _leave(self, flow_id: str, gone: frozenset[str], others_live: bool) -> None:
        """Done: out of the index and soon out of Redis, unless a process that lives is still at it."""
        if others_live:
            await self._redis.sadd(_reaped_key(flow_id), *gone)
            await self._redis.expire(_reaped_key(flow_id), int(self._settings.stream_ttl))
            return
        await self._redis.zrem(names.OPEN_FLOWS, flow_id)
        await self._redis.delete(names.flow_activities(flow_id))
        await self._redis.expire(names.flow_stream(flow_id), int(self._settings.stream_ttl_archived))

    async def _parts(self, flow_id: str, gone: frozenset[str]) -> list[FlowPart]:
        """What each of the processes would have handed over, as far as the stream has it."""
        reducer = FlowReducer(await self._events(flow_id))
        entries = reducer.entries()
        whose = identity_of_flow(entries)
        parts = []
        said = tuple(await self._entries(names.flow_activities(flow_id)))
        for process in sorted(gone):
            own = [entry for entry in entries if entry.get("process", process) == process]
            if not own:
                continue
            times = [
                at for entry in own for name in ("start_ns", "updated_ns", "end_ns") if (at := time_of(entry, name))
            ]
            about = await self._redis.get(names.process_description(process))
            parts.append(
                FlowPart(
                    flow_id=flow_id,
                    instance_id=process,
                    entries=tuple(map(orjson.dumps, own)),
                    process=about.encode() if isinstance(about, str) else about or b"{}",
                    identity=whose,
                    activities=said,
                    started_ns=min(times, default=0),
                    ended_ns=max(times, default=0),
                    root_ended=any(entry.get("parent_id") is None and entry["phase"] == names.END for entry in own),
                    reason=REAPED,
                )
            )
            said = ()  # once is enough, whoever of them it was
        return parts

    async def _events(self, flow_id: str) -> list[Any]:
        """Everything that is in the flow's stream; what cannot be read is left out."""
        events: list[Any] = []
        for raw in await self._entries(names.flow_stream(flow_id)):
            with suppress(EventError):
                events.append(decode(raw))
        return events

    async def _entries(self, stream: str) -> list[bytes]:
        """The contents of a stream, page by page."""
        found: list[bytes] = []
        start = "-"
        while True:
            page = await self._redis.xrange(stream, start, "+", count=_PAGE)
            for entry_id, fields in page:
                start = f"({_text(entry_id)}"
                raw = fields.get(names.STREAM_FIELD) or fields.get(names.STREAM_FIELD.encode()) or b""
                found.append(raw.encode() if isinstance(raw, str) else raw)
            if len(page) < _PAGE:
                return found

    def _replay_spools(self) -> None:
        for _ in range(100):
            if self._archive.idle(time.monotonic() + self._settings.postgres_timeout) != 0.0:
                return

    async def _in_thread(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _reaped_key(flow_id: str) -> str:
    return names.flow_key(flow_id, "reaped")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
