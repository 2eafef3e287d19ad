"""One pipelined round trip to Redis. redis-py connects and authenticates; the bytes are written and read here."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

import redis
from redis.cluster import RedisCluster
from redis.exceptions import RedisError, ResponseError

from spanflow.span_processors.native import NativeCore
from spanflow.span_processors.redis.mirror_items import MirrorItem
from spanflow.span_processors.redis.native_resp import NativeCommands, NativeReplies
from spanflow.span_processors.redis.redis_client import CLUSTER, SENTINEL, RedisAddress, connection_options, sentinel_of
from spanflow.span_processors.redis.redis_client import sync_client as cluster_client
from spanflow.span_processors.redis.resp_commands import Commands, RawCommands, add_entries
from spanflow.span_processors.redis.resp_replies import RawReplies, Replies, ReplyList
from spanflow.span_processors.redis.stream_state import StreamState
from spanflow.span_processors.shared_settings import SharedSettings
from spanflow.span_processors.stages.sink import Unavailable

_log = logging.getLogger(__name__)
_READ_SIZE: Final = 65_536
_WRITE_SIZE: Final = 262_144
#: A deadline that is over still gives a connection a moment: a time limit of 0 would mean something else to a socket.
_SHORTEST_WAIT: Final = 0.01


class Resp(NamedTuple):
    """Who writes commands and reads replies."""

    commands: Callable[[], RawCommands]
    #: Told how many commands are answered.
    replies: Callable[[int], RawReplies | NativeReplies]


IN_PYTHON: Final = Resp(RawCommands, RawReplies)


def resp_of(core: NativeCore | None) -> Resp:
    """The native core's, where it is used."""
    return IN_PYTHON if core is None else Resp(partial(NativeCommands, core), partial(NativeReplies, core))


class RedisLink(Protocol):
    """A connection that is opened when it is needed. Used by one thread."""

    def commands(self) -> Commands: ...

    def execute(self, commands: Any, deadline: float) -> Replies:
        """What the commands are answered. Raises `Unavailable`."""
        ...

    def time(self, deadline: float) -> float | None:
        """The server's own clock in seconds; None when this user may not ask. Raises `Unavailable`."""
        ...

    def close(self) -> None: ...

    def forget(self) -> None:
        """In a forked child: let go without a word to the server; the connection is the parent's."""
        ...


def link_to(settings: SharedSettings, core: NativeCore | None = None) -> RedisLink:
    """The link for the configured Redis."""
    address = RedisAddress.parse(settings.redis_url)
    return ClusterLink(settings) if address.kind == CLUSTER else RawLink(settings, address, resp_of(core))


