"""Client and server of an MCP SDK before 2, each traced: prints both sides' spans and what the server got as JSON.

Run by `test_mcp.py` in an environment of its own. As `server` it is the server's side, over stdio.
"""

import asyncio
import json
import os
import sys
from typing import Any

from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from spanflow.instrumentation.mcp_propagation import McpPropagation
from spanflow.instrumentation.propagation import guard_propagator

provider = TracerProvider()
memory = InMemorySpanExporter()
provider.add_span_processor(SimpleSpanProcessor(memory))
trace.set_tracer_provider(provider)
guard_propagator(join_caller=os.environ.get("JOIN_CALLER") == "true")
McpPropagation(allowed_baggage=("tenant",)).install()

from mcp import ClientSession, StdioServerParameters  # noqa: E402
from mcp.client.stdio import stdio_client  # noqa: E402
from mcp.server import fastmcp  # noqa: E402


def seen(span: Any) -> dict[str, Any]:
    where = span.get_span_context()
    return {
        "name": getattr(span, "name", ""),
        "trace_id": f"{where.trace_id:032x}",
        "span_id": f"{where.span_id:016x}",
        "parent": f"{span.parent.span_id:016x}" if getattr(span, "parent", None) else None,
    }


def serve() -> None:
    old: Any = fastmcp  # types of the installed SDK, which is newer than the one this runs with
    server = old.FastMCP("old")

    @server.tool()  # type: ignore[untyped-decorator]
    async def look(ctx: old.Context) -> str:
        meta = ctx.request_context.meta
        return json.dumps({"meta": meta.model_extra if meta else {}, "span": seen(trace.get_current_span())})

    @server.tool()  # type: ignore[untyped-decorator]
    async def refuse() -> str:
        raise ValueError("not today")

    server.run("stdio")
    # The client has gone: what came after the first answer is told on standard error.
    told = [[span.name, span.status.status_code.name] for span in memory.get_finished_spans()]
    sys.stderr.write(json.dumps(told) + "\n")


async def call() -> dict[str, Any]:
    parameters = StdioServerParameters(command=sys.executable, args=[__file__, "server"], env=dict(os.environ))
    context.attach(baggage.set_baggage("tenant", "a", baggage.set_baggage("user", "secret-name")))
    async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
        await session.initialize()
        with trace.get_tracer("test").start_as_current_span("tool_call") as span:
            result = await session.call_tool("look", {})
            refused = await session.call_tool("refuse", {})
            assert refused.isError  # type: ignore[attr-defined]
            content: Any = result.content[0]
            return {"client": seen(span), "server": json.loads(content.text)}


if __name__ == "__main__":
    if sys.argv[1:] == ["server"]:
        serve()
    else:
        json.dump(asyncio.run(call()), sys.stdout)
