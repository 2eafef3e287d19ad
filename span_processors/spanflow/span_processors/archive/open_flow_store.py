"""What Redis knows of flows that are not archived, as a reaper reads it. Foreign entries and keys never raise."""

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError

from spanflow.span_processors import names
from spanflow.span_processors.ids import is_id
from spanflow.span_processors.redis.redis_text import is_about_one_key, text_of
from spanflow.span_processors.shared_settings import SharedSettings

_log = logging.getLogger(__name__)

#: Entries read from Redis in one go.
_PAGE: Final = 500
#: Scores are times of Redis itself; gateways before 0.2 wrote their own clock's. What lies so far ahead is theirs.
_AHEAD: Final = 60.0


class ForeignKey(Exception):
    """The key of a flow holds something else."""


class OpenFlowStore:
    """The index of open flows, their streams and the heartbeats. Used in one event loop."""

    def __init__(self, client: Any, settings: SharedSettings) -> None:
        self._client = client
        self._ttl = int(settings.stream_ttl)
        self._ttl_archived = int(settings.stream_ttl_archived)
        #: Index entries that were no flows, and were removed.
        self.foreign = 0

    async def now(self) -> float:
        """Redis' own clock in seconds: the one that every gateway and viewer shares."""
        seconds, microseconds = await self._client.time()
        return int(seconds) + int(microseconds) / 1e6

    async def quiet(self, before: float, now: float) -> dict[str, float]:
        """Flows that nothing has been written to since `before`, and when something was."""
        quiet_flows: dict[str, float] = {}
        foreign: list[bytes | str] = []
        for low, high in (("-inf", before), (now + _AHEAD, "+inf")):
            async for member, score in self._scored(low, high):
                flow_id = text_of(member)
                if is_id(flow_id) and flow_id.encode() == (member if isinstance(member, bytes) else member.encode()):
                    quiet_flows[flow_id] = min(score, now)
                else:
                    foreign.append(member)
        for member in foreign:
            await self._drop(member)
        return quiet_flows

    async def _scored(self, low: float | str, high: float | str) -> AsyncIterator[tuple[Any, float]]:
        start = 0
        while True:
            page = await self._client.zrangebyscore(
                names.OPEN_FLOWS, low, high, start=start, num=_PAGE, withscores=True
            )
            for member, score in page:
                yield member, score
            if len(page) < _PAGE:
                return
            start += _PAGE

    async def drop_foreign(self, flow_id: str) -> None:
        """Its key holds something that is no flow."""
        await self._drop(flow_id)

    async def _drop(self, member: bytes | str) -> None:
        await self._client.zrem(names.OPEN_FLOWS, member)
        self.foreign += 1
        if self.foreign == 1:
            _log.warning("%s had an entry that is no flow; it was removed (said once)", names.OPEN_FLOWS)

    async def is_open(self, flow_id: str) -> bool:
        return await self._client.zscore(names.OPEN_FLOWS, flow_id) is not None

    async def forget(self, flow_id: str) -> None:
        """There is nothing behind this entry of the index."""
        await self._client.zrem(names.OPEN_FLOWS, flow_id)

    async def events(self, flow_id: str) -> list[bytes]:
        """The encoded events of a flow. Raises `ForeignKey`."""
        try:
            return await self._entries(names.flow_stream(flow_id))
        except ResponseError as why:
            raise _foreign(why) from why

    async def activities(self, flow_id: str) -> list[bytes]:
        with suppress(ForeignKey):
            try:
                return await self._entries(names.flow_activities(flow_id))
            except ResponseError as why:
                raise _foreign(why) from why
        return []

    async def reaped(self, flow_id: str) -> set[str]:
        """The processes whose share of the flow has been archived."""
        try:
            return {text_of(member) for member in await self._client.smembers(_reaped_key(flow_id))}
        except ResponseError as why:
            _foreign(why)
            return set()

    async def description(self, process: str) -> bytes:
        """What a process has published about itself."""
        try:
            about = await self._client.get(names.process_description(process))
        except ResponseError as why:
            _foreign(why)
            return b"{}"
        return about.encode() if isinstance(about, str) else about or b"{}"

    async def told(self, flow_id: str, process: str) -> int:
        """How many spans of the flow the process has announced, if they are more than the stream holds."""
        try:
            announced = text_of(await self._client.get(names.flow_told(flow_id, process)))
        except ResponseError as why:
            _foreign(why)
            return 0
        return int(announced) if announced.isdecimal() and len(announced) < 10 else 0

    async def without_heartbeat(self, processes: Iterable[str]) -> set[str]:
        missing = set()
        for process in processes:
            if not await self._client.exists(names.process_heartbeat(process)):
                missing.add(process)
        return missing

    async def leave(self, flow_id: str, gone: Iterable[str], others_live: bool) -> None:
        """A share is archived: the flow leaves the index and soon Redis, unless a process that lives is still at it."""
        if others_live:
            key = _reaped_key(flow_id)
            try:
                await self._client.sadd(key, *gone)
            except ResponseError as why:
                _foreign(why)
                await self._client.delete(key)
                await self._client.sadd(key, *gone)
            await self._client.expire(key, self._ttl)
            return
        await self._client.zrem(names.OPEN_FLOWS, flow_id)
        await self._client.delete(names.flow_activities(flow_id))
        await self._client.expire(names.flow_stream(flow_id), self._ttl_archived)

    @asynccontextmanager
    async def locked(self, flow_id: str, token: str, seconds: float) -> AsyncIterator[bool]:
        """Whether the flow is ours alone, for so long at most."""
        lock = names.flow_key(flow_id, "reaper")
        taken = bool(await self._client.set(lock, token, nx=True, px=int(seconds * 1000)))
        try:
            yield taken
        finally:
            if taken:
                with suppress(RedisError, OSError):
                    if text_of(await self._client.get(lock)) == token:
                        await self._client.delete(lock)

    async def _entries(self, stream: str) -> list[bytes]:
        """The contents of a stream, page by page."""
        entries: list[bytes] = []
        start = "-"
        while True:
            page = await self._client.xrange(stream, start, "+", count=_PAGE)
            for entry_id, fields in page:
                start = f"({text_of(entry_id)}"
                raw = fields.get(names.STREAM_FIELD) or fields.get(names.STREAM_FIELD.encode()) or b""
                entries.append(raw.encode() if isinstance(raw, str) else raw)
            if len(page) < _PAGE:
                return entries


def _foreign(why: ResponseError) -> ForeignKey:
    if not is_about_one_key(why):
        raise why
    return ForeignKey(str(why))


def _reaped_key(flow_id: str) -> str:
    return names.flow_key(flow_id, "reaped")
