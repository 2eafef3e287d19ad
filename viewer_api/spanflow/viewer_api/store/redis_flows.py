"""Reads flows from Redis: who has which, which are open, and what their streams hold."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.exceptions import RedisClusterException, RedisError, ResponseError

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event, EventError, decode
from spanflow.span_processors.ids import is_id
from spanflow.span_processors.redis.loss_totals import MAX_PROCESSES
from spanflow.span_processors.redis.redis_client import AsyncClient
from spanflow.span_processors.redis.redis_text import is_about_one_key, text_of
from spanflow.span_processors.tree.reducer import FlowReducer
from spanflow.viewer_api.store.stream_id import BEGINNING

#: Entries that one XRANGE asks for.
PAGE: Final = 500
#: Streams of which pages are asked for at once.
_MAX_PAGES: Final = 40
#: Of one user or session so many newest flows are looked at.
MAX_FLOWS: Final = 500
#: So many newest flows of each are looked at when several users are asked for at once.
_MAX_OPEN_OF_ONE: Final = 50
#: Scores that are asked for to find out which flows a client may see.
_MAX_LOOK_UPS: Final = 20_000
#: No server answers, or not in a way that we can use.
REDIS_ERRORS: Final = (RedisError, RedisClusterException, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream. `event` is None when it could not be read: the entry still moves the cursor."""

    id: str
    event: Event | None
    #: Bytes of the event as it is stored.
    size: int = 0


def unless_cancelled() -> None:
    """Where an error of Redis is met, and in loops that ask Redis: a cancellation during a broken connection surfaces
    as that error only, or not at all when the client library tries again."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def batched(flow_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many flows at a time as one answer may hold a page of: a thousand long ones at once are hundreds of MB."""
    for first in range(0, len(flow_ids), _MAX_PAGES):
        yield flow_ids[first : first + _MAX_PAGES]


