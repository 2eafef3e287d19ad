"""A gateway whose steps are queries of PostgreSQL, as an instrumentation of asyncpg sees them."""

import os

import asyncpg
from fastapi import FastAPI

app = FastAPI()


@app.get("/ask")
async def ask() -> dict[str, int]:
    connection = await asyncpg.connect(os.environ["SPANFLOW_POSTGRES_DSN"])
    try:
        await connection.execute("SELECT set_config('spanflow.password', $1, false)", "hunter2")
        return {"pid": os.getpid(), "answer": await connection.fetchval("SELECT 42")}
    finally:
        await connection.close()
