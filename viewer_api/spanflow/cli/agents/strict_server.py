"""An MCP server that refuses arguments it does not know: the SDK's ignores them, and so would a misspelt filter be."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp.server import MCPServer


def strict_server(name: str, instructions: str) -> "MCPServer[Any]":
    from mcp.server import MCPServer
    from mcp.server.mcpserver import Context
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp_types import CallToolResult, InputRequiredResult

    class StrictServer(MCPServer[Any]):
        async def call_tool(
            self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
        ) -> CallToolResult | InputRequiredResult:
            known = {tool.name: tool.input_schema["properties"] for tool in await self.list_tools()}.get(name)
            unknown = [] if known is None else sorted(arguments.keys() - known.keys())
            if known is not None and unknown:
                raise ToolError(f"{name} has no argument {', '.join(unknown)[:100]}. It has {', '.join(known)}.")
            return await super().call_tool(name, arguments, context)

    return StrictServer(name, instructions=instructions, log_level="ERROR")
