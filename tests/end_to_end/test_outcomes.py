"""However a request ends, its flow is complete in Postgres and says how."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fastapi
import httpx
from fastapi import HTTPException
from fastapi.responses import StreamingResponse
from inline_snapshot import snapshot

from spanflow.instrumentation import checkpoint, checkpoint_stream, configure, shutdown
from spanflow.span_processors.settings import Settings
from tests.support.asgi_server import serving
from tests.support.poll import eventually
from tests.support.query import query

COLUMNS = (
    "name, user_id, outcome, outcome_reason, gate, reason, tools, models, tokens_in, tokens_out, complete, complete_why"
)


def gateway() -> fastapi.FastAPI:
    app = fastapi.FastAPI()

    @app.get("/denied")
    async def denied() -> None:
        with checkpoint("usage_check"):
            raise HTTPException(429, "budget used up")

    @app.get("/failed")
    async def failed() -> None:
        with checkpoint("llm_thinking", provider="openai", model="gpt-5", input_tokens=10, output_tokens=20):
            raise ValueError("model gone")

    @app.get("/answered")
    async def answered() -> str:
        with checkpoint("tool_call", mcp="qa", tool="ls"):
            return "done"

    @app.get("/left")
    async def left() -> StreamingResponse:
        async def tokens() -> AsyncIterator[str]:
            while True:
                yield "x"
                await asyncio.sleep(0.01)

        return StreamingResponse(checkpoint_stream("llm_thinking", tokens))

    return app


def test_every_outcome_is_a_complete_flow(fresh_otel: None, redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    settings = Settings(
        enabled=True, redis_url=redis_url, postgres_dsn=postgres_dsn, data_dir=str(tmp_path), flow_grace=0.05
    )
    assert configure(settings=settings)
    try:
        ann = {"X-User-Id": "ann"}
        with serving(gateway()) as address:
            for path in ("denied", "failed", "answered"):
                # A connection each: uvicorn closes one after it has answered for an application that failed.
                httpx.get(f"http://{address}/{path}", headers=ann)
            with httpx.stream("GET", f"http://{address}/left", headers=ann) as answer:
                next(answer.iter_bytes())
            flows = eventually(lambda: stored(postgres_dsn, 4), within=10)
    finally:
        shutdown()
    assert flows == snapshot(
        [
            {
                "name": "GET /denied",
                "user_id": "ann",
                "outcome": "denied",
                "outcome_reason": "rate_limited",
                "gate": "usage_check",
                "reason": "budget used up",
                "complete": True,
                "complete_why": "root_ended",
            },
            {
                "name": "GET /failed",
                "user_id": "ann",
                "outcome": "error",
                "outcome_reason": "server_error",
                "models": ["gpt-5"],
                "tokens_in": 10,
                "tokens_out": 20,
                "complete": True,
                "complete_why": "root_ended",
            },
            {
                "name": "GET /answered",
                "user_id": "ann",
                "outcome": "ok",
                "tools": ["ls"],
                "complete": True,
                "complete_why": "root_ended",
            },
            {
                "name": "GET /left",
                "user_id": "ann",
                "outcome": "cancelled",
                "complete": True,
                "complete_why": "root_ended",
            },
        ]
    )


def refusing() -> fastapi.FastAPI:
    """A gateway without any checkpoint, as one is that runs under Spanflow unchanged."""
    app = fastapi.FastAPI()

    @app.get("/answer/{status}")
    async def answer(status: int) -> None:
        raise HTTPException(status)

    return app


def test_a_refused_request_is_never_ok(fresh_otel: None, redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    settings = Settings(
        enabled=True, redis_url=redis_url, postgres_dsn=postgres_dsn, data_dir=str(tmp_path), flow_grace=0.05
    )
    assert configure(settings=settings)
    try:
        with serving(refusing()) as address:
            for path in ("answer/401", "answer/403", "answer/429", "answer/422", "answer/503", "nowhere/17"):
                httpx.get(f"http://{address}/{path}")
            flows = eventually(lambda: stored(postgres_dsn, 6), within=10)
    finally:
        shutdown()
    assert [(flow["name"], flow["outcome"], flow["outcome_reason"]) for flow in flows] == [
        ("GET /answer/{status}", "denied", "unauthenticated"),
        ("GET /answer/{status}", "denied", "forbidden"),
        ("GET /answer/{status}", "denied", "rate_limited"),
        ("GET /answer/{status}", "error", "caller_error"),
        ("GET /answer/{status}", "error", "server_error"),
        ("GET /nowhere/{id}", "error", "caller_error"),
    ]


def stored(dsn: str, count: int) -> list[dict[str, Any]]:
    rows = query(dsn, f"SELECT {COLUMNS} FROM omni2.interaction_flows ORDER BY started_at")
    if len(rows) < count:
        return []
    return [{name: value for name, value in row.items() if value not in (None, 0, [], "")} for row in rows]
