"""Reads flows from wherever they are: Postgres, and Redis for what still runs or was not stored yet.

Redis is asked first: a flow that leaves it in between is in Postgres by then. Without Redis the past is still served.
Large documents are taken apart in threads, because the live sockets need the event loop.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime

from spanflow.viewer_api.documents import Flow, from_row, from_stream, together
from spanflow.viewer_api.live.redis_flows import REDIS_ERRORS, RedisFlows
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.store.flows import Filters, FlowStore

log = logging.getLogger(__name__)

#: Running flows that one answer shows, the newest.
_MAX_RUNNING = 50


class FlowReader:
    """Reads what the users in `visible` did, and nothing of anybody else; None stands for everybody."""

    def __init__(self, store: FlowStore, redis: RedisFlows, visible: Collection[str] | None) -> None:
        self._store = store
        self._redis = redis
        self._visible = visible

    async def of_user(self, user_id: str, source: str | None, limit: int) -> list[Flow]:
        """Newest first."""
        live = await self._live(lambda: self._redis.open_of_user(user_id))
        live = [flow for flow in live if _belongs(flow, Filters(user_id=user_id, source=source))]
        rows = await self._store.of_user(user_id, source, limit) if self._sees(user_id) else []
        return await asyncio.to_thread(lambda: together(map(from_row, rows), live)[::-1][:limit])

    async def of_session(self, session_id: str, limit: int) -> list[Flow]:
        """In start order. A flow without a session is found by its own id."""
        live = await self._live(lambda: self._redis.open_of_session(session_id))
        rows = await self._store.of_session(session_id, limit, self._visible)
        if not rows and not live and (row := await self._store.one(session_id, self._visible)) is not None:
            rows = [row]
        return await asyncio.to_thread(lambda: together(map(from_row, rows), live))

    async def sessions_of_user(self, user_id: str, source: str | None, limit: int) -> dict[str, list[Flow]]:
        """The flows of each of the newest sessions, the newest session first."""
        live = await self._live(lambda: self._redis.open_of_user(user_id))
        live = [flow for flow in live if _belongs(flow, Filters(user_id=user_id, source=source))]
        rows = await self._store.of_newest_sessions(user_id, source, limit) if self._sees(user_id) else {}
        return await asyncio.to_thread(_by_session, live, rows, limit)

    async def running(self, filters: Filters) -> list[Flow]:
        """Running flows, newest first, whatever their outcome. Which texts are in them is only known when stored."""
        if filters.terms is not None:
            return []
        session_id, user_id = filters.session_id, filters.user_id
        if session_id is not None:
            live = await self._live(lambda: self._redis.open_of_session(session_id))
        elif user_id is not None:
            live = await self._live(lambda: self._redis.open_of_user(user_id))
        elif (visible := self._visible) is not None:
            live = await self._live(lambda: self._redis.open_of_users(sorted(visible)))
        else:
            live = await self._live(lambda: self._redis.newest_open(_MAX_RUNNING))
        return [flow for flow in together((), live)[::-1] if _belongs(flow, filters)]

    async def page(self, filters: Filters, after: tuple[datetime, str] | None, limit: int) -> list[Row]:
        """Summaries of stored flows, newest first, from below the flow `after` on."""
        return await self._store.page(filters, after, limit, self._visible)

    async def one(self, flow_id: str) -> Flow | None:
        live: Flow | None = None
        try:
            reducer = await self._redis.reduced(flow_id)
            live = from_stream(flow_id, reducer) if len(reducer) else None
        except REDIS_ERRORS as why:
            log.debug("Redis cannot be asked for flow %s: %s", flow_id, why)
        row = await self._store.one(flow_id, None)
        found = await asyncio.to_thread(lambda: together([from_row(row)] if row else [], [live] if live else []))
        # What is stored may not know yet whose it is, or not any more: both together decide.
        return found[0] if found and self._sees(found[0].user_id) else None

    def _sees(self, user_id: str | None) -> bool:
        return self._visible is None or (user_id is not None and user_id in self._visible)

    async def _live(self, find: Callable[[], Awaitable[list[str]]]) -> list[Flow]:
        try:
            flow_ids = (await find())[:_MAX_RUNNING]
            found = [(flow_id, await self._redis.reduced(flow_id)) for flow_id in flow_ids]
        except REDIS_ERRORS as why:
            log.debug("Redis cannot be asked for running flows: %s", why)
            return []
        flows = await asyncio.to_thread(
            lambda: [from_stream(flow_id, reducer) for flow_id, reducer in found if len(reducer)]
        )
        return [flow for flow in flows if self._sees(flow.user_id)]


def _by_session(live: Sequence[Flow], rows: Mapping[str, Sequence[Row]], limit: int) -> dict[str, list[Flow]]:
    """Sessions with a running flow come first."""
    running: dict[str, list[Flow]] = {}
    for flow in reversed(live):
        running.setdefault(flow.session_id or flow.flow_id, []).append(flow)
    sessions: dict[str, list[Flow]] = {}
    for session_id in [*running, *(session_id for session_id in rows if session_id not in running)][:limit]:
        sessions[session_id] = together(map(from_row, rows.get(session_id, ())), running.get(session_id, ()))
    return sessions


def _belongs(flow: Flow, filters: Filters) -> bool:
    """Whether a running flow matches in all but its outcome, which takes a summary."""
    for name in ("user_id", "session_id", "conversation_id", "source"):
        wanted = getattr(filters, name)
        if wanted is not None and getattr(flow, name) != wanted:
            return False
    started = flow.created_at
    if started is None:
        return True
    return not (filters.since and started < filters.since) and not (filters.until and started >= filters.until)
