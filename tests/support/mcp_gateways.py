"""FastMCP's server and ContextForge before it, as people start them, and a real MCP client."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.poll import eventually
from tests.support.real_gateways import answers, programs_of

UNDER_US = ("spanflow", "run", "--")
ADMIN = "admin@example.com"
_SECRET = "0123456789abcdef0123456789abcdef01"
_TOOLS = """
import asyncio
from fastmcp import Context, FastMCP
from fastmcp.exceptions import AuthorizationError, ToolError
from fastmcp.server.middleware import Middleware

class OnlyAdministrators(Middleware):
    async def on_call_tool(self, context, call_next):
        if context.message.name == "reset":
            raise AuthorizationError("only administrators reset")
        return await call_next(context)

mcp = FastMCP("tools", middleware=[OnlyAdministrators()])

@mcp.tool
def add(a: int, b: int) -> int:
    return a + b

@mcp.tool
def refuse() -> str:
    raise ToolError("not today")

@mcp.tool
def reset() -> str:
    return "done"

@mcp.tool
async def take_long() -> str:
    await asyncio.sleep(60)
    return "done"

@mcp.tool
async def book(ctx: Context) -> str:
    answer = await ctx.elicit("Which day?", response_type=str)
    return f"booked for {answer.data}" if answer.action == "accept" else "not booked"

@mcp.prompt
def greet(name: str) -> str:
    return f"Greet {name}"

@mcp.resource("data://rates")
def rates() -> str:
    return "1"
"""
# Asks for what its second argument names, and prints what it was told as one line of JSON.
_CLIENT = """
import asyncio, json, pathlib, sys
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport

address, asked, headers, until, mode = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]), *sys.argv[4:]

async def asked_for_the_day(message, response_type, params, context):
    while not pathlib.Path(until).exists():
        await asyncio.sleep(0.05)
    return response_type(value="Monday")

async def main():
    transport = StreamableHttpTransport(address, headers=headers)
    async with Client(transport, elicitation_handler=asked_for_the_day, mode=mode) as client:
        told = []
        for method, name, arguments in asked:
            if method == "tools/call":
                answer = await client.call_tool(name, arguments, raise_on_error=False)
                told.append([answer.content[0].text, answer.is_error])
            elif method == "prompts/get":
                told.append((await client.get_prompt(name, arguments)).messages[0].content.text)
            elif method == "tools/list":
                told.append(sorted(tool.name for tool in await client.list_tools()))
            else:
                told.append((await client.read_resource(name))[0].text)
        print(json.dumps(told))

asyncio.run(main())
"""


def settings_of(folder: Path, redis_url: str, postgres_dsn: str) -> dict[str, str]:
    return {
        "HOME": str(folder),
        "SPANFLOW_REDIS_URL": redis_url,
        "SPANFLOW_POSTGRES_DSN": postgres_dsn,
        "SPANFLOW_DATA_DIR": str(folder / "data"),
        "SPANFLOW_FLOW_GRACE": "0.2",
    }


@contextmanager
def fastmcp_server(
    folder: Path, settings: Mapping[str, str], command: tuple[str, ...] = UNDER_US
) -> Iterator[GatewayProcess]:
    programs = programs_of("fastmcp")
    server = folder / "server.py"
    server.write_text(_TOOLS)
    words = [*command, "fastmcp", "run", f"{server}:mcp", "--transport", "http", "--port", "{port}", "--no-banner"]
    with gateway_process(words, folder / "fastmcp.log", settings, programs=programs, within=100) as running:
        yield running


class McpClient:
    """FastMCP's own client, in a process of its own."""

    def __init__(
        self,
        folder: Path,
        url: str,
        headers: Mapping[str, str],
        *asked: tuple[str, str, dict[str, Any]],
        mode: str = "auto",
    ) -> None:
        program = folder / "client.py"
        program.write_text(_CLIENT)
        #: Where it is asked for the day, it answers when this is there.
        self.answer_now = folder / "answer-now"
        words = [str(program), url, json.dumps(asked), json.dumps(headers), str(self.answer_now), mode]
        self.process = subprocess.Popen(
            [str(programs_of("fastmcp") / "python"), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def told(self) -> list[Any]:
        said, complained = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, complained
        told: list[Any] = json.loads(said)
        return told

    def leave(self) -> None:
        """Without a word, as a client whose machine is switched off."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def contextforge(
    folder: Path, settings: Mapping[str, str], command: tuple[str, ...] = UNDER_US
) -> Iterator[GatewayProcess]:
    programs = programs_of("contextforge")
    folder.mkdir(exist_ok=True)
    own = {
        "DATABASE_URL": f"sqlite:///{folder}/mcp.db",
        "CACHE_TYPE": "memory",
        "JWT_SECRET_KEY": _SECRET,
        "AUTH_ENCRYPTION_SECRET": _SECRET[::-1],
        "BASIC_AUTH_PASSWORD": "Abcdef-123456",
        "PLATFORM_ADMIN_EMAIL": ADMIN,
        "PLATFORM_ADMIN_PASSWORD": "Abcdef-123456!",
        "REQUIRE_JTI": "false",
        "REQUIRE_USER_IN_DB": "false",
        "SSRF_ALLOW_LOCALHOST": "true",
        "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
        "MCPGATEWAY_WS_RELAY_ENABLED": "true",
        # Its two switches for spans, and the two that say whose they are.
        "OTEL_ENABLE_OBSERVABILITY": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_CAPTURE_IDENTITY_ATTRIBUTES": "true",
        "OTEL_EMIT_LANGFUSE_ATTRIBUTES": "true",
    }
    words = [*command, "mcpgateway", "--host", "127.0.0.1", "--port", "{port}"]
    log = folder / "contextforge.log"
    with gateway_process(words, log, {**own, **settings}, programs=programs, within=150) as gateway:
        eventually(lambda: answers(f"{gateway.url}/health"), within=100)
        yield gateway


def token(folder: Path, user: str = ADMIN) -> str:
    """As ContextForge's documentation makes one."""
    words = ["-m", "mcpgateway.utils.create_jwt_token", "--username", user, "--exp", "60", "--admin"]
    done = subprocess.run(
        [str(programs_of("contextforge") / "python"), *words, "--secret", _SECRET],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
        cwd=folder,
        env={"JWT_SECRET_KEY": _SECRET, "DATABASE_URL": f"sqlite:///{folder}/other.db", "HOME": str(folder)},
    )
    return done.stdout.strip().splitlines()[-1]
