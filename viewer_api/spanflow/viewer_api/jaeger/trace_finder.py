"""Finds traces for clients of Jaeger and Tempo: newest first, of users whom the client may see."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import orjson

from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.store.search_plan import SearchPlan
from spanflow.viewer_api.viewer import Viewer

#: Which of these flows match: for each how many spans it has, or 0.
Match = Callable[[Sequence[PackedFlow]], Awaitable[bytes]]

#: Flows whose spans one search looks at, and how long: Jaeger's page gives up after ten seconds.
MOST_LOOKED_AT: Final = 2000
_PATIENCE: Final = 7.0
_PAGE: Final = 50
#: Bytes of documents that are looked at together.
_MOST_BYTES: Final = 8 * 1024 * 1024
#: What all traces of one answer may have.
_MOST_SPANS: Final = 100_000
#: A flow's own times are its root's. Spans may begin before it, where clocks differ, and after it, in the background.
_BESIDE: Final = timedelta(minutes=10)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 1, 1, tzinfo=UTC)
_NS_PER_S: Final = 1_000_000_000


class Wanted(Protocol):
    """Flows of which time are looked at, and how many are wanted."""

    @property
    def start_ns(self) -> int: ...

    @property
    def end_ns(self) -> int: ...

    @property
    def limit(self) -> int: ...


class TraceFinder:
    """For one request."""

    def __init__(self, viewer: Viewer, principal: Principal, match: Match) -> None:
        self._viewer = viewer
        self._reader = flow_reader(viewer, principal)
        self._visible = principal.visible
        self._match = match

    async def search(self, query: Wanted, now_ns: int) -> list[PackedFlow]:
        """As many as were asked for, or as there was time to look at."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE
        seen: set[str] = set()
        traces: list[PackedFlow] = []
        spans = 0
        async for page in self._candidates(_filters(query, self._visible), now_ns):
            fresh = [packed for packed in page if packed.flow.flow_id not in seen]
            seen.update(packed.flow.flow_id for packed in fresh)
            counts = orjson.loads(await self._match(fresh)) if fresh else []
            for packed, count in zip(fresh, counts, strict=True):
                if count and len(traces) < query.limit and spans < _MOST_SPANS:
                    traces.append(packed)
                    spans += count
            enough = len(traces) >= query.limit or spans >= _MOST_SPANS
            if enough or len(seen) >= MOST_LOOKED_AT or loop.time() > deadline:
                break
        return traces

    async def _candidates(self, filters: Filters, now_ns: int) -> AsyncIterator[Sequence[PackedFlow]]:
        """Flows near the time that is asked for, newest first: those that run, then those that are stored."""
        running = await self._reader.running(filters, _moment(now_ns))
        for start in range(0, len(running), _PAGE):
            found = [await self._reader.packed(each.flow.flow_id) for each in running[start : start + _PAGE]]
            yield [packed for packed in found if packed is not None]
        plan, after = SearchPlan.of(filters), None
        while True:
            page = await self._viewer.flows.search.page(plan, after, _PAGE)
            rows = await self._reader.past(page.rows)
            places = [(row["start_key"], row["flow_id"]) for row in rows]
            while places:
                still_open = await self._reader.open_in_redis([flow_id for _, flow_id in places])
                whole = await self._viewer.flows.whole(places, _MOST_BYTES)
                if not whole:
                    break  # removed since the search
                yield await self._reader.packed_rows(whole, still_open)
                places = places[places.index((whole[-1]["start_key"], whole[-1]["flow_id"])) + 1 :]
            after = page.end
            if after is None:
                return


def _filters(query: Wanted, visible: frozenset[str] | None) -> Filters:
    """What summaries can tell already."""
    return Filters(
        since=max(_moment(query.start_ns), _EPOCH + _BESIDE) - _BESIDE,
        until=min(_moment(query.end_ns), _LAST - _BESIDE) + _BESIDE,
        visible=visible,
    )


def _moment(ns: int) -> datetime:
    return _EPOCH + timedelta(seconds=ns // _NS_PER_S, microseconds=ns % _NS_PER_S // 1000)
