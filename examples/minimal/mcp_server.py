"""An MCP server over streamable HTTP: `spanflow run -- uvicorn --app-dir examples/minimal mcp_server:app`.

Each call of a tool is one flow, or a part of its caller's flow where the caller is in SPANFLOW_TRUSTED_CALLERS.
"""

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

from spanflow.instrumentation import checkpoint, identify

JOBS = {"7": "running at 40 %", "8": "done"}

server = MCPServer("jobs", log_level="ERROR")


@server.tool()
async def get_job_status(job_id: str, ctx: Context) -> str:
    """How far a job is."""
    identify(user_id=(ctx.headers or {}).get("x-user-id"), source="mcp")
    with checkpoint("job_lookup", job=job_id):  # the SDK's own span is the tool call; this is a step of yours below it
        if job_id not in JOBS:
            raise ToolError(f"There is no job {job_id}.")
        return JOBS[job_id]


# Without sessions each call is handled within its own request.
app = server.streamable_http_app(stateless_http=True, json_response=True)
