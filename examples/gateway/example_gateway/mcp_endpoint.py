"""The gateway as an MCP server: other programs call its tools over streamable HTTP, through the same gates."""

from collections.abc import Mapping
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from starlette.applications import Starlette

from example_gateway.gates import Refused
from example_gateway.toolbox import ToolFailed
from example_gateway.tracing import checkpoint, identify
from example_gateway.turn import Assistant


def build(assistant: Assistant) -> tuple[MCPServer, Starlette]:
    """The server, and the application that answers at /mcp. Its session manager must run in the gateway's lifespan."""
    server = MCPServer("example-gateway", log_level="ERROR")

    @server.tool()
    async def get_job_status(job_id: str, ctx: Context) -> str:
        """How far a job is."""
        return await _call(assistant, ctx, "get_job_status", {"job_id": job_id})

    @server.tool()
    async def list_snapshots(project: str, ctx: Context) -> str:
        """The snapshots of a project."""
        return await _call(assistant, ctx, "list_snapshots", {"project": project})

    @server.tool()
    async def restart_service(service: str, ctx: Context) -> str:
        """Restart a service; for admins."""
        return await _call(assistant, ctx, "restart_service", {"service": service})

    @server.tool()
    async def read_record(record: str, ctx: Context) -> str:
        """Read a record."""
        return await _call(assistant, ctx, "read_record", {"record": record})

    # Without sessions each call is handled within its own request, and so becomes a flow of its own.
    return server, server.streamable_http_app(streamable_http_path="/", stateless_http=True, json_response=True)


async def _call(assistant: Assistant, ctx: Context, tool: str, arguments: dict[str, Any]) -> str:
    headers: Mapping[str, str] = ctx.headers or {}
    identify(session_id=headers.get("x-session-id"), source="mcp")
    try:
        person = assistant.gates.authenticate(headers.get("authorization"))
        assistant.gates.admit(person, " ".join(map(str, arguments.values())))
    except Refused as refused:
        raise ToolError(refused.detail) from None
    mcp = assistant.toolbox.name
    if not assistant.gates.may_call(person, mcp, tool):
        raise ToolError(f"{tool} is not allowed for you.")
    with checkpoint("tool_call", mcp=mcp, tool=tool, arguments=arguments, transport="pipe") as step:
        try:
            result = await assistant.toolbox.call(tool, arguments)
        except (ToolFailed, TimeoutError) as error:
            step.fail(error)
            raise ToolError(str(error) or "no answer in time") from None
        step.set(result=result)
        return result
