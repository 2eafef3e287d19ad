"""A FastAPI application whose routes do nothing but be traced.

Run as `python -m benchmarks.http_app '{"variant": …, "servers": {…}, "port": …, "gc": 0, "freeze": false}'`.
`GET /ask` answers at once, `GET /wait` after 20 ms, as if a model had been asked; `GET /counts` tells what was lost and
what is still on its way.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import orjson
import uvicorn
from fastapi import FastAPI

from benchmarks.variants import VARIANTS, Servers, Variant
from spanflow.instrumentation.collecting import Freezer, Threshold
from spanflow.span_processors.settings import Settings

_ANSWER = {"answer": "yes"}
_MODEL_TAKES = 0.02


def app_for(variant: Variant, settings: Settings) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        Freezer(settings).application_started()
        yield
        variant.close()

    # Its own tracing would come on top of every variant.
    app = FastAPI(lifespan=lifespan, telemetry={"tracing": False})
    numbers = count()

    @app.get("/ask")
    async def ask() -> dict[str, str]:
        await variant.request(next(numbers))
        return _ANSWER

    @app.get("/wait")
    async def wait() -> dict[str, str]:
        await variant.request(next(numbers))
        await asyncio.sleep(_MODEL_TAKES)
        return _ANSWER

    @app.get("/counts")
    def counts() -> dict[str, Any]:
        return progress(variant)

    return app


def progress(variant: Variant) -> dict[str, int]:
    """What was lost so far, and what is still on its way: to Redis, and to Postgres."""
    seen = variant.counts()
    if seen is None:
        return {"lost": 0, "to_redis": 0, "to_postgres": 0}
    archive = seen.sinks.get("postgres")
    return {
        "lost": sum(stage.lost for stage in (seen.intake, *seen.sinks.values())),
        "to_redis": seen.intake.waiting + seen.sinks["mirror"].waiting,
        # A flow that is still open, or lies in the spool, has not arrived either.
        "to_postgres": 0 if archive is None else seen.open_flows + archive.waiting + seen.spool_bytes,
        "events": seen.intake.accepted,
    }


def main() -> None:
    job = orjson.loads(sys.argv[1])
    settings = Settings(gc_threshold=job["gc"], gc_freeze=job["freeze"])
    Threshold(settings).install()
    variant = VARIANTS[job["variant"]](Servers(**job["servers"]))
    uvicorn.run(app_for(variant, settings), host="127.0.0.1", port=job["port"], log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
