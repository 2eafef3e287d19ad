"""A client of the live socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import websockets
from websockets.asyncio.client import ClientConnection

from tests.support.viewer_server import TOKEN, RunningViewer

BEARER = {"Authorization": f"Bearer {TOKEN}"}


class LiveClient:
    """Collects what one socket says."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[dict[str, Any]] = []
        self.cursor: str | None = None

    async def send(self, **message: Any) -> None:
        await self.socket.send(orjson.dumps(message).decode())

    async def subscribe(self, user_id: Any = 7, **more: Any) -> None:
        await self.send(type="subscribe", user_id=user_id, **more)

    async def next(self, within: float = 5.0) -> dict[str, Any]:
        """The next message that is no ping."""
        async with asyncio.timeout(within):
            while True:
                message: dict[str, Any] = orjson.loads(await self.socket.recv())
                if message["type"] == "ping":
                    await self.send(type="pong")
                    continue
                self.messages.append(message)
                self.cursor = message.get("cursor") or self.cursor
                return message

    async def until(self, done: Callable[[], Any], within: float = 8.0) -> None:
        """Read until `done`."""
        async with asyncio.timeout(within):
            while not done():
                await self.next(within)

    async def until_events(self, count: int, within: float = 8.0) -> None:
        await self.until(lambda: len(self.events()) >= count, within)

    async def until_event(self, phase: str, node: str) -> None:
        await self.until(lambda: (phase, node) in self.events())

    async def of_type(self, kind: str) -> dict[str, Any]:
        while (message := await self.next())["type"] != kind:
            pass
        return message

    def events(self) -> list[tuple[str, str]]:
        """Every event got, as phase and node, from frames of events only."""
        return [(event["phase"], event["node_id"]) for message in self.of("events") for event in message["events"]]

    def nodes(self) -> set[str]:
        return {event["node_id"] for message in self.messages for event in message.get("events", ())}

    def flows(self) -> set[str]:
        """Every flow of which something was got, one event at a time or, after a gap, as a whole."""
        return {event["flow_id"] for message in self.messages for event in message.get("events", ())}

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]


@contextlib.asynccontextmanager
async def live(viewer: RunningViewer, **options: Any) -> AsyncIterator[LiveClient]:
    options.setdefault("additional_headers", BEARER)
    async with websockets.connect(f"{viewer.ws}/api/v1/live", **options) as socket:
        client = LiveClient(socket)
        yield client


@contextlib.asynccontextmanager
async def following(
    viewer: RunningViewer, user_id: Any = 7, *, connect: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[LiveClient]:
    """Signed in, greeted and subscribed."""
    async with live(viewer, **(connect or {})) as client:
        assert (await client.next())["type"] == "hello"
        await client.subscribe(user_id, **more)
        assert (await client.next())["type"] == "subscribed"
        client.messages.clear()
        yield client
