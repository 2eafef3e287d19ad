"""Several viewer processes under a balancer, killed and restarted under load: clients with cursors miss nothing and get
nothing twice. By haproxy where the machine has it."""

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import websockets

from tests.support.balancer import balancer
from tests.support.flow_writer import FlowWriter
from tests.support.poll import eventually_async
from tests.support.ports import free_port
from tests.support.spanflow_command import Running, running
from tests.support.viewer_server import TOKEN

pytestmark = pytest.mark.long
BEARER = {"Authorization": f"Bearer {TOKEN}"}
SECONDS = 40.0
USERS = ("7", "8", "neo")
CLIENTS = 9
VIEWERS = 3


class Client:
    """Follows users wherever the balancer leads it, and comes back with its cursors."""

    def __init__(self, address: str, users: tuple[str, ...]) -> None:
        self._address = address
        self._cursors: dict[str, str | None] = dict.fromkeys(users)
        self.events: Counter[tuple[str, str]] = Counter()
        self.order: dict[str, list[str]] = {user: [] for user in users}
        self.in_snapshots: set[str] = set()
        self.connections = 0
        self.resyncs: list[str] = []

    async def run(self) -> None:
        while True:
            with contextlib.suppress(websockets.WebSocketException, OSError, TimeoutError, EOFError):
                await self._follow()
            await asyncio.sleep(0.05)

    async def _follow(self) -> None:
        async with websockets.connect(
            f"ws://{self._address}/api/v1/live", additional_headers=BEARER, open_timeout=5, close_timeout=1
        ) as socket:
            self.connections += 1
            for user, cursor in self._cursors.items():
                wish = {"type": "subscribe", "user_id": user, "reason": "a test"} | (
                    {"cursor": cursor} if cursor else {}
                )
                await socket.send(orjson.dumps(wish).decode())
            async for text in socket:
                message = orjson.loads(text)
                if message["type"] == "ping":
                    await socket.send('{"type": "pong"}')
                self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        user = str(message.get("user_id"))
        if message["type"] == "events":
            for event in message["events"]:
                self.events[event["phase"], event["node_id"]] += 1
                self.order[user].append(event["node_id"])
        elif message["type"] == "snapshot":
            self.in_snapshots |= {entry["node_id"] for entry in message["events"]}
        elif message["type"] == "resync":
            self.resyncs.append(message["reason"])
        if message.get("cursor"):
            self._cursors[user] = message["cursor"]


@contextlib.contextmanager
def a_viewer(port: int, settings: dict[str, str]) -> Any:
    with running("serve", "--no-link", "--port", str(port), settings=settings) as viewer:
        viewer.wait_for("Application startup complete")
        yield viewer


class Viewers:
    """Processes that stop and come back on their ports."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.ports = [free_port() for _ in range(VIEWERS)]
        self._settings = settings
        self._open: dict[int, contextlib.ExitStack] = {}
        self._viewers: dict[int, Running] = {}

    def start(self, port: int) -> None:
        stack = contextlib.ExitStack()
        self._viewers[port] = stack.enter_context(a_viewer(port, self._settings))
        self._open[port] = stack

    def stop(self, port: int, how: signal.Signals) -> None:
        self._viewers.pop(port).end(how)
        self._open.pop(port).close()

    def close(self) -> None:
        for stack in self._open.values():
            stack.close()


async def write(url: str, until: float) -> dict[str, list[str]]:
    """Steps of one open flow per user, about two hundred events a second."""
    written: dict[str, list[str]] = {}
    with contextlib.ExitStack() as stack:
        flows = {user: stack.enter_context(FlowWriter(url, user, session_id=None)) for user in USERS}
        for user, flow in flows.items():
            flow.start(f"root-{user}")
            written[user] = [f"root-{user}"]
        number = 0
        while time.monotonic() < until:
            number += 1
            for user, flow in flows.items():
                node = f"{user}-{number}"
                flow.step(node, f"root-{user}", "tool_call")
                written[user] += [node, node]
            await asyncio.sleep(0.03)
    return written


async def ask(address: str, until: float) -> Counter[int]:
    """Somebody reads meanwhile; the balancer tries another viewer when one does not answer."""
    answers: Counter[int] = Counter()
    async with httpx.AsyncClient(base_url=f"http://{address}", headers=BEARER, timeout=10) as client:
        while time.monotonic() < until:
            try:
                answers[(await client.get("/api/v1/flows?user_id=7&limit=5")).status_code] += 1
            except httpx.TransportError:
                answers[0] += 1
            await asyncio.sleep(0.1)
    return answers


@pytest.mark.anyio
async def test_clients_miss_nothing_and_get_nothing_twice(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    viewers = Viewers(
        {"SPANFLOW_REDIS_URL": redis_url, "SPANFLOW_POSTGRES_DSN": postgres_dsn, "SPANFLOW_VIEWER_TOKEN": TOKEN}
    )
    choice = random.Random(7)
    with contextlib.ExitStack() as stack:
        stack.callback(viewers.close)
        for port in viewers.ports:
            await asyncio.to_thread(viewers.start, port)
        address = stack.enter_context(balancer(viewers.ports, tmp_path))
        clients = [Client(address, USERS if number % 3 else USERS[:1]) for number in range(CLIENTS)]
        tasks = [asyncio.create_task(client.run()) for client in clients]
        until = time.monotonic() + SECONDS
        writing, asking = asyncio.create_task(write(redis_url, until)), asyncio.create_task(ask(address, until))
        stops = 0
        while time.monotonic() < until - 5:
            port, how = choice.choice(viewers.ports), choice.choice([signal.SIGKILL, signal.SIGTERM])
            await asyncio.to_thread(viewers.stop, port, how)
            await asyncio.sleep(choice.random())
            await asyncio.to_thread(viewers.start, port)
            stops += 1
        written, answers = await writing, await asking
        await eventually_async(
            lambda: all(client.order[user][-1:] == written[user][-1:] for client in clients for user in client.order),
            within=30,
        )
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert stops >= 3
    assert sum(client.connections for client in clients) > CLIENTS + stops
    for client in clients:
        assert (client.resyncs, client.in_snapshots) == ([], set())
        assert [node for node, count in client.events.items() if count > 1] == []
        assert client.order == {user: written[user] for user in client.order}
    assert answers[200] > 100
    # A request that a killed process had taken is lost; nothing else is.
    assert sum(count for status, count in answers.items() if status != 200) <= 3 * stops