class RawLink:
    """A single server: plain, TLS or Unix socket, with or without ACL user; or the master that Sentinels name."""

    def __init__(self, settings: SharedSettings, address: RedisAddress, resp: Resp = IN_PYTHON) -> None:
        self._settings = settings
        self._address = address
        self._resp = resp
        self._connection: redis.Connection | None = None
        self._socket: Any = None

    def commands(self) -> RawCommands:
        return self._resp.commands()

    def execute(self, commands: RawCommands, deadline: float) -> Replies:
        if not commands.number:
            return ReplyList()
        try:
            if self._socket is None:
                self._connect(deadline)
            return self._round_trip(commands, deadline)
        except (OSError, RedisError) as why:
            self.close()
            raise Unavailable(str(why) or type(why).__name__) from why

    def time(self, deadline: float) -> float | None:
        commands = self.commands()
        commands.add(b"TIME")
        (reply,) = self.execute(commands, deadline)
        return None if isinstance(reply, Exception) else _seconds(reply)

    def close(self) -> None:
        connection, self._connection, self._socket = self._connection, None, None
        if connection is not None:
            connection.disconnect()  # type: ignore[no-untyped-call]

    # redis-py compares process ids before it shuts a socket down, so dropping the connection is enough here.
    forget = close

    def _connect(self, deadline: float) -> None:
        connection = self._new_connection(max(_SHORTEST_WAIT, deadline - time.monotonic()))
        connection.connect()
        self._connection = connection
        # There is no public way to the socket that redis-py has connected, wrapped and authenticated.
        self._socket = connection._sock
        _log.info("connected to Redis")

    def _new_connection(self, within: float) -> Any:
        options = connection_options(self._settings, within)
        if self._address.kind != SENTINEL:
            pool = redis.ConnectionPool.from_url(self._address.url, **options)
            return pool.make_connection()
        sentinel = sentinel_of(self._settings, self._address, within)
        try:
            host, port = sentinel.discover_master(self._address.service)  # type: ignore[no-untyped-call]
        finally:
            for asked in sentinel.sentinels:
                asked.close()
        own = dict(self._address.options)
        kind = redis.SSLConnection if own.pop("ssl", False) else redis.Connection
        return kind(host=host, port=port, **options, **own)

    def _round_trip(self, commands: RawCommands, deadline: float) -> Replies:
        outgoing = memoryview(b"".join(commands.parts))
        for start in range(0, len(outgoing), _WRITE_SIZE):
            # Piece by piece, so that a slow line that does move is not taken for a dead one.
            self._wait_until(deadline)
            self._socket.sendall(outgoing[start : start + _WRITE_SIZE])
        replies = self._resp.replies(commands.number)
        complete = False
        while not complete:
            self._wait_until(deadline)
            chunk = self._socket.recv(_READ_SIZE)
            if not chunk:
                raise ConnectionResetError("Redis closed the connection")
            complete = replies.feed(chunk)
        return replies

    def _wait_until(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("Redis did not answer in time")
        self._socket.settimeout(min(left, self._settings.redis_timeout))


class ClusterCommands:
    """Commands for redis-py's cluster pipeline, which sends each to the node of its slot."""

    __slots__ = ("calls", "publishes")

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.publishes: list[tuple[int, tuple[Any, ...]]] = []

    def add_entries(self, batch: Sequence[MirrorItem], at: int, now: float) -> int:
        return add_entries(self, batch, at, now)

    def add_event(self, stream: StreamState, data: bytes) -> None:
        self.calls.append(stream.arguments(data))

    def add(self, *words: bytes) -> None:
        self.calls.append(words)

    def publish(self, channel: bytes, payload: bytes) -> None:
        self.publishes.append((len(self.calls), (b"PUBLISH", channel, payload)))
        self.calls.append(())


class ClusterLink:
    """A Redis Cluster. Bells go in a second round trip: other nodes know nothing of the order in the first."""

    def __init__(self, settings: SharedSettings) -> None:
        self._settings = settings
        self._client: RedisCluster | None = None

    def commands(self) -> ClusterCommands:
        return ClusterCommands()

    def execute(self, commands: ClusterCommands, deadline: float) -> Replies:
        try:
            self._connected()
            replies = self._pipelined([call for call in commands.calls if call])
            published = self._pipelined([call for _, call in commands.publishes])
        except (OSError, RedisError) as why:
            self.close()
            raise Unavailable(str(why) or type(why).__name__) from why
        for (position, _), reply in zip(commands.publishes, published, strict=True):
            replies.insert(position, reply)
        return ReplyList(replies)

    def time(self, deadline: float) -> float | None:
        try:
            return _seconds(self._connected().time())
        except ResponseError:
            return None
        except (OSError, RedisError) as why:
            self.close()
            raise Unavailable(str(why) or type(why).__name__) from why

    def _connected(self) -> Any:
        if self._client is None:
            client = cluster_client(self._settings)
            assert isinstance(client, RedisCluster)
            self._client = client
        return self._client

    def _pipelined(self, calls: list[tuple[Any, ...]]) -> list[Any]:
        if not calls:
            return []
        assert self._client is not None
        pipeline = self._client.pipeline(transaction=False)  # type: ignore[no-untyped-call]
        for call in calls:
            # redis-py finds the slot by the command's name, which it compares as text.
            pipeline.execute_command(call[0].decode(), *call[1:])
        return list(pipeline.execute(raise_on_error=False))

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    forget = close


def _seconds(reply: Any) -> float:
    """What TIME answers: seconds and microseconds."""
    seconds, microseconds = reply
    return int(seconds) + int(microseconds) / 1e6
