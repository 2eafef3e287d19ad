"""Whatever happens on the way, each client gets exactly the events of its topics, in order, once.

Seeded random schedules: users' flows begin, go on and end; clients follow, stop, read nothing for a while, are cut off
and come back with their cursors; the line to Redis is cut; viewers are stopped and others take over.
"""

import asyncio
import contextlib
import random
import socket
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.flow_writer import FlowWriter
from tests.support.live_client import BEARER
from tests.support.poll import eventually_async
from tests.support.proxy import TcpProxy
from tests.support.viewer_server import RunningViewer, running_viewer

pytestmark = pytest.mark.anyio
Key = tuple[str, str]
USERS = ("7", "8", "9")
REASON = "why not"


class World:
    """What gateways have written."""

    def __init__(self, url: str, chance: random.Random) -> None:
        self._url = url
        self._chance = chance
        self.flows: list[FlowWriter] = []
        self.open: list[FlowWriter] = []

    def begin(self) -> None:
        # Nobody watches user 9, so there are no bells.
        user_id = self._chance.choice(USERS)
        flow = FlowWriter(self._url, user_id, conversation_id=f"c-{user_id}", watched=user_id != "9")
        self.flows.append(flow)
        self.open.append(flow)
        flow.start("root")

    def go_on(self, steps: int, size: int = 0) -> None:
        if not self.open:
            self.begin()
        flow = self._chance.choice(self.open)
        for _ in range(steps):
            flow.start(f"n{len(flow.written)}", "root", attributes={"text": "x" * size})

    def end(self) -> None:
        flow = self.open.pop(self._chance.randrange(len(self.open)))
        flow.end("root")
        flow.close()

    def of(self, key: Key) -> list[FlowWriter]:
        kind, id = key
        owner = id if kind == "user_id" else id.removeprefix("c-")
        return [flow for flow in self.flows if flow.user_id == owner]

    def finish(self) -> None:
        while self.open:
            self.end()
        for flow in self.flows:
            flow.__exit__(None, None, None)


class Follower:
    """A client that never gives up: it comes back with its cursors."""

    def __init__(self) -> None:
        self.topics: dict[Key, str | None] = {}
        #: Flows that were over before it began to follow.
        self.over: dict[Key, set[str]] = {}
        self.got: dict[Key, list[dict[str, Any]]] = defaultdict(list)
        self.reads = asyncio.Event()
        self.reads.set()
        self._begun: set[Key] = set()
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None

    async def connect(self, viewer: RunningViewer) -> None:
        await self.drop()
        host, _, port = viewer.address.partition(":")
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        line.setblocking(False)
        await asyncio.get_running_loop().sock_connect(line, (host, int(port)))
        self._socket = await websockets.connect(
            *(f"{viewer.ws}/api/v1/live",),
            sock=line,
            additional_headers=BEARER,
            compression=None,
            max_queue=1,
            max_size=None,
            close_timeout=0.1,
        )
        self._reader = asyncio.create_task(self._read(self._socket))
        for key in self.topics:
            await self._subscribe(key)

    async def drop(self) -> None:
        """Gone without a word."""
        if self._socket is not None and self._reader is not None:
            self._socket.transport.abort()
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
            await self._socket.wait_closed()
            self._socket = None

    async def follow(self, key: Key, world: World) -> None:
        self.over[key] = {flow.flow_id for flow in world.of(key) if flow not in world.open}
        self.topics[key] = None
        self.got[key].clear()
        await self._subscribe(key)
        # What comes from the first cursor on is owed.
        await eventually_async(lambda: self.topics[key] or (self._reader and self._reader.done()), within=20)
        assert self._reader is not None and not self._reader.done(), self._reader

    async def stop(self, key: Key) -> None:
        del self.topics[key]
        self._begun.discard(key)
        assert self._socket is not None
        await self._socket.send(orjson.dumps({"type": "unsubscribe", key[0]: key[1]}).decode())

    async def _subscribe(self, key: Key) -> None:
        assert self._socket is not None
        cursor = self.topics[key]
        message = {"type": "subscribe", key[0]: key[1], "reason": REASON, **({"cursor": cursor} if cursor else {})}
        await self._socket.send(orjson.dumps(message).decode())

    async def _read(self, line: ClientConnection) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await self.reads.wait()
                message = orjson.loads(await line.recv())
                if message["type"] == "ping":
                    await line.send('{"type":"pong"}')
                kind = next((kind for kind in ("user_id", "conversation_id") if kind in message), None)
                key = (kind or "", str(message.get(kind or "")))
                if message.get("code") == "live_unavailable":
                    await self._subscribe(key)
                    continue
                assert message["type"] not in {"error", "missing"}, message
                if message["type"] == "subscribed":
                    self._begun.add(key)
                # Before that word, it may be the rest of what was followed earlier.
                if key not in self.topics or key not in self._begun:
                    continue
                self.got[key].append(message)
                if message.get("cursor"):
                    self.topics[key] = message["cursor"]

    def lacks(self, world: World) -> str:
        """What it has not got, or got wrong; nothing is good."""
        for key in self.topics:
            owed = {flow.flow_id: flow for flow in world.of(key) if flow.flow_id not in self.over[key]}
            events: dict[str, list[Event]] = defaultdict(list)
            snapshots: dict[str, list[Event]] = defaultdict(list)
            for message in self.got[key]:
                for event in message.get("events", ()):
                    (snapshots if message["type"] == "snapshot" else events)[event["flow_id"]].append(event)
            for flow_id, flow in owed.items():
                said = [identity(event) for event in events[flow_id]]
                written = [identity(event) for event in flow.written]
                if len(said) != len(set(said)):
                    return f"{key}: events of {flow_id} came twice"
                if said != [event for event in written if event in set(said)]:
                    return f"{key}: events of {flow_id} are out of order"
                if not snapshots[flow_id] and said != written:
                    return f"{key}: {len(written) - len(said)} events of {flow_id} are missing"
                whole = FlowReducer([*snapshots[flow_id], *events[flow_id]]).entries()
                if whole != FlowReducer(flow.written).entries():
                    return f"{key}: {flow_id} is not whole"
            strangers = (events.keys() | snapshots.keys()) - {flow.flow_id for flow in world.of(key)}
            if strangers:
                return f"{key}: flows of others: {strangers}"
        return ""


