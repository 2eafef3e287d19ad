"""The archive: finished flows into Postgres, and onto the disk while Postgres is away."""

import errno
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from spanflow.span_processors.archive.archive_writer import ArchiveWriter, Written
from spanflow.span_processors.archive.flow_draft import Drafting
from spanflow.span_processors.archive.flow_limits import FlowLimits
from spanflow.span_processors.archive.poison import Poison
from spanflow.span_processors.archive.postgres import UntracedConnection, connect
from spanflow.span_processors.archive.postgres_line import PostgresLine
from spanflow.span_processors.archive.replay import Replay
from spanflow.span_processors.clock import Clock, SystemClock
from spanflow.span_processors.data_dir import data_directory
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.setting_table import MIB
from spanflow.span_processors.shared_settings import SharedSettings
from spanflow.span_processors.spool.spool import Spool
from spanflow.span_processors.stages.sink import Aside, Receipt, Unavailable
from spanflow.span_processors.tree.prices import NO_PRICES, PricesError, PriceTable, load_prices

_log = logging.getLogger(__name__)

# Why finished flows were lost: words that appear in metrics.
POISON: Final = "poison"
SPOOL_FULL: Final = "spool_full"
DISK_FULL: Final = "disk_full"
SPOOL_FAILED: Final = "spool_failed"

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: One transaction takes so much, the first of several less.
BATCH: Final = 200
FIRST_BATCH: Final = 50
BATCH_BYTES: Final = 2 * MIB
#: So many transactions are made of what is taken from the queue at once: while one is written, the next is made ready.
BATCHES: Final = 5
#: Seconds for which finished flows are gathered, so that a busy process shares a transaction among many.
LINGER: Final = 0.25
#: When so much of the queue is full, Postgres is slower than what comes: the oldest go to the spool.
SET_ASIDE_FROM: Final = 0.5


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """What metrics and `spanflow doctor` show of one process's archive."""

    spool_bytes: int = 0
    spooled: int = 0
    replayed: int = 0
    poisoned: int = 0
    #: Why nothing could be spooled when that was last looked at; empty when something could.
    spool_problem: str = ""
    #: Segments and folders of the spool that cannot be read for now.
    unreadable: int = 0


class ArchiveSink:
    """A `Sink` of flow parts. All of it runs on its runner's thread, but `sizes`, `set_aside` and `state`.

    `on_safe` hears the ids of flows that are committed, or safe on disk, or kept aside, if nothing of them goes on: a
    flow that began elsewhere, or is still open, stays in the index of open flows, where a reaper finds it if need be.

    Fork: nothing is open before the first delivery; a child forgets connection, spool and memory, and starts over.
    """

    name: Final = "postgres"

    def __init__(
        self,
        line: PostgresLine,
        writer: ArchiveWriter,
        spool: Spool,
        *,
        on_safe: Callable[[Sequence[str]], None] = lambda flow_ids: None,
        clock: Clock | None = None,
    ) -> None:
        self._line = line
        self._writer = writer
        self._spool = spool
        self._on_safe = on_safe
        self._clock = clock or SystemClock()
        self._replay = Replay(spool, self._replay_batch, self._keep_aside, clock=self._clock)
        self._deadline = 0.0
        self._answered = False
        self._poisoned = 0
        self._reset_outage()

    def _reset_outage(self) -> None:
        self._outage_lock = threading.Lock()
        #: What was said of flows that could not be spooled, since Postgres or the spool took any.
        self._said = ""
        self._problem = ""

    def sizes(self, items: Sequence[FlowPart]) -> list[int]:
        return [item.size for item in items]

    @property
    def state(self) -> ArchiveState:
        return self.read_state()

    def read_state(self) -> ArchiveState:
        return ArchiveState(
            self._spool.size,
            self._spool.appended,
            self._replay.replayed,
            self._poisoned,
            self._problem or self._said,
            self._replay.unreadable,
        )

    def deliver(self, batch: Sequence[FlowPart], deadline: float, *, suspicious: bool = False) -> Receipt[FlowPart]:
        """`suspicious`: the batch has failed several times while the server took others, so it is itself at fault."""
        self._deadline = deadline
        # Whatever is begun has half of the time at least: what is not begun by then is better offered again.
        begin_by = (self._clock.monotonic() + deadline) / 2
        delivered = refused = 0
        rest = list(batch)
        chunks = map(self._writer.drafting, _chunks(batch))
        chunk = next(chunks, None)
        while chunk is not None:
            following = next(chunks, None)
            try:
                written = self._write(chunk, following, suspicious=suspicious)
            except Unavailable as why:
                if not delivered and not refused:
                    raise
                return Receipt(delivered, _by_reason(POISON, refused), rest, away=str(why))
            delivered += len(written.stored)
            refused += len(written.refused)
            rest = rest[len(chunk.parts) :]
            if rest and self._clock.monotonic() > begin_by:
                return Receipt(delivered, _by_reason(POISON, refused), rest)
            chunk = following
        if self._spool.size:
            self._step_of_replay()
        return Receipt(delivered, _by_reason(POISON, refused))

    def set_aside(self, batch: Sequence[FlowPart]) -> Aside:
        """Onto the disk. For any thread: while Postgres is slow it is not only the runner's that needs it."""
        try:
            kept = self._spool.append([part.to_bytes() for part in batch])
        except OSError as why:
            return Aside(0, self._not_spooled(DISK_FULL if why.errno in _NO_SPACE else SPOOL_FAILED, why))
        self._safe(batch[:kept])
        if kept < len(batch):
            return Aside(kept, self._not_spooled(SPOOL_FULL, self._spool.shortage()))
        self._said = ""
        return Aside(kept)

    def idle(self, deadline: float) -> float | None:
        self._deadline = deadline
        if not self._answered:
            self._line.run(_ping, deadline)
            self._answered = True
        if self._replay.step():
            return 0.0
        self._look_at_the_spool()
        return self._replay.next_look

    def hurry(self, deadline: float) -> None:
        """The process is ending: a delivery that goes on has to be over by then. Called by other threads."""
        self._line.hurry(deadline)

    def close(self, deadline: float) -> None:
        self._spool.close()
        self._line.close(deadline)

    def after_fork(self) -> None:
        self._spool.after_fork()
        self._line.after_fork()
        self._replay.forget()
        self._writer.forget()
        self._answered = False
        self._poisoned = 0
        self._reset_outage()

    def _step_of_replay(self) -> None:
        """A share for what waits on disk, so that it drains under load too; its failure is not the batch's."""
        try:
            self._replay.step()
        except Unavailable as why:
            _log.debug("replaying the spool: %s", why)

    def _look_at_the_spool(self) -> None:
        """Say beforehand that nothing could be spooled, should Postgres go away."""
        problem = self._spool.problem()
        if problem and not self._problem:
            _log.warning("the spool cannot be used; without Postgres, flows would wait in memory only: %s", problem)
        elif self._problem and not problem:
            _log.warning("the spool can be used again")
        self._problem = problem

    def _not_spooled(self, reason: str, why: object) -> str:
        with self._outage_lock:
            said, self._said = self._said, reason
        if said != reason:
            _log.error("finished flows cannot be spooled (%s) and wait in memory while there is room: %s", reason, why)
        return reason

    def _replay_batch(self, batch: Sequence[FlowPart], suspicious: bool) -> None:
        for chunk in _chunks(batch):
            self._write(self._writer.drafting(chunk), suspicious=suspicious)

    def _write(self, parts: Drafting, following: Drafting | None = None, *, suspicious: bool = False) -> Written:
        async def work(connection: UntracedConnection) -> Written:
            return await self._writer.write(connection, parts, following, suspicious=suspicious)

        self._answered = False
        written = self._line.run(work, self._deadline)
        self._answered = True
        self._said = ""
        if written.poison:
            self._keep_aside(written.poison)
        self._safe(written.stored)
        if written.refused:
            self._on_safe([part.flow_id for part in written.refused])
        return written

    def _keep_aside(self, poison: Sequence[Poison]) -> None:
        async def work(connection: UntracedConnection) -> None:
            for number, record in enumerate(poison):
                try:
                    await self._writer.keep_aside(connection, [record])
                except asyncpg.PostgresConnectionError:
                    raise
                except asyncpg.PostgresError:
                    self._spool.set_aside(record.file_name(self._poisoned + number), record.payload)

        self._line.run(work, self._deadline)
        self._poisoned += len(poison)
        first = poison[0]
        _log.warning(
            "%d records cannot be stored and are kept aside; the first: %s of flow %s: %s",
            len(poison),
            first.kind,
            first.flow_id,
            first.error.partition(":")[0],  # what follows may quote what people wrote
        )

    def _safe(self, parts: Sequence[FlowPart]) -> None:
        if settled := [part.flow_id for part in parts if part.settles_flow]:
            self._on_safe(settled)


