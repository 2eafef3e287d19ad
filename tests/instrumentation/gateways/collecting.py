"""A gateway that holds much when it has started, and tells how Python's garbage collector treats it."""

import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI

LOADED: Final = 100_000
held: list[list[int]] = []


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    held.extend([] for _ in range(LOADED))
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/collector")
async def collector() -> dict[str, Any]:
    return {"pid": os.getpid(), "frozen": gc.get_freeze_count(), "thresholds": gc.get_threshold()}