def identity(event: Event) -> tuple[str, str]:
    return event["phase"], event["node_id"]


class Schedule:
    def __init__(self, seed: int, start_viewer: Callable[[ExitStack], RunningViewer], line: TcpProxy, url: str) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.world = World(url, self.chance)
        self.followers = [Follower() for _ in USERS]
        self._start_viewer = start_viewer
        self._line = line
        self._stack = ExitStack()
        self._viewer: RunningViewer | None = None

    @property
    def viewer(self) -> RunningViewer:
        assert self._viewer is not None
        return self._viewer

    async def run(self, steps: int) -> None:
        try:
            await self.restart()
            await asyncio.to_thread(self.viewer.post, "/api/v1/monitoring/enable", ["7", "8"])
            for follower, user_id in zip(self.followers, USERS, strict=True):
                await follower.follow(("user_id", user_id), self.world)
            for _ in range(steps):
                await self.write()
                await self.disturb()
            await asyncio.to_thread(self.world.finish)
            with contextlib.suppress(AssertionError):
                await eventually_async(lambda: not self.lacks(), within=20)
            assert not self.lacks(), f"seed {self.seed}"
        finally:
            for follower in self.followers:
                await follower.drop()
            await asyncio.to_thread(self._stack.close)

    def lacks(self) -> str:
        return "; ".join(filter(None, (follower.lacks(self.world) for follower in self.followers)))

    async def restart(self) -> None:
        def change() -> None:
            self._stack.close()
            self._viewer = self._start_viewer(self._stack)

        await asyncio.to_thread(change)
        for follower in self.followers:
            await follower.connect(self.viewer)

    async def write(self) -> None:
        chance, world = self.chance, self.world
        for _ in range(chance.randrange(4)):
            await asyncio.to_thread(world.begin)
        for _ in range(chance.randrange(5)):
            await asyncio.to_thread(world.go_on, chance.randrange(1, 8))
        if len(world.open) > 2 and chance.random() < 0.5:
            await asyncio.to_thread(world.end)

    async def disturb(self) -> None:
        follower = self.chance.choice(self.followers)
        match self.chance.choice(["cut", "cut", "slow", "topic", "topic", "redis", "restart", "nothing"]):
            case "cut":
                await follower.connect(self.viewer)
            case "slow":
                follower.reads.clear()
                await asyncio.to_thread(self.world.go_on, 25, 30_000)
                follower.reads.set()
            case "topic":
                key = ("conversation_id", f"c-{self.chance.choice(USERS)}")
                if key in follower.topics:
                    await follower.stop(key)
                elif self.world.of(key):
                    await follower.follow(key, self.world)
            case "redis":
                await asyncio.to_thread(self._line.cut)
                await asyncio.to_thread(self.world.go_on, 5)
                await asyncio.to_thread(self._line.restore)
            case "restart" if self.chance.random() < 0.4:
                await self.restart()


@pytest.fixture
def schedule(
    postgres_dsn: str, redis_url: str, tmp_path: Path, proxy: Callable[[str], TcpProxy]
) -> Callable[[int], Schedule]:
    def make(seed: int) -> Schedule:
        line = proxy(redis_url)
        small: dict[str, Any] = {"viewer_client_queue": 20, "viewer_client_queue_bytes": 300_000}

        def start(stack: ExitStack) -> RunningViewer:
            return stack.enter_context(running_viewer(postgres_dsn, line.url, tmp_path, **small))

        return Schedule(seed, start, line, redis_url)

    return make


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_each_client_gets_exactly_its_events_once(seed: int, schedule: Callable[[int], Schedule]) -> None:
    await schedule(seed).run(10)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 112))
async def test_each_client_gets_exactly_its_events_once_over_many_schedules(
    seed: int, schedule: Callable[[int], Schedule]
) -> None:
    await schedule(seed).run(60)
