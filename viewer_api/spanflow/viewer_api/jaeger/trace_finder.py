"""Finds traces for Jaeger's clients: newest first, of users whom the client may see."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.flows.documents import Flow
from spanflow.viewer_api.flows.flow_reader import flow_reader
from spanflow.viewer_api.jaeger.matching import has_match
from spanflow.viewer_api.jaeger.span_query import SpanQuery
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.store.search_plan import SearchPlan
from spanflow.viewer_api.viewer import Viewer

#: Flows whose spans one search looks at, and how long: Jaeger's page gives up after ten seconds.
MOST_LOOKED_AT: Final = 2000
_PATIENCE: Final = 7.0
_PAGE: Final = 50
#: What all traces of one answer may have.
MOST_SPANS: Final = 100_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT: Final = timedelta(microseconds=1)


class TraceFinder:
    """For one request."""

    def __init__(self, viewer: Viewer, principal: Principal) -> None:
        self._viewer = viewer
        self._principal = principal
        self._reader = flow_reader(viewer, principal)

    async def one(self, flow_id: str) -> Flow | None:
        flow = await self._reader.one(flow_id)
        # A trace without spans breaks Grafana.
        return flow if flow is not None and await asyncio.to_thread(lambda: bool(flow.entries)) else None

    async def search(self, query: SpanQuery, now_ns: int) -> list[Flow]:
        """As many as were asked for, or as there was time to look at."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE
        seen: set[str] = set()
        traces: list[Flow] = []
        spans = 0
        async for flow_id in self._candidates(_filters(query, self._principal), now_ns):
            if flow_id in seen:
                continue
            seen.add(flow_id)
            trace = await self.one(flow_id)
            if trace is not None and await asyncio.to_thread(has_match, trace, query, now_ns):
                traces.append(trace)
                spans += len(trace.entries)
            enough = len(traces) >= query.limit or spans >= MOST_SPANS
            if enough or len(seen) >= MOST_LOOKED_AT or loop.time() > deadline:
                break
        return traces

    async def _candidates(self, filters: Filters, now_ns: int) -> AsyncIterator[str]:
        """Flows that overlap the time that is asked for, newest first: those that run, then those that are stored."""
        for running in await self._reader.running(filters, _moment(now_ns)):
            yield running.flow.flow_id
        plan, after = SearchPlan.of(filters), None
        while True:
            page = await self._viewer.flows.search.page(plan, after, _PAGE)
            for row in await self._reader.past(page.rows):
                yield row["flow_id"]
            after = page.end
            if after is None:
                return


def _filters(query: SpanQuery, principal: Principal) -> Filters:
    """What summaries can tell already."""
    return Filters(
        since=_moment(query.start_ns),
        until=_moment(query.end_ns) + _INSTANT,
        visible=principal.visible,
    )


def _moment(ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ns // 1000)
