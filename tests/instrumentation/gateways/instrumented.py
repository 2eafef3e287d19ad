"""A gateway whose steps are only what other people's instrumentations see: httpx, redis, openai."""

import os
from typing import Any

import httpx
import redis.asyncio as redis
from fastapi import FastAPI, Request
from openai import AsyncOpenAI

app = FastAPI()


@app.get("/ask")
async def ask(request: Request) -> dict[str, int]:
    here = str(request.base_url).rstrip("/")
    async with httpx.AsyncClient() as client:
        await client.get(f"{here}/rules")
    store = redis.Redis.from_url(os.environ["SPANFLOW_REDIS_URL"])
    await store.get("budget")
    await store.aclose()
    model = AsyncOpenAI(base_url=here, api_key="sk-test", max_retries=0)
    await model.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "a secret question"}])
    return {"pid": os.getpid()}


@app.get("/rules")
async def rules() -> dict[str, str]:
    return {}


@app.post("/chat/completions")
async def completions() -> dict[str, Any]:
    return {
        "id": "c-1",
        "object": "chat.completion",
        "created": 0,
        "model": "gpt-5-2026",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "42"}}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 1, "total_tokens": 12},
    }
