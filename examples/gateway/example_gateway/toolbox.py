"""The gateway's side of its MCP server: one subprocess for all requests, started again when it dies."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from mcp import Client, MCPError, StdioServerParameters
from mcp_types import CONNECTION_CLOSED, TextContent

from example_gateway.pace import Pace
from example_gateway.tool_server import NAME

_LOG: Final = logging.getLogger(__name__)
_RESTART_AFTER: Final = 1.0


class ToolFailed(Exception):
    """The tool said that it could not do it."""


class Toolbox:
    """Calls tools over stdio, each within a time limit."""

    name: Final = NAME

    def __init__(self, pace: Pace, timeout: float = 20.0) -> None:
        # Also at full speed a hanging tool hangs for a moment: a subprocess needs some time to answer at all.
        self._timeout = max(1.0, timeout * pace.scale)
        self._client: asyncio.Future[Client] | None = None
        self._broken = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Toolbox"]:
        """Start the server and keep it running. It belongs to one task: a connection must end where it began."""
        self._client = asyncio.get_running_loop().create_future()
        keeper = asyncio.create_task(self._keep())
        try:
            yield self
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def names(self) -> list[str]:
        client = await self._connected()
        with self._watched():
            return [tool.name for tool in (await client.list_tools()).tools]

    async def call(self, tool: str, arguments: dict[str, Any]) -> str:
        """Call a tool. Raises ToolFailed when it fails, TimeoutError when it does not answer."""
        client = await self._connected()
        with self._watched():
            async with asyncio.timeout(self._timeout):
                result = await client.call_tool(tool, arguments)
        text = " ".join(part.text for part in result.content if isinstance(part, TextContent))
        if result.is_error:
            raise ToolFailed(text)
        return text

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Have the server started again when it turns out to be gone."""
        try:
            yield
        except MCPError as error:
            if error.code != CONNECTION_CLOSED:
                raise
            self._broken.set()
            raise ToolFailed("the tool server is being restarted") from error

    async def _connected(self) -> Client:
        assert self._client is not None, "enter `running` first"
        async with asyncio.timeout(max(10.0, self._timeout)):
            return await asyncio.shield(self._client)

    async def _keep(self) -> None:
        while True:
            try:
                async with Client(_server()) as client:
                    assert self._client is not None
                    self._client.set_result(client)
                    await self._broken.wait()
            except Exception:
                _LOG.warning("The tool server has ended; it is started again", exc_info=True)
            self._broken.clear()
            self._client = asyncio.get_running_loop().create_future()
            await asyncio.sleep(_RESTART_AFTER)


def _server() -> StdioServerParameters:
    """The subprocess. MCP clients pass no environment on; under tracing this one shall be traced as well."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("OTEL_", "SPANFLOW_", "EXAMPLE_GATEWAY_")) or name == "PYTHONPATH"
    }
    folder = str(Path(__file__).parent.parent)
    passed["PYTHONPATH"] = os.pathsep.join(part for part in (passed.get("PYTHONPATH"), folder) if part)
    passed["OTEL_SERVICE_NAME"] = NAME
    passed["SPANFLOW_JOIN_CALLER"] = "true"
    return StdioServerParameters(command=sys.executable, args=["-m", "example_gateway.tool_server"], env=passed)
