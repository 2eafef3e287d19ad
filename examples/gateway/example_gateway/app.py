"""A small LLM gateway, written as one would be: `uvicorn example_gateway.app:app`.

Nothing here starts the tracing. That is done from outside, by starting it under `opentelemetry-instrument`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from example_gateway import ask, chat, mcp_endpoint
from example_gateway.gates import Gates
from example_gateway.model import StandIn
from example_gateway.pace import Pace
from example_gateway.toolbox import Toolbox
from example_gateway.turn import Assistant


def create_app(pace: Pace | None = None) -> FastAPI:
    pace = pace or Pace.from_environ()
    assistant = Assistant(Gates(), StandIn(pace), Toolbox(pace))
    mcp_server, mcp_app = mcp_endpoint.build(assistant)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with assistant.toolbox.running(), mcp_server.session_manager.run():
            yield

    app = FastAPI(title="Example gateway", lifespan=lifespan)
    app.state.assistant = assistant
    app.include_router(ask.router)
    app.include_router(chat.router)
    app.mount("/mcp", mcp_app)

    @app.get("/healthz")
    async def healthz() -> dict[str, int]:
        """Ready when the tools are."""
        return {"tools": len(await assistant.toolbox.names())}

    return app


app = create_app()
