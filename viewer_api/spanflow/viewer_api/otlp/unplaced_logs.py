"""Log records that name a model's response and not its span: they wait here until the flow with it is stored."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from spanflow.span_processors.archive.search_terms import tsquery
from spanflow.span_processors.stages import counters
from spanflow.viewer_api.otlp.log_record import LogGroup, Place, SpanLog
from spanflow.viewer_api.store.database import Database

#: Seconds that a record waits for its span: as long as a flow may be idle before it is stored.
PATIENCE: Final = 1800.0
MOST_RECORDS: Final = 10_000
MOST_BYTES: Final = 16 * 1024 * 1024
#: Why a record is lost whose span never came.
NO_SPAN: Final = "no_span"
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 120.0
#: Responses that are looked for in one round.
_AT_ONCE: Final = 200
_MOST_RESPONSES: Final = 50_000

_FIND: Final = """
SELECT flow_id, event->>'node_id' AS node_id
FROM {s}.interaction_flows, jsonb_array_elements(flow_data->'events') AS event
WHERE search @@ $1::text::tsquery AND event->'attributes'->>'gen_ai.response.id' = $2
ORDER BY event->>'start_ns' DESC LIMIT 1
"""


@dataclass(slots=True)
class Unplaced:
    """A record that waits."""

    group: LogGroup
    log: SpanLog
    size: int
    since: float
    due: float
    pause: float = _FIRST_PAUSE


class KnownResponses:
    """Which spans the responses of late are of. Bounded; the oldest goes first. Used by one thread."""

    def __init__(self, most: int = _MOST_RESPONSES) -> None:
        self._most = most
        self._places: OrderedDict[str, Place] = OrderedDict()

    def learn(self, response_id: object, place: Place) -> None:
        if type(response_id) is str and response_id:
            self._places[response_id] = place
            if len(self._places) > self._most:
                self._places.popitem(last=False)

    def place(self, response_id: str) -> Place | None:
        return self._places.get(response_id)


class UnplacedLogs:
    """For any threads. What is lost here is counted by whoever is told by `lose`."""

    def __init__(self, lose: Callable[[str], None], most: int = MOST_RECORDS, most_bytes: int = MOST_BYTES) -> None:
        self._lose = lose
        self._most = most
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._waiting: list[Unplaced] = []
        self._bytes = 0
        self._closed = False

    def __len__(self) -> int:
        with self._lock:
            return len(self._waiting)

    def add(self, waiting: Unplaced) -> None:
        """The oldest makes room for it."""
        dropped = 0
        with self._lock:
            if not self._closed:
                self._waiting.append(waiting)
                self._bytes += waiting.size
                while len(self._waiting) - dropped > self._most or self._bytes > self._most_bytes:
                    self._bytes -= self._waiting[dropped].size
                    dropped += 1
                del self._waiting[:dropped]
            closed = self._closed
        if closed:
            self._lose(counters.SHUTDOWN)
        for _ in range(dropped):
            self._lose(counters.QUEUE_FULL)

    def due(self, now: float) -> list[Unplaced]:
        """Take out what is to be looked for now."""
        with self._lock:
            chosen = [waiting for waiting in self._waiting if waiting.due <= now][:_AT_ONCE]
            taken = set(map(id, chosen))
            self._waiting = [waiting for waiting in self._waiting if id(waiting) not in taken]
            self._bytes -= sum(waiting.size for waiting in chosen)
        return chosen

    def again(self, waiting: Unplaced, now: float) -> None:
        """Its span is not stored yet."""
        if now - waiting.since >= PATIENCE:
            self._lose(NO_SPAN)
            return
        waiting.due = now + waiting.pause
        waiting.pause = min(2 * waiting.pause, _LONGEST_PAUSE)
        self.add(waiting)

    def close(self) -> None:
        """The process ends."""
        with self._lock:
            dropped, self._waiting, self._bytes = len(self._waiting), [], 0
            self._closed = True
        for _ in range(dropped):
            self._lose(counters.SHUTDOWN)


class ResponseFinder:
    """Looks in stored flows for the spans of waiting records."""

    def __init__(
        self,
        database: Database,
        waiting: UnplacedLogs,
        place: Callable[[Unplaced, Place], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._database = database
        self._waiting = waiting
        self._place = place
        self._monotonic = monotonic

    async def run(self) -> None:
        """One round."""
        due = self._waiting.due(self._monotonic())
        try:
            while due:
                found = await self._found(due[-1].log.response_id or "") or due[-1].log.context
                waiting = due.pop()
                if found is None:
                    self._waiting.again(waiting, self._monotonic())
                else:
                    self._place(waiting, found)
        finally:
            for waiting in due:
                self._waiting.again(waiting, self._monotonic())

    async def _found(self, response_id: str) -> Place | None:
        words = tsquery(response_id)
        if words is None:
            return None
        async with self._database.transaction(readonly=True) as connection:
            row = await connection.fetchrow(self._database.sql(_FIND), words, response_id)
        return None if row is None else (int(row["flow_id"], 16), int(row["node_id"], 16))
