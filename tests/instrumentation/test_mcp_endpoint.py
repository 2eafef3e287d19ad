"""A gateway that is an MCP server: one session carries many calls, and each call is a flow of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import fastapi
import httpx2
import pytest
from inline_snapshot import snapshot
from mcp import Client, ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer

from spanflow.instrumentation import checkpoint
from tests.instrumentation.conftest import Recorded
from tests.support.asgi_server import serving
from tests.support.poll import eventually
from tests.support.span_tree import Node

Start = Callable[..., Recorded]
Talk = Callable[[str], Coroutine[Any, Any, None]]


pytestmark = pytest.mark.usefixtures("fresh_mcp_tracer")


def gateway(**options: Any) -> fastapi.FastAPI:
    server = MCPServer("gateway", log_level="ERROR")

    @server.tool()
    async def look(what: str) -> str:
        """Look at something."""
        with checkpoint("mcp_permission_check"):
            await asyncio.sleep(0)
        return what

    endpoint = server.streamable_http_app(streamable_http_path="/", **options)

    @asynccontextmanager
    async def lifespan(_: fastapi.FastAPI) -> AsyncIterator[None]:
        async with server.session_manager.run():
            yield

    app = fastapi.FastAPI(lifespan=lifespan)
    app.mount("/mcp", endpoint)
    return app


async def two_calls(address: str) -> None:
    async with httpx2.AsyncClient(headers={"X-User-Id": "ann"}) as http:
        async with Client(streamable_http_client(f"http://{address}/mcp/", http_client=http)) as client:
            await client.call_tool("look", {"what": "a"})
            await client.call_tool("look", {"what": "b"})


async def two_calls_of_a_session(address: str) -> None:
    """As clients before the revision of 2026-07-28 speak: a handshake, a session id, a long stream to listen on."""
    async with (
        httpx2.AsyncClient(headers={"X-User-Id": "ann"}) as http,
        streamable_http_client(f"http://{address}/mcp/", http_client=http) as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        await session.call_tool("look", {"what": "a"})
        await session.call_tool("look", {"what": "b"})


def calls_at_server(recorded: Recorded) -> list[Node]:
    nodes = recorded.tree(["user.id", "mcp.method.name"])
    return [node for node in nodes if node["name"].startswith("POST") and "tools/call look" in str(node)]


@pytest.mark.parametrize(
    ("talk", "options"),
    [
        (two_calls, {"stateless_http": True, "json_response": True}),
        (two_calls, {}),
        (two_calls_of_a_session, {}),
    ],
    ids=["stateless", "streamed", "with a session"],
)
def test_each_call_of_a_session_is_a_flow_of_its_own(started: Start, talk: Talk, options: dict[str, Any]) -> None:
    recorded = started()
    with serving(gateway(**options)) as address:
        asyncio.run(talk(address))
        eventually(lambda: len(calls_at_server(recorded)) == 2)
    assert calls_at_server(recorded) == snapshot(
        [
            {
                "name": "POST /mcp",
                "kind": "server",
                "attributes": {"user.id": "ann"},
                "children": [
                    {
                        "name": "tools/call look",
                        "kind": "server",
                        "attributes": {"mcp.method.name": "tools/call", "user.id": "ann"},
                        "children": [
                            {"name": "mcp_permission_check", "kind": "internal", "attributes": {"user.id": "ann"}}
                        ],
                    }
                ],
            },
            {
                "name": "POST /mcp",
                "kind": "server",
                "attributes": {"user.id": "ann"},
                "children": [
                    {
                        "name": "tools/call look",
                        "kind": "server",
                        "attributes": {"mcp.method.name": "tools/call", "user.id": "ann"},
                        "children": [
                            {"name": "mcp_permission_check", "kind": "internal", "attributes": {"user.id": "ann"}}
                        ],
                    }
                ],
            },
        ]
    )
