"""A gateway that calls a tool of an MCP server over streamable HTTP."""

import os

from fastapi import FastAPI
from mcp import Client
from mcp_types import TextContent

from spanflow.instrumentation import checkpoint

app = FastAPI()


@app.get("/ask")
async def ask() -> dict[str, str]:
    async with Client(os.environ["TOOLS_URL"]) as client:
        with checkpoint("tool_call", mcp="tools", tool="look"):
            result = await client.call_tool("look", {"what": "apollo"})
    (content,) = result.content
    assert isinstance(content, TextContent)
    return {"answer": content.text}
