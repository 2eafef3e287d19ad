"""ContextForge as people start it, `mcpgateway`, before a real MCP server and with real clients."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from inline_snapshot import snapshot
from websockets.exceptions import InvalidHandshake
from websockets.sync.client import connect

from tests.support.gateway_process import GatewayProcess
from tests.support.mcp_gateways import UNDER_US, McpClient, contextforge, fastmcp_server, settings_of, token
from tests.support.poll import eventually
from tests.support.stored_trees import stored_trees

pytestmark = pytest.mark.long

MCP = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-03-26"}
#: Dates, and the ids that it gives requests, sessions and errors.
_VARIES = re.compile(rb"(?i)date|mcp-session-id|x-correlation-id|x-request-id")


def rpc(
    gateway: GatewayProcess, headers: Mapping[str, str], tool: str, path: str = "/rpc", **arguments: Any
) -> httpx.Response:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    return httpx.post(gateway.url + path, headers=headers, json=call, timeout=60)


def serve_tools(gateway: GatewayProcess, tools: GatewayProcess, known: Mapping[str, str]) -> None:
    server = {"name": "tools", "url": f"{tools.url}/mcp", "transport": "STREAMABLEHTTP"}
    httpx.post(f"{gateway.url}/gateways", headers=known, json=server, timeout=60).raise_for_status()


def hold(gateway: GatewayProcess, known: Mapping[str, str]) -> list[httpx.Response]:
    return [
        rpc(gateway, known, "tools-add", a=1, b=2),
        rpc(gateway, known, "tools-refuse"),
        rpc(gateway, known, "no-such-tool"),
        rpc(gateway, {}, "tools-add", a=1, b=2),
        rpc(gateway, {"Authorization": "Bearer no.jwt.atall"}, "tools-add", a=1, b=2),
        rpc(gateway, {**known, **MCP}, "tools-add", "/mcp/", a=1, b=2),
        rpc(gateway, {**known, **MCP}, "tools-refuse", "/mcp/"),
        rpc(gateway, MCP, "tools-add", "/mcp/", a=1, b=2),
    ]


def told(answer: httpx.Response) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Byte for byte, but for what differs every time."""
    headers = [
        (name, b"*" if _VARIES.fullmatch(name) else re.sub(rb"'nonce-[^']+'", b"*", value))
        for name, value in answer.headers.raw
    ]
    return answer.status_code, headers, answer.content


def without_handshakes(trees: list[list[str]]) -> list[list[str]]:
    """Also without the request that told ContextForge of its server, and its own requests to it."""
    return [tree for tree in trees if len(tree) > 1 or "/gateways" not in tree[0]]


def test_each_request_is_one_flow_with_its_user_tool_and_refusal_and_is_answered_as_without_us(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    known = {"Authorization": f"Bearer {token(tmp_path)}"}
    with fastmcp_server(tmp_path, {"HOME": str(tmp_path)}, ()) as tools:
        with contextforge(tmp_path / "bare", {"HOME": str(tmp_path)}, ()) as gateway:
            serve_tools(gateway, tools, known)
            bare = [told(answer) for answer in hold(gateway, known)]
        assert [status for status, *_ in bare] == snapshot([200, 200, 200, 401, 401, 200, 200, 401])
        with contextforge(tmp_path / "traced", settings_of(tmp_path, redis_url, postgres_dsn), UNDER_US) as gateway:
            serve_tools(gateway, tools, known)
            assert [told(answer) for answer in hold(gateway, known)] == bare
            trees = eventually(lambda: [*t] if len(t := stored_trees(postgres_dsn)) > len(bare) else [], within=20)
    assert without_handshakes(trees) == snapshot(
        [
            ["POST /rpc user_id=admin@example.com outcome=ok tools=tools-add", "  tool_call tool.invoke [ok]"],
            ["POST /rpc user_id=admin@example.com outcome=error tools=tools-refuse", "  tool_call tool.invoke [error]"],
            ["POST /rpc outcome=ok"],
            ["POST /rpc outcome=denied outcome_reason=unauthenticated"],
            ["POST /rpc outcome=denied outcome_reason=unauthenticated"],
            [
                "POST /mcp user_id=admin@example.com outcome=ok tools=tools-add",
                "  tool_call tools/call tools-add [ok]",
                "    tool_call tool.invoke [ok]",
            ],
            [
                "POST /mcp user_id=admin@example.com outcome=error tools=tools-refuse",
                "  tool_call tools/call tools-refuse [error]",
                "    tool_call tool.invoke [error]",
            ],
            ["POST /mcp outcome=denied outcome_reason=unauthenticated"],
        ]
    )


def test_a_real_client_that_leaves_and_a_socket_that_is_refused_are_seen(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    known = {"Authorization": f"Bearer {token(tmp_path)}"}
    with (
        fastmcp_server(tmp_path, {"HOME": str(tmp_path)}, ()) as tools,
        contextforge(tmp_path / "forge", settings_of(tmp_path, redis_url, postgres_dsn)) as gateway,
    ):
        serve_tools(gateway, tools, known)
        client = McpClient(
            tmp_path,
            f"{gateway.url}/mcp/",
            known,
            ("tools/list", "", {}),
            ("tools/call", "tools-add", {"a": 1, "b": 2}),
            ("tools/call", "tools-refuse", {}),
        )
        assert client.told() == snapshot(
            [
                ["tools-add", "tools-book", "tools-refuse", "tools-reset", "tools-take-long"],
                ["3", False],
                ["not today", True],
            ]
        )
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{gateway.url}/rpc",
                headers=known,
                json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "tools-take-long"}},
                timeout=2,
            )
        with pytest.raises(InvalidHandshake):
            connect(f"ws{gateway.url.removeprefix('http')}/ws")
        eventually(lambda: any(tree[0].startswith("WS ") for tree in stored_trees(postgres_dsn)), within=20)
        trees = stored_trees(postgres_dsn)
    assert without_handshakes(trees) == snapshot(
        [
            ["POST /mcp outcome=error outcome_reason=caller_error"],
            ["POST /mcp user_id=admin@example.com outcome=ok"],
            ["POST /mcp outcome=ok"],
            ["POST /mcp user_id=admin@example.com outcome=ok"],
            [
                "POST /mcp user_id=admin@example.com outcome=ok tools=tools-add",
                "  tool_call tools/call tools-add [ok]",
                "    tool_call tool.invoke [ok]",
            ],
            [
                "POST /mcp user_id=admin@example.com outcome=error tools=tools-refuse",
                "  tool_call tools/call tools-refuse [error]",
                "    tool_call tool.invoke [error]",
            ],
            [
                "POST /rpc user_id=admin@example.com outcome=cancelled tools=tools-take-long",
                "  tool_call tool.invoke [error]",
            ],
            ["WS /ws outcome=denied outcome_reason=forbidden reason=Authentication required"],
        ]
    )
