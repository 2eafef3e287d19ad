"""A real MCP server over stdio, of SDK 2.x: its one tool tells what came in the message's `_meta`."""

import json

from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("meta", log_level="ERROR")


@server.tool()
async def meta(ctx: Context) -> str:
    """The `_meta` of this message."""
    return json.dumps(dict(ctx.request_context.meta or {}))


if __name__ == "__main__":
    server.run("stdio")
