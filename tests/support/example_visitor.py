"""Somebody who uses the example gateway."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import httpx
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

Piece = dict[str, Any]


class Visitor:
    """One person at one gateway. What answers come is given back in short: tokens joined to one text."""

    def __init__(self, url: str, token: str, session: str = "s-1") -> None:
        self._url = url
        self.headers = {"authorization": f"Bearer {token}", "x-session-id": session}

    def ask(self, message: str, conversation: str = "c-1") -> tuple[int, list[Piece]]:
        """Status and pieces of the answer to one question; of a refusal its body."""
        body = {"message": message, "conversation_id": conversation}
        response = httpx.post(f"{self._url}/api/v1/ask/stream", json=body, headers=self.headers, timeout=30)
        if response.status_code != httpx.codes.OK:
            return response.status_code, [response.json()]
        lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
        return response.status_code, joined([json.loads(line) for line in lines])

    def give_up(self, message: str) -> None:
        """Ask, and close the connection after the first piece."""
        with (
            httpx.Client(timeout=30) as client,
            client.stream(
                "POST", f"{self._url}/api/v1/ask/stream", json={"message": message}, headers=self.headers
            ) as response,
        ):
            next(response.iter_lines())

    def chat(self, *messages: str) -> list[list[Piece]]:
        """A turn for each message, all on one connection."""
        return asyncio.run(self._chat(messages))

    async def _chat(self, messages: tuple[str, ...]) -> list[list[Piece]]:
        turns: list[list[Piece]] = []
        address = self._url.replace("http", "ws", 1) + "/api/v1/chat"
        async with connect(address, additional_headers=self.headers) as socket:
            for message in messages:
                with suppress(ConnectionClosed):  # refused at the door: why is still to be read
                    await socket.send(json.dumps({"message": message, "conversation_id": "chat-1"}))
                pieces: list[Piece] = []
                while not pieces or pieces[-1]["type"] not in {"done", "error", "refused"}:
                    pieces.append(json.loads(await asyncio.wait_for(socket.recv(), 30)))
                turns.append(joined(pieces))
        return turns

    def call(self, tool: str, **arguments: str) -> tuple[bool, str]:
        """Whether an MCP tool of the gateway failed, and what it said."""
        return asyncio.run(self._call(tool, arguments))

    async def _call(self, tool: str, arguments: dict[str, str]) -> tuple[bool, str]:
        async with (
            httpx2.AsyncClient(headers=self.headers, timeout=30) as http,
            Client(streamable_http_client(f"{self._url}/mcp/", http_client=http)) as client,
        ):
            result = await client.call_tool(tool, dict(arguments))
        return bool(result.is_error), " ".join(part.text for part in result.content if isinstance(part, TextContent))


def joined(pieces: list[Piece]) -> list[Piece]:
    """Pieces with each run of tokens as one text."""
    short: list[Piece] = []
    for piece in pieces:
        if piece["type"] == "token" and short and short[-1]["type"] == "text":
            short[-1]["text"] += piece["text"]
        elif piece["type"] == "token":
            short.append({"type": "text", "text": piece["text"]})
        else:
            short.append(piece)
    return short
