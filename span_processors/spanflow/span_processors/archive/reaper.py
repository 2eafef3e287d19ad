"""Archives what processes that are gone have left open: read back from Redis, once, by any viewer.

A flow whose process stands still is not dead: as long as its heartbeat is there a quiet call may take its hours. And
what was taken for dead by mistake is put right by itself: when the process is heard of again, what it hands over is
merged into the same row, which then is a normal one.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import asyncpg
import orjson
from redis.exceptions import RedisError, ResponseError

from spanflow.span_processors import names
from spanflow.span_processors.archive.archive import POISON, ArchiveSink, build_archive
from spanflow.span_processors.archive.archive_writer import ABOUT_SERVER
from spanflow.span_processors.archive.flow_backoff import FlowBackoff
from spanflow.span_processors.archive.open_flow_store import ForeignKey, OpenFlowStore
from spanflow.span_processors.clock import Clock, SystemClock
from spanflow.span_processors.event.event import Event, EventError, decode
from spanflow.span_processors.flow_part import REAPED, FlowPart
from spanflow.span_processors.redis.redis_client import async_client, close_async_client
from spanflow.span_processors.shared_settings import SharedSettings
from spanflow.span_processors.stages.sink import Unavailable
from spanflow.span_processors.tree.flow_identity import identity_of_flow
from spanflow.span_processors.tree.reducer import FlowReducer
from spanflow.span_processors.tree.tree import time_of

_log = logging.getLogger(__name__)

#: Seconds between two scans.
_SCAN_EVERY: Final = 10.0
R = TypeVar("R")

#: After so many flows that fail, and none that is stored, the server counts as away until the next scan.
_DOUBTFUL: Final = 3
#: After so many failures of one flow, while others are stored, it is kept aside if Postgres still refuses it.
_SUSPICIOUS: Final = 3


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


@dataclass(slots=True)
class ReaperCounts:
    """What has come of the flows so far."""

    #: Archived.
    reaped: int = 0
    #: Attempts that failed because of the flow itself.
    failed: int = 0
    #: Flows that Postgres permanently rejects: they are moved to `poison_records`.
    refused: int = 0
    #: Index entries that were no flows, and were removed.
    foreign: int = 0


@dataclass(frozen=True, slots=True)
class _Quiet:
    """A flow that nothing writes to."""

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
        patience: Patience | None = None,
        scanned: Callable[["Reaper"], None] = lambda reaper: None,
        counts: ReaperCounts | None = None,
    ) -> None:
        """`scanned` is called after each scan."""
        self._settings = settings
        self._own_redis = redis is None
        self._redis = redis
        self._token = uuid.uuid4().hex
        self._archive = archive or build_archive(settings, lambda: f"reaper-{self._token}")
        self._clock = clock or SystemClock()
        self._patience = patience or Patience()
        self._scanned = scanned
        self._missing: dict[str, float] = {}
        #: What is known of quiet flows, by flow id.
        self._known: dict[str, _Quiet] = {}
        self._backoff = FlowBackoff()
        # One thread, because the archive's connection belongs to the thread that opened it.
        self._thread = ThreadPoolExecutor(1, "spanflow-reaper")
        self.counts = counts or ReaperCounts()
        #: Why the last scan could not do all that it should have; None if it could.
        self.problem: str | None = None
        #: A server is there and refuses, or we are at fault: waiting does not help.
        self.failing = False

    @property
    def waiting(self) -> int:
        """Flows that could not be archived and are tried ever more rarely."""
        return self._backoff.waiting

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        try:
            while True:
                await self.scan()
                self._scanned(self)
                await asyncio.sleep(_SCAN_EVERY)
        finally:
            await self.close()

    async def scan(self) -> int:
        """Scan once; how many flows were archived. Servers that are away are waited for, and said once."""
        reaped = self.counts.reaped
        problem, failing = await self._replay()
        try:
            await self._scan()
        except Unavailable as why:
            failing = isinstance(why.__cause__, asyncpg.PostgresError)
            problem = f"Postgres {'refuses' if failing else 'is away'}: {why}"
        except ResponseError as why:
            self._missing.clear()
            problem, failing = f"Redis refuses: {why}", True
        except (RedisError, OSError) as why:
            # Heartbeats that could not be seen are no heartbeats that were missing.
            self._missing.clear()
            problem, failing = f"Redis is away: {why}", False
        except Exception as why:
            if not self.failing:
                _log.exception("the search for flows of dead processes failed")
            problem, failing = f"{type(why).__name__}: {why}", True
        if problem is not None and self.problem is None:
            _log.warning("flows of dead processes have to wait; %s", problem)
        self.problem, self.failing = problem, failing
        return self.counts.reaped - reaped

    async def close(self) -> None:
        """Let go of connections; what waited stays where it is."""
        await self._in_thread(lambda: self._archive.close(time.monotonic() + 2))
        self._thread.shutdown(wait=False)
        if self._own_redis and self._redis is not None:
            with suppress(RedisError, OSError):
                await close_async_client(self._redis)
            self._redis = None

    async def _replay(self) -> tuple[str | None, bool]:
        """What waits in spools. That it cannot be stored now keeps nothing else from being stored."""
        try:
            await self._in_thread(self._replay_spools)
        except Unavailable as why:
            return f"the spool cannot be replayed: {why}", isinstance(why.__cause__, asyncpg.PostgresError)
        except Exception as why:
            if not self.failing:
                _log.exception("replaying the spool failed")
            return f"the spool cannot be replayed: {type(why).__name__}: {why}", True
        return None, False

    def _replay_spools(self) -> None:
        for _ in range(100):
            if self._archive.idle(time.monotonic() + self._settings.postgres_timeout) != 0.0:
                return

    # -- finding them --------------------------------------------------------------------------------------------------

    async def _scan(self) -> None:
        if self._redis is None:
            self._redis = async_client(self._settings)
        store = OpenFlowStore(self._redis, self._settings)
        try:
            now = await store.now()
            scores = await store.quiet(now - self._patience.quiet, now)
            self._backoff.keep_only(scores)
            self._known = {
                flow_id: known
                for flow_id, score in scores.items()
                if (known := await self._look_at(store, flow_id, score, now)) is not None
            }
            gone = await self._gone(store, {process for flow in self._known.values() for process in flow.processes})
            await self._reap_all(store, gone, now)
        finally:
            self.counts.foreign += store.foreign

    async def _look_at(self, store: OpenFlowStore, flow_id: str, score: float, now: float) -> _Quiet | None:
        """Its stream is read once, and again when something has been written to it."""
        seen = self._known.get(flow_id)
        if seen is not None and seen.last_write == score:
            return seen
        if self._backoff.is_waiting(flow_id, self._clock.monotonic()):
            return None
        try:
            raw = await store.events(flow_id)
            if not raw and now - score > self._patience.forgotten:
                await store.forget(flow_id)
                return None
            done = await store.reaped(flow_id)
            return await self._in_thread(partial(_quiet, raw, score, done))
        except ForeignKey:
            await store.drop_foreign(flow_id)
        except (RedisError, OSError):
            raise
        except Exception as why:  # a fault of ours that something in this flow brings out
            self._failed(flow_id, why)
        return None

    async def _gone(self, store: OpenFlowStore, processes: set[str]) -> set[str]:
        """Those whose heartbeat has been missing for long enough."""
        now = self._clock.monotonic()
        missing = await store.without_heartbeat(processes)
        self._missing = {process: self._missing.get(process, now) for process in missing}
        return {process for process, since in self._missing.items() if now - since >= self._patience.missing}

    # -- archiving them ------------------------------------------------------------------------------------------------

    async def _reap_all(self, store: OpenFlowStore, gone: set[str], now: float) -> None:
        """Each by itself: one that cannot be archived keeps no other from it.

        Whether a failure is the flow's or the server's follows from its class, or where that is ambiguous, from whether
        other flows can be stored: those with doubtful failures come last, and wait longer once another was stored.
        """
        doubtful: list[tuple[str, Unavailable]] = []
        any_stored = False
        for flow_id in sorted(self._known, key=self._backoff.doubts):
            flow = self._known[flow_id]
            overdue = flow.all_ended and now - flow.last_write > self._patience.settled
            ours = flow.processes if overdue else flow.processes & gone
            if not ours or self._backoff.is_waiting(flow_id, self._clock.monotonic()):
                continue
            try:
                any_stored |= await self._reap(store, flow_id, ours, bool(flow.processes - ours))
            except Unavailable as why:
                if _is_about_flow(why) or self._backoff.failures(flow_id):
                    self._failed(flow_id, why)
                    continue
                self._backoff.doubt(flow_id)
                doubtful.append((flow_id, why))
                if not any_stored and len(doubtful) >= _DOUBTFUL:
                    break
            except ForeignKey:
                await store.drop_foreign(flow_id)
            except (RedisError, OSError):
                raise
            except Exception as why:
                self._failed(flow_id, why)
        if doubtful and not any_stored:
            raise doubtful[-1][1]
        for flow_id, reason in doubtful:
            self._failed(flow_id, reason)

    def _failed(self, flow_id: str, why: Exception) -> None:
        self.counts.failed += 1
        if not self._backoff.failures(flow_id):
            _log.warning("flow %s cannot be archived and is tried again later: %s", flow_id, why)
        self._backoff.failed(flow_id, self._clock.monotonic())

    async def _reap(self, store: OpenFlowStore, flow_id: str, gone: frozenset[str], others_live: bool) -> bool:
        """Whether Postgres has stored it. Raises `Unavailable` when it did not."""
        async with store.locked(flow_id, self._token, self._patience.lock) as ours:
            # Another viewer may have been faster than our list of flows.
            if not ours or not await store.is_open(flow_id):
                return False
            parts = await self._parts(store, flow_id, gone)
            refused = False
            if parts:
                deadline = time.monotonic() + self._settings.postgres_timeout
                suspicious = self._backoff.failures(flow_id) >= _SUSPICIOUS
                receipt = await self._in_thread(partial(self._archive.deliver, parts, deadline, suspicious=suspicious))
                if receipt.again:
                    raise Unavailable(receipt.away)
                refused = POISON in receipt.dropped
            await store.leave(flow_id, gone, others_live)
        self._known.pop(flow_id, None)
        self._backoff.done(flow_id)
        if refused:
            self.counts.refused += 1
        else:
            self.counts.reaped += 1
            _log.info("archived flow %s for %s", flow_id, ", ".join(sorted(gone)))
        return bool(parts)

    async def _parts(self, store: OpenFlowStore, flow_id: str, gone: frozenset[str]) -> list[FlowPart]:
        """What each of the processes would have handed over, as far as the stream has it."""
        raw = await store.events(flow_id)
        activities = await store.activities(flow_id)
        about = {process: await store.description(process) for process in gone}
        announced = {process: await store.told(flow_id, process) for process in gone}
        return await self._in_thread(partial(_parts, flow_id, raw, activities, about, announced))

    async def _in_thread(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _quiet(raw: Sequence[bytes], last_write: float, reaped: set[str]) -> _Quiet:
    entries = _reduced(raw).entries()
    return _Quiet(
        last_write,
        frozenset(entry["process"] for entry in entries if entry.get("process")) - reaped,
        all(entry["phase"] == names.END for entry in entries),
    )


def _parts(
    flow_id: str, raw: Sequence[bytes], activities: Sequence[bytes], about: dict[str, bytes], announced: dict[str, int]
) -> list[FlowPart]:
    entries = _reduced(raw).entries()
    whose = identity_of_flow(entries)
    activities_left = tuple(activities)
    parts = []
    for process in sorted(about):
        own = [entry for entry in entries if entry.get("process", process) == process]
        if not own:
            continue
        times = [at for entry in own for name in ("start_ns", "updated_ns", "end_ns") if (at := time_of(entry, name))]
        parts.append(
            FlowPart(
                flow_id=flow_id,
                instance_id=process,
                entries=tuple(map(orjson.dumps, own)),
                process=about[process],
                identity=whose,
                activities=activities_left,
                started_ns=min(times, default=0),
                ended_ns=max(times, default=0),
                root_ended=any(_is_ended_root(entry) for entry in own),
                reason=REAPED,
                # What was trimmed from the stream.
                cut_spans=max(0, announced[process] - len(own)),
            )
        )
        activities_left = ()  # once is enough, whichever of them it was
    return parts


def _is_ended_root(entry: Event) -> bool:
    return entry.get("parent_id") is None and entry["phase"] == names.END


def _reduced(raw: Sequence[bytes]) -> FlowReducer:
    """All events that can be read."""
    reducer = FlowReducer()
    for data in raw:
        with suppress(EventError):
            reducer.add(decode(data))
    return reducer


def _is_about_flow(why: Unavailable) -> bool:
    """Postgres has answered, and what it says is not about itself."""
    cause = why.__cause__
    return isinstance(cause, asyncpg.PostgresError) and not (cause.sqlstate or "").startswith(ABOUT_SERVER)