class RedisFlows:
    """One shared client; but for those that read whole streams, every method is one round trip."""

    def __init__(self, client: AsyncClient) -> None:
        self._client: Any = client
        # One command cannot read from several nodes.
        self._reads_many = not isinstance(client, AsyncRedisCluster)
        #: Index entries and streams that turned out to be no flows, and were passed over.
        self.foreign = 0

    async def of_user(self, user_id: str) -> list[str]:
        """A user's newest flows, newest first."""
        return await self._index(names.user_flows(user_id))

    async def of_session(self, session_id: str) -> list[str]:
        return await self._index(names.session_flows(session_id))

    async def of_conversation(self, conversation_id: str) -> list[str]:
        """A conversation's newest flows, newest first."""
        return await self._index(names.conversation_flows(conversation_id))

    async def among_user(self, user_id: str, flow_ids: Sequence[str]) -> set[str]:
        """Those flows that are a user's."""
        return await self._members(names.user_flows(user_id), flow_ids)

    async def visible_among(self, flow_ids: Sequence[str], visible: Collection[str] | None) -> list[str]:
        """Those flows, in their order, that are in the index of one of these users; None stands for all users.

        One round trip that reads no stream: an invisible flow costs as much as a missing one. For a client
        who may see very many users all are given: whose a flow is, is checked again when it has been read.
        """
        if visible is None or not flow_ids or len(visible) * len(flow_ids) > _MAX_LOOK_UPS:
            return list(flow_ids)
        pipe = self._client.pipeline(transaction=False)
        for user_id in visible:
            pipe.zmscore(names.user_flows(user_id), list(flow_ids))
        visible_ids = {
            flow_id
            for scores in await pipe.execute()
            for flow_id, score in zip(flow_ids, scores, strict=True)
            if score is not None
        }
        return [flow_id for flow_id in flow_ids if flow_id in visible_ids]

    async def in_conversation(self, conversation_id: str, flow_ids: Sequence[str]) -> set[str]:
        """Those flows that belong to a conversation."""
        return await self._members(names.conversation_flows(conversation_id), flow_ids)

    async def open_among(self, flow_ids: Sequence[str]) -> set[str]:
        """Those flows that are still running, or complete and not yet stored."""
        return await self._members(names.OPEN_FLOWS, flow_ids)

    async def newest_open(self, count: int) -> list[str]:
        """Running flows of all users, the latest news first."""
        return self._flow_ids(await self._client.zrevrange(names.OPEN_FLOWS, 0, count - 1))

    async def longest_silent(self, count: int) -> list[str]:
        """Running flows of all users, those without news for longest first."""
        return self._flow_ids(await self._client.zrange(names.OPEN_FLOWS, 0, count - 1))

    async def first_entries(self, flow_ids: Sequence[str]) -> dict[str, Entry]:
        """The oldest entry of each stream that is there."""
        entries_by_flow: dict[str, Entry] = {}
        for first in range(0, len(flow_ids), PAGE):
            some = flow_ids[first : first + PAGE]
            pipe = self._client.pipeline(transaction=False)
            for flow_id in some:
                pipe.xrange(names.flow_stream(flow_id), count=1)
            answers = await self._answers(pipe)
            entries_by_flow |= {
                flow_id: _entry(flow_id, answer[0]) for flow_id, answer in zip(some, answers, strict=True) if answer
            }
        return entries_by_flow

    async def open_of_users(self, user_ids: Sequence[str]) -> list[str]:
        """Running flows of these users, the latest news first."""
        if not user_ids:
            return []
        pipe = self._client.pipeline(transaction=False)
        for user_id in user_ids:
            pipe.zrevrange(names.user_flows(user_id), 0, _MAX_OPEN_OF_ONE - 1)
        answers = [answer for answer in await self._answers(pipe) if answer is not None]
        flow_ids = list(dict.fromkeys(flow_id for answer in answers for flow_id in self._flow_ids(answer)))
        if not flow_ids:
            return []
        scores = dict(zip(flow_ids, await self._client.zmscore(names.OPEN_FLOWS, flow_ids), strict=True))
        running = [flow_id for flow_id in flow_ids if scores[flow_id] is not None]
        return sorted(running, key=lambda flow_id: -scores[flow_id])

    async def open_of_user(self, user_id: str) -> list[str]:
        return await self._open(await self.of_user(user_id))

    async def open_of_session(self, session_id: str) -> list[str]:
        return await self._open(await self.of_session(session_id))

    async def open_of_conversation(self, conversation_id: str) -> list[str]:
        return await self._open(await self.of_conversation(conversation_id))

    async def _open(self, flow_ids: Sequence[str]) -> list[str]:
        running = await self.open_among(flow_ids)
        return [flow_id for flow_id in flow_ids if flow_id in running]

    async def pages(self, after: dict[str, str], until: dict[str, str] | None = None) -> dict[str, list[Entry]]:
        """The next page of each stream behind the given entry ids (up to `until`, included)."""
        if not after:
            return {}
        if until is None and self._reads_many:
            try:
                return await self._news(after)
            except ResponseError as why:
                # One of them is no stream: the others are read each by itself.
                if not is_about_one_key(why):
                    raise
        pipe = self._client.pipeline(transaction=False)
        for flow_id, entry_id in after.items():
            low = "-" if entry_id == BEGINNING else f"({entry_id}"
            high = until[flow_id] if until else "+"
            pipe.xrange(names.flow_stream(flow_id), min=low, max=high, count=PAGE)
        answers = await self._answers(pipe)
        return {
            flow_id: [_entry(flow_id, raw) for raw in answer or ()]
            for flow_id, answer in zip(after, answers, strict=True)
        }

    async def _news(self, after: dict[str, str]) -> dict[str, list[Entry]]:
        """The same by one command, whose answer only has those streams in which there is something new."""
        keys = {names.flow_stream(flow_id): flow_id for flow_id in after}
        answer = await self._client.xread({key: after[flow_id] for key, flow_id in keys.items()}, count=PAGE)
        news = {keys[text_of(key)]: entries for key, entries in answer}
        return {flow_id: [_entry(flow_id, raw) for raw in news.get(flow_id, ())] for flow_id in after}

    async def last_ids(self, flow_ids: Iterable[str]) -> dict[str, str]:
        """The newest entry of each stream that is there."""
        wanted = list(flow_ids)
        if not wanted:
            return {}
        pipe = self._client.pipeline(transaction=False)
        for flow_id in wanted:
            pipe.xrevrange(names.flow_stream(flow_id), count=1)
        answers = await self._answers(pipe)
        return {flow_id: text_of(answer[0][0]) for flow_id, answer in zip(wanted, answers, strict=True) if answer}

    async def length(self, flow_id: str) -> int:
        """How many entries a stream has."""
        pipe = self._client.pipeline(transaction=False)
        pipe.xlen(names.flow_stream(flow_id))
        (answer,) = await self._answers(pipe)
        return int(answer or 0)

    async def holds(self, flow_id: str, entry_id: str) -> bool:
        """Whether this very entry is still in the stream: then nothing behind it was trimmed."""
        entries = await self._client.xrange(names.flow_stream(flow_id), min=entry_id, max=entry_id, count=1)
        return bool(entries)

    async def reduced(self, flow_id: str, until: str | None = None) -> FlowReducer:
        """Everything that a stream holds (up to the entry `until`), reduced."""
        return (await self.reduced_all([flow_id], {flow_id: until} if until else None))[flow_id]

    async def reduced_all(self, flow_ids: Sequence[str], until: dict[str, str] | None = None) -> dict[str, FlowReducer]:
        """The same of many streams, in the order given, with a round trip for a few dozen of them."""
        reducers = {flow_id: FlowReducer() for flow_id in flow_ids}
        for some in batched(list(reducers)):
            after = dict.fromkeys(some, BEGINNING)
            while after:
                pages = await self.pages(after, until)
                for flow_id, entries in pages.items():
                    for entry in entries:
                        if entry.event is not None:
                            reducers[flow_id].add(entry.event)
                after = {flow_id: entries[-1].id for flow_id, entries in pages.items() if len(entries) == PAGE}
        return reducers

    async def told(self, processes: Mapping[str, Collection[str]]) -> dict[str, int]:
        """How many spans of each flow its processes have told of, where they are more than its stream may hold."""
        pipe = self._client.pipeline(transaction=False)
        asked = [(flow_id, process) for flow_id, some in processes.items() for process in some]
        for flow_id, process in asked:
            pipe.get(names.flow_told(flow_id, process))
        totals: dict[str, int] = {}
        for (flow_id, _), answer in zip(asked, await self._answers(pipe) if asked else (), strict=True):
            number = text_of(answer)
            if number.isdecimal() and len(number) < 10:
                totals[flow_id] = totals.get(flow_id, 0) + int(number)
        return totals

    async def alive(self, processes: Iterable[str]) -> set[str]:
        """Those gateway processes whose heartbeat is there."""
        wanted = list(processes)
        if not wanted:
            return set()
        pipe = self._client.pipeline(transaction=False)
        for process in wanted:
            pipe.exists(names.process_heartbeat(process))
        answers = await pipe.execute()
        return {process for process, answer in zip(wanted, answers, strict=True) if answer}

    async def about(self, processes: Iterable[str]) -> dict[str, Any]:
        """What processes say of themselves; without those of which nothing can be read."""
        wanted = list(processes)
        pipe = self._client.pipeline(transaction=False)
        for process in wanted:
            pipe.get(names.process_description(process))
        answers = await self._answers(pipe) if wanted else []
        descriptions = {process: _described(answer) for process, answer in zip(wanted, answers, strict=True) if answer}
        return {process: about for process, about in descriptions.items() if about is not None}

    async def losses(self) -> dict[str, bytes]:
        """What gateway processes have lost since they began, of those that lost something; as they wrote it."""
        members = await self._client.zrevrange(names.PROCESSES_WITH_LOSSES, 0, MAX_PROCESSES - 1)
        processes = [process for process in map(text_of, members) if is_id(process)]
        if not processes:
            return {}
        pipe = self._client.pipeline(transaction=False)
        for process in processes:
            pipe.get(names.process_losses(process))
        answers = await self._answers(pipe)
        return {process: answer for process, answer in zip(processes, answers, strict=True) if answer}

    async def now_ms(self) -> int:
        """The server's own clock, which also makes the ids of entries."""
        seconds, microseconds = await self._client.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def is_up(self) -> bool:
        try:
            await self._client.ping()
        except REDIS_ERRORS:
            return False
        return True

    async def _members(self, key: str, flow_ids: Sequence[str]) -> set[str]:
        if not flow_ids:
            return set()
        scores = await self._client.zmscore(key, list(flow_ids))
        return {flow_id for flow_id, score in zip(flow_ids, scores, strict=True) if score is not None}

    async def _index(self, key: str) -> list[str]:
        return self._flow_ids(await self._client.zrevrange(key, 0, MAX_FLOWS - 1))

    async def _answers(self, pipe: Any) -> list[Any]:
        """What a pipeline answers; None for keys that hold something foreign, so that they cost no other its answer."""
        answers = await pipe.execute(raise_on_error=False)
        for place, answer in enumerate(answers):
            if isinstance(answer, Exception):
                if not is_about_one_key(answer):
                    raise answer
                self.foreign += 1
                answers[place] = None
        return list(answers)

    def _flow_ids(self, members: Iterable[bytes | str]) -> list[str]:
        """Members of an index as flow ids, without those that are none."""
        texts = list(map(text_of, members))
        flow_ids = [flow_id for flow_id in texts if is_id(flow_id)]
        self.foreign += len(texts) - len(flow_ids)
        return flow_ids


def _entry(flow_id: str, raw: Any) -> Entry:
    entry_id, fields = raw
    data = (fields or {}).get(names.STREAM_FIELD.encode())
    try:
        event = decode(data) if data is not None else None
    except EventError:
        event = None
    if event is not None:
        event["flow_id"] = flow_id
    return Entry(text_of(entry_id), event, len(data or b""))


def _described(answer: Any) -> dict[str, Any] | None:
    try:
        about = orjson.loads(answer)
    except ValueError:
        return None
    return about if isinstance(about, dict) else None
