"""An OpenAI-compatible proxy with virtual keys, budgets and fallbacks, as LiteLLM is one:
`spanflow run -- uvicorn --app-dir examples/minimal llm_proxy:app`.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from spanflow.instrumentation import checkpoint, checkpoint_stream, current_checkpoint, identify


@dataclass
class Key:
    """A virtual key: whose it is, and how many more tokens may be used with it."""

    user: str
    team: str
    tokens_left: int


KEYS = {"sk-ada": Key("ada", "research", 10_000), "sk-ben": Key("ben", "support", 0)}
#: The deployments of each model, in the order in which they are tried.
DEPLOYMENTS = {"chat": ("overloaded/large", "stand-in/large")}

app = FastAPI()


@app.post("/v1/chat/completions")
async def completions(request: Request) -> Response:
    body: dict[str, Any] = await request.json()
    key = await authenticated(request.headers.get("authorization", ""))
    await within_budget(key)
    if body.get("stream"):
        return StreamingResponse(streamed(body, key), media_type="text/event-stream")
    words = [word async for word in complete(body, key)]
    return JSONResponse({"choices": [{"message": {"role": "assistant", "content": " ".join(words)}}]})


@checkpoint("auth_check")
async def authenticated(header: str) -> Key:
    key = KEYS.get(header.removeprefix("Bearer "))
    if key is None:
        raise HTTPException(401, "unknown key")  # recorded as denied, with this reason
    identify(user_id=key.user, team=key.team, source="api")
    return key


@checkpoint("usage_check")
async def within_budget(key: Key) -> None:
    current_checkpoint().set(remaining=key.tokens_left)
    if key.tokens_left <= 0:
        raise HTTPException(429, "budget used up")


async def complete(body: dict[str, Any], key: Key) -> AsyncIterator[str]:
    """The answer, from the first deployment that works."""
    for deployment in DEPLOYMENTS[body["model"]]:
        provider, _, model = deployment.partition("/")
        try:
            async for word in checkpoint_stream(
                "llm_thinking", partial(call, deployment, body["messages"]), provider=provider, model=model
            ):
                key.tokens_left -= 1
                yield word
            return
        except ConnectionError:
            continue  # the next deployment; the failed one is a step of its own
    raise HTTPException(503, "no deployment works")


async def call(deployment: str, messages: list[dict[str, str]]) -> AsyncIterator[str]:
    """A stand-in for a provider."""
    if deployment.startswith("overloaded"):
        raise ConnectionError("overloaded")
    words = messages[-1]["content"].upper().split()
    for word in words:
        yield word
    current_checkpoint().set(input_tokens=len(words), output_tokens=len(words), finish_reason="stop")


async def streamed(body: dict[str, Any], key: Key) -> AsyncIterator[str]:
    async for word in complete(body, key):
        yield f"data: {json.dumps({'choices': [{'delta': {'content': f'{word} '}}]})}\n\n"
    yield "data: [DONE]\n\n"