def build_archive(
    settings: SharedSettings,
    instance_id: Callable[[], str],
    *,
    on_safe: Callable[[Sequence[str]], None] = lambda flow_ids: None,
    clock: Clock | None = None,
) -> ArchiveSink:
    """The archive of one process, as its settings say. Opens nothing."""
    return ArchiveSink(
        PostgresLine(lambda: connect(settings, "archive"), clock=clock),
        build_writer(settings),
        build_spool(settings, instance_id),
        on_safe=on_safe,
        clock=clock,
    )


def build_spool(settings: SharedSettings, instance_id: Callable[[], str]) -> Spool:
    """The spool of one process, as its settings say. Opens nothing."""
    return Spool(
        data_directory(settings),
        instance_id,
        max_bytes=settings.spool_max_bytes,
        reserve_bytes=settings.spool_reserve_bytes,
    )


def build_writer(settings: SharedSettings) -> ArchiveWriter:
    """What writes flow parts, as the settings say."""
    return ArchiveWriter(
        settings.schema,
        limits=FlowLimits(settings.max_flow_spans, settings.max_flow_bytes),
        prices=_prices(settings.prices),
        timeout=settings.postgres_timeout,
    )


def _prices(path: str) -> PriceTable:
    try:
        return load_prices(path)
    except PricesError as why:
        _log.error("flows are stored without their cost: %s", why)
        return NO_PRICES


async def _ping(connection: UntracedConnection) -> None:
    await connection.fetchval("SELECT 1")


def _by_reason(reason: str, number: int) -> dict[str, int]:
    return {reason: number} if number else {}


def _chunks(parts: Sequence[FlowPart]) -> Iterator[list[FlowPart]]:
    """What goes into a transaction each. Postgres waits while the first is made ready; so of several the first is
    small, and each of the next twice as large."""
    chunk: list[FlowPart] = []
    taken = 0
    most = BATCH if len(parts) <= BATCH else FIRST_BATCH
    for part in parts:
        if chunk and (len(chunk) >= most or taken + part.size > BATCH_BYTES):
            yield chunk
            chunk, taken, most = [], 0, min(2 * most, BATCH)
        chunk.append(part)
        taken += part.size
    if chunk:
        yield chunk
