"""FastMCP's server and ContextForge before it, as people start them, with real clients."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from inline_snapshot import snapshot

from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.poll import eventually
from tests.support.real_gateways import answers, programs_of
from tests.support.stored_trees import stored_trees

pytestmark = pytest.mark.long

TOOLS = """
from fastmcp import FastMCP
from fastmcp.exceptions import ToolError

mcp = FastMCP("tools")

@mcp.tool
def add(a: int, b: int) -> int:
    return a + b

@mcp.tool
def refuse() -> str:
    raise ToolError("not today")

@mcp.prompt
def greet(name: str) -> str:
    return f"Greet {name}"

@mcp.resource("data://rates")
def rates() -> str:
    return "1"
"""
CLIENT = """
import asyncio, json, sys
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport

async def main() -> None:
    async with Client(StreamableHttpTransport(sys.argv[1], headers={"X-User-Id": "ann"})) as client:
        said = [
            (await client.call_tool("add", {"a": 1, "b": 2})).data,
            (await client.call_tool("refuse", {}, raise_on_error=False)).is_error,
            (await client.get_prompt("greet", {"name": "Ben"})).messages[0].content.text,
            (await client.read_resource("data://rates"))[0].text,
        ]
        print(json.dumps(said))

asyncio.run(main())
"""
SECRET = "0123456789abcdef0123456789abcdef01"
ADMIN = "admin@example.com"


def settings_of(folder: Path, redis_url: str, postgres_dsn: str) -> dict[str, str]:
    return {
        "HOME": str(folder),
        "SPANFLOW_REDIS_URL": redis_url,
        "SPANFLOW_POSTGRES_DSN": postgres_dsn,
        "SPANFLOW_DATA_DIR": str(folder / "data"),
        "SPANFLOW_FLOW_GRACE": "0.2",
    }


@contextmanager
def fastmcp(folder: Path, settings: dict[str, str], command: tuple[str, ...]) -> Iterator[GatewayProcess]:
    programs = programs_of("fastmcp")
    server = folder / "server.py"
    server.write_text(TOOLS)
    words = [*command, "fastmcp", "run", f"{server}:mcp", "--transport", "http", "--port", "{port}", "--no-banner"]
    with gateway_process(words, folder / "fastmcp.log", settings, programs=programs, within=100) as running:
        yield running


def test_fastmcp_needs_no_code_for_users_tools_and_refusals(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, redis_url, postgres_dsn)
    client = tmp_path / "client.py"
    client.write_text(CLIENT)
    with fastmcp(tmp_path, settings, ("spanflow", "run", "--")) as server:
        done = subprocess.run(
            [str(programs_of("fastmcp") / "python"), str(client), f"{server.url}/mcp"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert json.loads(done.stdout) == [3, True, "Greet Ben", "1"], done.stderr
        found = eventually(lambda: [*t] if len(t := stored_trees(postgres_dsn)) >= 5 else [], within=20)
    calls = [tree for tree in found if len(tree) > 1]
    assert calls == snapshot(
        [
            ["tools/call add user_id=ann outcome=ok tools=add", "  tool_call tools/call add [ok]"],
            ["tools/call refuse user_id=ann outcome=error tools=refuse", "  tool_call tools/call refuse [error]"],
            ["prompts/get greet user_id=ann outcome=ok", "  prompt_get prompts/get greet [ok]"],
            ["resources/read user_id=ann outcome=ok", "  resource_read resources/read [ok]"],
        ]
    )


@contextmanager
def contextforge(folder: Path, settings: dict[str, str]) -> Iterator[GatewayProcess]:
    programs = programs_of("contextforge")
    own = {
        "DATABASE_URL": f"sqlite:///{folder}/mcp.db",
        "CACHE_TYPE": "memory",
        "JWT_SECRET_KEY": SECRET,
        "AUTH_ENCRYPTION_SECRET": SECRET[::-1],
        "BASIC_AUTH_PASSWORD": "Abcdef-123456",
        "PLATFORM_ADMIN_EMAIL": ADMIN,
        "PLATFORM_ADMIN_PASSWORD": "Abcdef-123456!",
        "REQUIRE_JTI": "false",
        "REQUIRE_USER_IN_DB": "false",
        "SSRF_ALLOW_LOCALHOST": "true",
        "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
        # Its two switches for spans, and the two that say whose they are.
        "OTEL_ENABLE_OBSERVABILITY": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_CAPTURE_IDENTITY_ATTRIBUTES": "true",
        "OTEL_EMIT_LANGFUSE_ATTRIBUTES": "true",
    }
    words = ["spanflow", "run", "--", "mcpgateway", "--host", "127.0.0.1", "--port", "{port}"]
    log = folder / "contextforge.log"
    with gateway_process(words, log, {**settings, **own}, programs=programs, within=150) as gateway:
        eventually(lambda: answers(f"{gateway.url}/health"), within=100)
        yield gateway


def token(folder: Path) -> str:
    """As its documentation makes one."""
    words = ["-m", "mcpgateway.utils.create_jwt_token", "--username", ADMIN, "--exp", "60", "--admin"]
    done = subprocess.run(
        [str(programs_of("contextforge") / "python"), *words, "--secret", SECRET],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
        cwd=folder,
        env={"JWT_SECRET_KEY": SECRET, "DATABASE_URL": f"sqlite:///{folder}/other.db", "HOME": str(folder)},
    )
    return done.stdout.strip().splitlines()[-1]


def test_each_request_of_contextforge_is_one_flow_with_its_tool_and_its_refusal(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    def rpc(tool: str, arguments: dict[str, Any], path: str = "/rpc", **headers: str) -> httpx.Response:
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        return httpx.post(gateway.url + path, headers=headers, json=call, timeout=60)

    with (
        fastmcp(tmp_path, {"HOME": str(tmp_path)}, ()) as tools,
        contextforge(tmp_path, settings_of(tmp_path, redis_url, postgres_dsn)) as gateway,
    ):
        known = {"Authorization": f"Bearer {token(tmp_path)}"}
        server = {"name": "tools", "url": f"{tools.url}/mcp", "transport": "STREAMABLEHTTP"}
        httpx.post(f"{gateway.url}/gateways", headers=known, json=server, timeout=60).raise_for_status()
        mcp = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-03-26"}
        said = [
            rpc("tools-add", {"a": 1, "b": 2}, **known),
            rpc("tools-refuse", {}, **known),
            rpc("tools-add", {"a": 1, "b": 2}),
            rpc("tools-add", {"a": 1, "b": 2}, "/mcp/", **known, **mcp),
            rpc("tools-refuse", {}, "/mcp/", **known, **mcp),
        ]
        assert [answer.status_code for answer in said] == [200, 200, 401, 200, 200]
        found = eventually(lambda: [*t] if len(t := stored_trees(postgres_dsn)) >= 6 else [], within=20)
    assert [tree for tree in found if "/gateways" not in tree[0]] == snapshot(
        [
            ["POST /rpc user_id=admin@example.com outcome=ok tools=tools-add", "  tool_call tool.invoke [ok]"],
            ["POST /rpc user_id=admin@example.com outcome=error tools=tools-refuse", "  tool_call tool.invoke [error]"],
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
        ]
    )
