"""Reads flows from wherever they are: Postgres, and Redis for what still runs or was not stored yet.

Redis is asked first: a flow that leaves it in between is in Postgres by then. Without Redis the past is still served.
Large documents are taken apart in threads, because the live sockets need the event loop.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from spanflow.span_processors import names
from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.flows.documents import (
    Flow,
    PackedFlow,
    from_row,
    from_stream,
    packed_rows,
    runs_beside,
    together,
)
from spanflow.viewer_api.flows.flow_status import StoredStatus
from spanflow.viewer_api.flows.running_flows import RunningFlow, belongs, summed_up
from spanflow.viewer_api.flows.withheld import Withheld
from spanflow.viewer_api.store.counts import Count
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.store.flows import FlowStore
from spanflow.viewer_api.store.redis_flows import REDIS_ERRORS, RedisFlows
from spanflow.viewer_api.store.search_plan import SearchPlan
from spanflow.viewer_api.viewer import Viewer

log = logging.getLogger(__name__)

#: Running flows that one answer shows, the newest.
_MAX_RUNNING = 50
#: Running flows that a search looks at, the newest.
_MAX_SEARCHED = 200
#: Running flows of which a count asks whether a part of them is stored.
_MAX_OPEN = 20_000
#: Of so many people a search looks for running flows.
_MAX_PEOPLE = 500


async def without_complete(store: FlowStore, live: Sequence[Flow]) -> list[Flow]:
    """Those of these flows that Redis has which are not the past by what is stored of them."""
    states = await store.states([flow.flow_id for flow in live if flow.open])
    stored = {flow_id: StoredStatus.of(row) for flow_id, row in states.items()}
    return [flow for flow in live if flow.flow_id not in stored or runs_beside(stored[flow.flow_id], flow)]


def flow_reader(viewer: Viewer, principal: Principal, *, legacy: bool = False) -> "FlowReader":
    """Reads what `principal` may see."""
    withheld = withheld_from(viewer, principal)
    return FlowReader(viewer.flows, viewer.redis_flows, principal.visible, withheld, legacy=legacy)


def withheld_from(viewer: Viewer, principal: Principal) -> Withheld:
    return Withheld(viewer.watching, viewer.metadata, principal)


class FlowReader:
    """Reads only what the users in `visible` did; None stands for all users."""

    def __init__(
        self,
        store: FlowStore,
        redis: RedisFlows,
        visible: Collection[str] | None,
        withheld: Withheld,
        *,
        legacy: bool = False,
    ) -> None:
        self._store = store
        self._redis = redis
        self._visible = visible
        #: What is read is for a dashboard that was written before Spanflow.
        self._legacy = legacy
        #: What may not be seen of all this.
        self.withheld = withheld
        #: Redis was asked and did not answer: what runs is not among what was read.
        self.without_running = False

    async def of_user(self, user_id: str, source: str | None, limit: int) -> list[Flow]:
        """Newest first."""
        live = await self._live_of_user(user_id, source)
        rows = await self._store.of_user(user_id, source, limit, legacy=self._legacy) if self._sees(user_id) else []
        rows = await self._beside(live, rows)
        return await asyncio.to_thread(lambda: self._together(rows, live)[::-1][:limit])

    async def of_session(self, session_id: str, limit: int) -> list[PackedFlow]:
        """In start order. A flow without a session is found by its own id."""
        live = await self._live(lambda: self._redis.open_of_session(session_id))
        rows = await self._store.of_session(session_id, limit, self._visible)
        if not rows and not live and (row := await self._store.one(session_id, self._visible)) is not None:
            rows = [row]
        rows = await self._beside(live, rows)
        if not live and not any(self.withheld.of_past(row["user_id"]) for row in rows):
            return packed_rows(rows)
        return await asyncio.to_thread(lambda: list(map(PackedFlow.of, self._together(rows, live))))

    async def sessions_of_user(self, user_id: str, source: str | None, limit: int) -> dict[str, list[Flow]]:
        """The flows of each of the newest sessions, the newest session first."""
        live = await self._live_of_user(user_id, source)
        stored = {}
        if self._sees(user_id):
            stored = await self._store.of_newest_sessions(user_id, source, limit, legacy=self._legacy)
        kept = {session_id: await self._beside(live, flows) for session_id, flows in stored.items()}
        rows = {session_id: flows for session_id, flows in kept.items() if flows}
        return await asyncio.to_thread(self._by_session, live, rows, limit)

    async def _live_of_user(self, user_id: str, source: str | None) -> list[Flow]:
        live = await self._live(lambda: self._redis.open_of_user(user_id))
        live = [flow for flow in live if flow.user_id == user_id]
        if self._legacy:
            live = [flow for flow in live if flow.has_steps()]
        usual = names.DEFAULT_SOURCE if self._legacy else None
        return [flow for flow in live if source in (None, flow.source or usual)]

    async def running(self, filters: Filters, now: datetime) -> list[RunningFlow]:
        """Flows that are not stored yet and match, newest first, as far as they are among the newest of all."""
        live = await self._live(lambda: self._candidates(filters), _MAX_SEARCHED)
        live = await without_complete(self._store, live)
        if filters.verdicts is not None:
            verdicts = await self._store.verdicts.of([flow.flow_id for flow in live])
            live = [flow for flow in live if verdicts.get(flow.flow_id) in filters.verdicts]

        def matching() -> list[RunningFlow]:
            # Before they are searched: what may not be seen may not be found either.
            flows = map(summed_up, self._together((), live)[::-1])
            return [running for running in flows if belongs(running, filters, now)]

        return await asyncio.to_thread(matching)

    async def running_among(self, flow_ids: Collection[str]) -> list[Flow]:
        """Those of these flows that Redis has and that are not stored completely, as far as they may be seen."""

        async def open_ones() -> list[str]:
            return list(await self._redis.open_among(list(flow_ids)))

        live = await without_complete(self._store, await self._live(open_ones))
        return await asyncio.to_thread(lambda: self._together((), live))

    async def running_of_conversation(self, conversation_id: str) -> list[Flow]:
        """The turns of a conversation that still run, in start order."""
        live = await self._live(lambda: self._redis.open_of_conversation(conversation_id))
        live = await without_complete(self._store, live)
        turns = [flow for flow in live if flow.conversation_id == conversation_id]
        return await asyncio.to_thread(lambda: self._together((), turns))

    async def _candidates(self, filters: Filters) -> list[str]:
        """Running flows that the narrowest index of Redis names."""
        people = filters.people
        if filters.session_ids is not None:
            indexes = [await self._redis.open_of_session(session_id) for session_id in filters.session_ids]
        elif filters.conversation_ids is not None:
            indexes = [await self._redis.open_of_conversation(each) for each in filters.conversation_ids]
        elif people is not None:
            indexes = [await self._redis.open_of_users(people[:_MAX_PEOPLE])]
        else:
            indexes = [await self._redis.newest_open(_MAX_SEARCHED)]
        return list(dict.fromkeys(flow_id for index in indexes for flow_id in index))

    async def settled(self, flow_id: str) -> PackedFlow | None:
        """A flow that is stored completely and is not open in Redis: nothing is read from there or parsed."""
        if await self.open_in_redis([flow_id]):
            return None
        row = await self._store.one(flow_id, self._visible)
        if row is None or not self._is_settled(row):
            return None
        return PackedFlow.of_row(row) if self._sees(row["user_id"]) else None

    async def open_in_redis(self, flow_ids: Sequence[str]) -> set[str]:
        """Those of these flows of which something may not be stored yet. To be asked before their rows are read: a flow
        is not open any more once all of it is stored."""
        try:
            return set(await self._redis.open_among(list(flow_ids)))
        except REDIS_ERRORS:
            return set()

    async def user_of(self, flow_id: str) -> tuple[bool, str | None]:
        """Whether a flow may be seen, and whose it is. One that is stored and does not run is not read for that."""
        stored = (await self._store.states([flow_id], self._visible)).get(flow_id)
        if stored is not None:
            try:
                running = await self._redis.open_among([flow_id])
            except REDIS_ERRORS:
                running = set()
            if not running and self._sees(stored["user_id"]):
                return True, stored["user_id"]
        flow = await self.one(flow_id)
        return (False, None) if flow is None else (True, flow.user_id)

    async def packed_rows(self, rows: Sequence[Row], running: Collection[str]) -> list[PackedFlow]:
        """The flows of these whole rows, in their order, each taken apart only where it still runs: `running` are those
        that were open before the rows were read."""
        flows = []
        for row in rows:
            if self._is_settled(row) and row["flow_id"] not in running:
                flows.append(PackedFlow.of_row(row))
            elif (packed := await self._packed_one(row["flow_id"])) is not None:
                flows.append(packed)
        return flows

    async def packed_past(self, rows: Sequence[Row]) -> list[PackedFlow]:
        """What is stored of these flows, in their order, as much of each as may be seen."""

        def seen(row: Row) -> PackedFlow:
            hidden = self.withheld.of_past(row["user_id"])
            return PackedFlow.of(self.withheld.stored(from_row(row))) if hidden else PackedFlow.of_row(row)

        if not any(self.withheld.of_past(row["user_id"]) for row in rows):
            return [PackedFlow.of_row(row) for row in rows]
        return await asyncio.to_thread(lambda: [seen(row) for row in rows])

    async def packed(self, flow_id: str) -> PackedFlow | None:
        """A flow, taken apart only where it still runs."""
        return await self.settled(flow_id) or await self._packed_one(flow_id)

    async def packed_each(self, flow_ids: Sequence[str]) -> AsyncIterator[tuple[str, PackedFlow | None]]:
        """The flows with these ids, in their order. Those that are not there cost no more than one look each."""
        stored = await self._store.states(flow_ids, self._visible)
        for flow_id in flow_ids:
            settled = await self.settled(flow_id) if flow_id in stored else None
            yield flow_id, settled or await self._packed_one(flow_id)

    async def _packed_one(self, flow_id: str) -> PackedFlow | None:
        flow = await self.one(flow_id)
        return None if flow is None else await asyncio.to_thread(PackedFlow.of, flow)

    async def one(self, flow_id: str) -> Flow | None:
        live: Flow | None = None
        elsewhere = False
        try:
            # Before anything of it is read: what is not theirs costs as much as what is not there.
            mine, open_ = (
                await self._redis.visible_among([flow_id], self._visible),
                await self._redis.open_among([flow_id]),
            )
            elsewhere = bool(open_) and not mine
            if mine:
                reducer = await self._redis.reduced(flow_id)
                live = await asyncio.to_thread(from_stream, flow_id, reducer) if len(reducer) else None
                if live is not None:
                    (live,) = await self._with_cut_spans([live])
                    live = await self._described(live)
        except REDIS_ERRORS as why:
            log.debug("Redis cannot be asked for flow %s: %s", flow_id, why)
        # What is stored may not know yet whose it is, or not any more: with a live part, both together decide.
        row = await self._store.one(flow_id, self._visible if live is None else None)
        stored_for = row["user_id"] if row is not None else None
        if elsewhere or (live is not None and not all(self._may_see(user) for user in (live.user_id, stored_for))):
            return None
        running = live is not None and (row is None or live.open)
        flows = await asyncio.to_thread(
            lambda: self._together([row] if row else [], [live] if live else [], running=running)
        )
        return flows[0] if flows and self._sees(flows[0].user_id) else None

    def _is_settled(self, row: Row) -> bool:
        """Whether a flow is shown as it is stored, unless it is open in Redis."""
        return StoredStatus.of(row).complete and not self.withheld.of_past(row["user_id"])

    async def count(self, plan: SearchPlan) -> Count:
        """How many stored flows match, without those that `past` leaves out: a count tells what is in them as well."""
        count = await self._store.search.count(plan)
        if not count.value or not self.withheld.applies_to_any():
            return count
        try:
            running = await self._redis.newest_open(_MAX_OPEN)
        except REDIS_ERRORS:
            return count
        rows = await self._store.search.among(plan, running)
        kept_back = len(rows) - len(await self.past(rows))
        return replace(count, value=count.value - kept_back)

    async def estimate(self, plan: SearchPlan) -> Count:
        """How many stored flows the planner expects to match; it has looked at none."""
        return await self._store.search.estimate(plan)

    async def past(self, rows: Sequence[Row]) -> list[Row]:
        """Stored rows, as far as they may be seen while their flows still run."""
        return await self.withheld.past(rows, self._redis)

    async def _beside(self, live: Sequence[Flow], rows: Sequence[Row]) -> list[Row]:
        """Stored rows that may be shown beside these running flows: more may run than one answer shows."""
        running = {flow.flow_id for flow in live}
        past = {row["flow_id"] for row in await self.past([row for row in rows if row["flow_id"] not in running])}
        return [row for row in rows if row["flow_id"] in running or row["flow_id"] in past]

    def _together(self, rows: Iterable[Row], live: Sequence[Flow], *, running: bool = True) -> list[Flow]:
        """Stored and live parts, each flow once, in start order, as much of each as may be seen.

        A flow runs until it is stored completely.
        """
        ids = {flow.flow_id for flow in live} if running else set()
        flows = together(map(from_row, rows), live)
        withheld = self.withheld
        return [withheld.running(flow) if flow.flow_id in ids else withheld.stored(flow) for flow in flows]

    def _by_session(self, live: Sequence[Flow], rows: Mapping[str, Sequence[Row]], limit: int) -> dict[str, list[Flow]]:
        """Sessions with a running flow come first."""
        running: dict[str, list[Flow]] = {}
        for flow in reversed(live):
            running.setdefault(flow.session_id or flow.flow_id, []).append(flow)
        sessions: dict[str, list[Flow]] = {}
        for session_id in [*running, *(session_id for session_id in rows if session_id not in running)][:limit]:
            sessions[session_id] = self._together(rows.get(session_id, ()), running.get(session_id, ()))
        return sessions

    def _may_see(self, user_id: str | None) -> bool:
        """Whether what one part of a flow says of its user hides it."""
        return user_id is None or self._sees(user_id)

    def _sees(self, user_id: str | None) -> bool:
        return self._visible is None or (user_id is not None and user_id in self._visible)

    async def _live(self, find: Callable[[], Awaitable[list[str]]], most: int = _MAX_RUNNING) -> list[Flow]:
        try:
            flow_ids = (await self._redis.visible_among(await find(), self._visible))[:most]
            reducers = await self._redis.reduced_all(flow_ids)
        except REDIS_ERRORS as why:
            log.debug("Redis cannot be asked for running flows: %s", why)
            self.without_running = True
            return []
        flows = await asyncio.to_thread(
            lambda: [from_stream(flow_id, reducer) for flow_id, reducer in reducers.items() if len(reducer)]
        )
        flows = [flow for flow in flows if self._sees(flow.user_id)]
        try:
            return await self._with_cut_spans(flows)
        except REDIS_ERRORS as why:
            log.debug("Redis cannot be asked how long running flows are: %s", why)
            return flows

    async def _described(self, flow: Flow) -> Flow:
        """A flow that Redis has, with what its processes say of themselves."""
        described = await self._redis.about(sorted(flow.process_ids))
        return replace(flow, document={**flow.document, "processes": described}) if described else flow

    async def _with_cut_spans(self, flows: Sequence[Flow]) -> list[Flow]:
        """Flows that Redis has, with how many of their spans are gone from there."""
        span_counts = await self._redis.told({flow.flow_id: flow.process_ids for flow in flows})
        return [
            replace(flow, cut_spans=max(0, span_counts[flow.flow_id] - len(flow.entries)))
            if flow.flow_id in span_counts
            else flow
            for flow in flows
        ]
