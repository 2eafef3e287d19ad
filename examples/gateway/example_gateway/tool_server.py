"""A real MCP server, run by the gateway as a subprocess: `python -m example_gateway.tool_server`."""

import asyncio
from random import Random

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from example_gateway.pace import Pace

#: How other parts name this server.
NAME = "workshop_mcp"
_NEVER = 3600.0


def build(pace: Pace) -> MCPServer:
    server = MCPServer(NAME, log_level="ERROR")

    @server.tool()
    async def list_snapshots(project: str) -> str:
        """The snapshots of a project."""
        random = Random(project)
        await pace.wait(random.uniform(0.1, 0.4))
        return f"{project} has {random.randint(2, 9)} snapshots, the newest of last night."

    @server.tool()
    async def get_job_status(job_id: str) -> str:
        """How far a job is."""
        random = Random(job_id)
        await pace.wait(random.uniform(0.05, 0.3))
        return f"Job {job_id} is running at {random.randint(5, 99)}%."

    @server.tool()
    async def search_documents(query: str) -> str:
        """Find documents."""
        random = Random(query)
        await pace.wait(random.uniform(0.2, 0.8))
        return f"{random.randint(1, 40)} documents mention {query}."

    @server.tool()
    async def restart_service(service: str) -> str:
        """Restart a service."""
        await pace.wait(0.5)
        return f"{service} has been restarted."

    @server.tool()
    async def write_report(topic: str) -> str:
        """Write a report; that takes a while."""
        await pace.wait(4.0)
        return f"The report on {topic} is ready: 12 pages."

    @server.tool()
    async def read_record(record: str) -> str:
        """Read a record that cannot be read."""
        await pace.wait(0.1)
        raise ToolError(f"record {record} has a bad checksum")

    @server.tool()
    async def read_disk(disk: str) -> str:
        """Read a disk that never answers."""
        await asyncio.sleep(_NEVER)
        return disk

    return server


if __name__ == "__main__":
    build(Pace.from_environ()).run()
