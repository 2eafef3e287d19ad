"""A FastAPI application whose only route does nothing but be traced.

Run as `python -m benchmarks.http_app '{"variant": …, "servers": {…}, "port": …}'`. `GET /counts` tells what was lost.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import orjson
import uvicorn
from fastapi import FastAPI

from benchmarks.variants import VARIANTS, Servers, Variant


def app_for(variant: Variant) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        variant.close()

    # Its own tracing would come on top of every variant.
    app = FastAPI(lifespan=lifespan, telemetry={"tracing": False})
    numbers = count()

    @app.get("/ask")
    async def ask() -> dict[str, str]:
        await variant.request(next(numbers))
        return {"answer": "yes"}

    @app.get("/counts")
    def counts() -> dict[str, Any]:
        seen = variant.counts()
        if seen is None:
            return {"lost": 0, "waiting": 0}
        stages = [seen.intake, *seen.sinks.values()]
        return {
            "lost": sum(stage.lost for stage in stages),
            "waiting": sum(stage.waiting for stage in stages),
            "events": seen.intake.accepted,
        }

    return app


def main() -> None:
    job = orjson.loads(sys.argv[1])
    variant = VARIANTS[job["variant"]](Servers(**job["servers"]))
    uvicorn.run(app_for(variant), host="127.0.0.1", port=job["port"], log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
