"""A real MCP server over streamable HTTP, of SDK 2.x: an ASGI application that is not FastAPI's.

As it is it knows nothing of Spanflow; with `in-middleware` it is wrapped as the documentation says.
"""

import sys

import uvicorn
from mcp.server import MCPServer
from opentelemetry import trace

from spanflow.instrumentation import EdgeMiddleware

server = MCPServer("tools", log_level="ERROR")


@server.tool()
async def look(what: str) -> str:
    """Look at something."""
    with trace.get_tracer("tools").start_as_current_span("search"):
        return what


if __name__ == "__main__":
    app = server.streamable_http_app()
    port = int(sys.argv[1])
    wrapped = sys.argv[2:] == ["in-middleware"]
    uvicorn.run(EdgeMiddleware(app) if wrapped else app, port=port, log_level="warning")
