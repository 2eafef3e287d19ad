"""The mirror: every event into its flow's Redis stream, the indexes, and for watched users the bell.

One pipelined round trip per batch. The stream comes first and the bell after it, so a bell never precedes its data.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from spanflow.span_processors import names
from spanflow.span_processors.clock import Clock, SystemClock
from spanflow.span_processors.redis.loss_totals import write_losses
from spanflow.span_processors.redis.mirror_items import (
    END,
    START,
    ActivityItem,
    Archived,
    IdentityItem,
    LongFlow,
    MirrorItem,
    Notification,
    OtherProcess,
    StreamEntry,
)
from spanflow.span_processors.redis.redis_link import RedisLink
from spanflow.span_processors.redis.resp_commands import Commands
from spanflow.span_processors.redis.resp_replies import Replies
from spanflow.span_processors.redis.stream_state import StreamState
from spanflow.span_processors.shared_settings import SharedSettings
from spanflow.span_processors.stages import counters
from spanflow.span_processors.stages.sink import Aside, Receipt, Unavailable
from spanflow.span_processors.stages.sink_runner import SinkRunner

_log = logging.getLogger(__name__)

_OPEN_FLOWS: Final = names.OPEN_FLOWS.encode()
_ENTRY_WEIGHT: Final = 160
_REFRESH_AFTER: Final = 10.0
_TRIM_AFTER: Final = 60.0
#: Flows that an index of one user or session keeps.
INDEX_LENGTH: Final = 1000
#: Keys whose expiry was set lately, remembered so that a busy user's index is not trimmed at every flow.
_REMEMBERED_INDEXES: Final = 10_000
#: What a flow is found by, in the order of `StreamState.users`.
_INDEXES: Final = (names.user_flows, names.session_flows, names.conversation_flows)
#: Of a flow whose user, session or conversation is corrected again and again, the last indexes are remembered.
_MAX_OUTDATED: Final = 8
#: Activities that are kept of a flow that is not archived yet.
_MAX_SAID: Final = b"1000"
HEARTBEAT_EVERY: Final = 5.0
HEARTBEAT_TTL: Final = 20

#: Errors of the server as a whole: nothing is wrong with the command, it is worth trying again.
_SERVER_ERRORS: Final = (
    "OOM",
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MISCONF",
    "NOREPLICAS",
    "NOAUTH",
    "WRONGPASS",
    "BUSY ",
    "UNBLOCKED",
)


def is_refusable(item: MirrorItem) -> bool:
    """Starts, updates and bells can be done without: the end carries the whole span when its start was lost."""
    return type(item) is not Archived and (type(item) is not StreamEntry or item.kind != END)


def note_refused(item: MirrorItem) -> None:
    """What the mirror's queue has no room for: a span's end tells all when its start was refused."""
    if type(item) is StreamEntry and item.kind == START:
        item.stream.refuse_start(item.span_id)


def archived_in(mirror: SinkRunner[MirrorItem] | None) -> Callable[[Sequence[str]], None]:
    """What the archive calls with the ids of flows that are safe, on its own thread."""

    def tell(flow_ids: Sequence[str]) -> None:
        if mirror is not None:
            mirror.offer([Archived(flow_id) for flow_id in flow_ids])

    return tell


class Mirror:
    """The sink that writes to Redis. Used by its runner's thread only."""

    name = "mirror"

    def __init__(
        self,
        link: RedisLink,
        settings: SharedSettings,
        *,
        instance_id: Callable[[], str],
        process: Callable[[], bytes],
        on_emptied: Callable[[], None] = lambda: None,
        losses: Callable[[], Mapping[str, int]] = dict,
        clock: Clock | None = None,
    ) -> None:
        """`on_emptied` is called on this sink's thread when Redis has lost what this process had written. `losses` is
        what the process has lost since it began, by cause."""
        self._link = link
        self._on_emptied = on_emptied
        self._ttl = b"%d" % int(settings.stream_ttl)
        self._ttl_archived = b"%d" % int(settings.stream_ttl_archived)
        # An expiry slides when a tenth of it has gone by, not with every event.
        self._slide_after = min(3600.0, settings.stream_ttl / 10)
        self._instance_id = instance_id
        self._process = process
        self._losses = losses
        self._clock = clock or SystemClock()
        self._trimmed: dict[bytes, float] = {}
        self._beaten_at = -HEARTBEAT_EVERY
        #: What Redis has of this process's description, and what is on its way there.
        self._described = self._describing = b""
        #: How far Redis' own clock is ahead of our monotonic one. Index entries of all gateways are compared with each
        #: other, so they are written in its time.
        self._redis_ahead: float | None = None
        self._refusals: set[str] = set()

    # -- Sink ----------------------------------------------------------------------------------------------------------

    def sizes(self, items: Sequence[MirrorItem]) -> list[int]:
        return [
            len(item[3]) + len(item[4]) + _ENTRY_WEIGHT if type(item) is StreamEntry else self._size(item)
            for item in items
        ]

    def _size(self, item: MirrorItem) -> int:
        if type(item) is Notification:
            return sum(map(len, item.messages)) + _ENTRY_WEIGHT
        if type(item) is OtherProcess:
            return len(item.description) + _ENTRY_WEIGHT
        if type(item) is ActivityItem:
            return len(item.data) + _ENTRY_WEIGHT
        return _ENTRY_WEIGHT

    def deliver(self, batch: Sequence[MirrorItem], deadline: float) -> Receipt[MirrorItem]:
        try:
            return self._deliver(batch, deadline)
        except Unavailable:
            for item in batch:
                _index_again(item)
            raise

    def _deliver(self, batch: Sequence[MirrorItem], deadline: float) -> Receipt[MirrorItem]:
        now = self._clock.monotonic()
        wall = self._redis_time(now, deadline)
        commands = self._link.commands()
        #: For every command the item whose fate its reply decides, or None.
        owners: list[MirrorItem | None] = []
        heartbeat = self._beat(commands, owners, now)
        at, end = 0, len(batch)
        while at < end:
            place = commands.add_entries(batch, at, now)
            owners += batch[at:place]
            if place < end:
                item = batch[place]
                if type(item) is StreamEntry:
                    commands.add_event(item.stream, item.told())
                    owners.append(item)
                    self._write_beside(commands, owners, item.stream, now, wall)
                else:
                    self._write_other(commands, owners, item, now)
            at = place + 1
        replies = self._link.execute(commands, deadline)
        if heartbeat:
            self._has_beaten(now, replies)
        return self._judge(batch, owners, replies)

    def _write_other(self, commands: Commands, owners: list[MirrorItem | None], item: MirrorItem, now: float) -> None:
        if type(item) is IdentityItem:
            before = len(owners)
            self._index(commands, owners, item.stream, now)
            owners[before : before + 1] = [item] if len(owners) > before else []
        elif type(item) is ActivityItem:
            self._keep(commands, owners, item)
        elif type(item) is Notification:
            _ring(commands, owners, item)
        elif type(item) is LongFlow:
            key = names.flow_told(item.flow_id, self._instance_id()).encode()
            commands.add(b"SET", key, b"%d" % item.spans, b"EX", self._ttl)
            owners.append(item)
        elif type(item) is OtherProcess:
            self._tell_of(commands, owners, item)
        elif type(item) is Archived:
            self._close_flow(commands, owners, item)

    def set_aside(self, batch: Sequence[MirrorItem]) -> Aside:
        """There is nowhere else to put events: they wait in the queue while it has room."""
        return Aside(0)

    def idle(self, deadline: float) -> float | None:
        if self._beaten_at < 0:
            # The first delivery says that this process lives, and what it is, as soon as its first span has told. It
            # finds the connection open.
            self._redis_time(self._clock.monotonic(), deadline)
            return HEARTBEAT_EVERY
        now = self._clock.monotonic()
        commands = self._link.commands()
        owners: list[MirrorItem | None] = []
        if self._beat(commands, owners, now):
            self._redis_time(now, deadline)
            replies = self._link.execute(commands, deadline)
            for reply in replies:
                if isinstance(reply, Exception) and _is_of_server(str(reply)):
                    raise Unavailable(str(reply))
            self._has_beaten(now, replies)
        return max(0.05, self._beaten_at + HEARTBEAT_EVERY - self._clock.monotonic())

    def close(self, deadline: float) -> None:
        if self._beaten_at >= 0:
            commands = self._link.commands()
            # A clean exit is announced, so that open flows are taken over at once.
            commands.add(b"DEL", names.process_heartbeat(self._instance_id()).encode())
            self._write_losses(commands)
            try:
                self._link.execute(commands, min(deadline, time.monotonic() + 0.5))
            except Unavailable:
                pass
        self._link.close()

    def after_fork(self) -> None:
        self._link.forget()
        self._beaten_at = -HEARTBEAT_EVERY
        self._described = self._describing = b""
        self._redis_ahead = None
        self._trimmed.clear()

    # -- one batch -----------------------------------------------------------------------------------------------------

    def _write_beside(
        self, commands: Commands, owners: list[MirrorItem | None], stream: StreamState, now: float, wall: bytes
    ) -> None:
        """Beside an event and now and then: the index of open flows, the expiry, the indexes of user and session."""
        if now >= stream.touched_at:
            stream.touched_at = now + _REFRESH_AFTER
            commands.add(b"ZADD", _OPEN_FLOWS, wall, stream.flow_id.encode())
            owners.append(None)
            if now >= stream.expires_at:
                stream.expires_at = now + self._slide_after
                commands.add(b"EXPIRE", stream.key, self._ttl)
                owners.append(None)
        if stream.indexed != stream.users:
            self._index(commands, owners, stream, now)

    def _index(self, commands: Commands, owners: list[MirrorItem | None], stream: StreamState, now: float) -> None:
        # Read once: the encoder may learn more concurrently, and only what was indexed may be recorded as indexed.
        users, indexed = stream.users, stream.indexed
        score = b"%.6f" % stream.started_s
        keys = [None if id is None else of(id).encode() for of, id in zip(_INDEXES, users, strict=True)]
        for of, known, key in zip(_INDEXES, indexed, keys, strict=True):
            if known is not None and (before := of(known).encode()) != key:
                stream.outdated = (*stream.outdated, before)[-_MAX_OUTDATED:]
        # Until it is known that Redis took it, again with every change.
        for before in stream.outdated:
            if before not in keys:
                commands.add(b"ZREM", before, stream.flow_id.encode())
                owners.append(None)
        for key, id, known in zip(keys, users, indexed, strict=True):
            if key is not None and id != known:
                self._index_under(commands, owners, key, stream, score, now)
        stream.indexed = users

    def _index_under(
        self,
        commands: Commands,
        owners: list[MirrorItem | None],
        key: bytes,
        stream: StreamState,
        score: bytes,
        now: float,
    ) -> None:
        commands.add(b"ZADD", key, score, stream.flow_id.encode())
        owners.append(None)
        if now >= self._trimmed.get(key, 0.0):
            if len(self._trimmed) >= _REMEMBERED_INDEXES:
                self._trimmed.clear()
            self._trimmed[key] = now + _TRIM_AFTER
            commands.add(b"ZREMRANGEBYRANK", key, b"0", b"%d" % (-INDEX_LENGTH - 1))
            commands.add(b"EXPIRE", key, self._ttl)
            owners += (None, None)

    def _close_flow(self, commands: Commands, owners: list[MirrorItem | None], item: Archived) -> None:
        commands.add(b"ZREM", _OPEN_FLOWS, item.flow_id.encode())
        commands.add(b"EXPIRE", names.flow_stream(item.flow_id).encode(), self._ttl_archived)
        commands.add(b"DEL", names.flow_activities(item.flow_id).encode())
        owners += (item, None, None)

    def _keep(self, commands: Commands, owners: list[MirrorItem | None], item: ActivityItem) -> None:
        key = names.flow_activities(item.flow_id).encode()
        commands.add(b"XADD", key, b"MAXLEN", b"~", _MAX_SAID, b"*", names.STREAM_FIELD.encode(), item.data)
        commands.add(b"EXPIRE", key, self._ttl)
        owners += (item, None)

    def _tell_of(self, commands: Commands, owners: list[MirrorItem | None], item: OtherProcess) -> None:
        now = b"%d" % (self._clock.time_ns() // 1_000_000_000)
        key = names.process_heartbeat(item.instance_id).encode()
        commands.add(b"SET", key, now, b"EX", b"%d" % HEARTBEAT_TTL)
        about = names.process_description(item.instance_id).encode()
        commands.add(b"SET", about, item.description, b"EX", self._ttl)
        owners += (item, None)

    def _redis_time(self, now: float, deadline: float) -> bytes:
        """The time by Redis' clock, asked as often as the heartbeat is due."""
        if self._redis_ahead is None or now >= self._beaten_at + HEARTBEAT_EVERY:
            redis_now = self._link.time(deadline)
            if redis_now is None:
                self._say_refused("NOPERM TIME")
                redis_now = self._clock.time_ns() / 1e9
            self._redis_ahead = redis_now - now
        return b"%.3f" % (now + self._redis_ahead)

    def _beat(self, commands: Commands, owners: list[MirrorItem | None], now: float) -> bool:
        """Say that this process lives and what it is, if that is due. First in its batch: see `_has_beaten`."""
        if now < self._beaten_at + HEARTBEAT_EVERY:
            return False
        instance_id = self._instance_id()
        about = names.process_description(instance_id).encode()
        key = names.process_heartbeat(instance_id).encode()
        # Its answer tells whether the key is there.
        commands.add(b"EXPIRE", about, self._ttl)
        commands.add(b"SET", key, b"%d" % (self._clock.time_ns() // 1_000_000_000), b"EX", b"%d" % HEARTBEAT_TTL)
        owners += (None, None)
        self._describing = self._process()
        if self._describing != self._described:
            # It outlives the process, because a flow of a dead process is archived by another one.
            commands.add(b"SET", about, self._describing, b"EX", self._ttl)
            owners.append(None)
        owners += [None] * self._write_losses(commands)
        return True

    def _write_losses(self, commands: Commands) -> int:
        return write_losses(commands, self._instance_id(), self._losses(), self._clock.time_ns() // 1_000_000_000)

    def _has_beaten(self, now: float, replies: Replies) -> None:
        """A heartbeat was answered. When the description that we wrote with the last one is gone, so is the rest: Redis
        was flushed, has restarted empty, or an empty replica took over."""
        was_there = replies[0]
        self._beaten_at = now
        before = self._described
        if self._describing != before and not isinstance(replies[2], Exception):
            self._described = self._describing
        if before and was_there == 0:
            _log.warning("Redis has lost what this process had written; its open flows are written again")
            if self._describing == before:
                # It was only touched this time: write it with what is delivered next.
                self._described = b""
                self._beaten_at = now - HEARTBEAT_EVERY
            self._on_emptied()

    # -- the replies ---------------------------------------------------------------------------------------------------

    def _judge(
        self, batch: Sequence[MirrorItem], owners: Sequence[MirrorItem | None], replies: Replies
    ) -> Receipt[MirrorItem]:
        if replies.all_well:
            # As nearly always: ids of entries, and numbers.
            for item in batch:
                if type(item) is StreamEntry:
                    item[0].created = True
            return Receipt(len(batch))
        again: list[MirrorItem] = []
        #: Flows of which something is still to be written: they are not taken out of the index before that.
        late: set[str] = set()
        refused = 0
        away = ""
        for owner, reply in zip(owners, replies, strict=True):
            if type(reply) is bytes and type(owner) is StreamEntry:
                owner.stream.created = True
            elif isinstance(reply, Exception):
                error = str(reply)
                if _is_of_server(error):
                    away = error
                    if owner is not None:
                        _index_again(owner)
                        again.append(owner)
                        late.add(_flow_of(owner))
                elif owner is not None:
                    refused += 1
                    self._refused(owner, error)
                else:
                    self._say_refused(error)
            elif reply is None and type(owner) is StreamEntry:
                # NOMKSTREAM: the stream that we have written to is gone (flushed, evicted, restarted empty).
                owner.stream.forget_redis()
                again.append(owner)
                late.add(owner.stream.flow_id)
            elif late and type(owner) is Archived and owner.flow_id in late:
                again.append(owner)
        dropped = {counters.REFUSED: refused} if refused else {}
        return Receipt(len(batch) - len(again) - refused, dropped, again, away)

    def _refused(self, owner: MirrorItem, error: str) -> None:
        if type(owner) is StreamEntry and owner.kind == START:
            owner.stream.lose_start(owner.span_id)
        self._say_refused(error)

    def _say_refused(self, error: str) -> None:
        kind = error.partition(" ")[0]
        if kind not in self._refusals:
            self._refusals.add(kind)
            _log.error("Redis refuses a command of the mirror: %s (said once)", error)


def _flow_of(item: MirrorItem) -> str:
    return item.stream.flow_id if isinstance(item, StreamEntry | IdentityItem) else item.flow_id


def _index_again(item: MirrorItem) -> None:
    """The item was not written, so neither were the index entries beside it."""
    if type(item) is StreamEntry or type(item) is IdentityItem:
        stream = item.stream
        stream.touched_at = 0.0
        stream.expires_at = 0.0
        stream.indexed = (None, None, None)


def _ring(commands: Commands, owners: list[MirrorItem | None], ring: Notification) -> None:
    channel = names.flow_events(ring.user_id).encode()
    for message in ring.messages:
        commands.publish(channel, message)
        owners.append(None)
    commands.publish(names.flow_bell(ring.user_id).encode(), ring.flow_id.encode())
    owners.append(ring)


def _is_of_server(error: str) -> bool:
    return error.startswith(_SERVER_ERRORS)
