"""A gateway that asks models by their makers' own clients, which one of two families of instrumentations watches.

Both are installed, and their entry points have the same names. So the one that INSTRUMENTED_BY names is switched
on here, as people do who choose one.
"""

import os
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Annotated

from anthropic import AsyncAnthropic
from fastapi import Body, FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

MODULES = {
    "openinference": ("openinference.instrumentation.openai", "openinference.instrumentation.anthropic"),
    "openllmetry": ("opentelemetry.instrumentation.openai", "opentelemetry.instrumentation.anthropic"),
}
for module, name in zip(
    MODULES[os.environ["INSTRUMENTED_BY"]], ("OpenAIInstrumentor", "AnthropicInstrumentor"), strict=True
):
    getattr(import_module(module), name)().instrument()

PROVIDER = os.environ["PROVIDER"]
openai = AsyncOpenAI(api_key="sk-no-key-is-needed-here-at-all", base_url=PROVIDER, max_retries=0)
anthropic = AsyncAnthropic(api_key="none", base_url=PROVIDER.removesuffix("/v1"), max_retries=0)
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
app = FastAPI()
Text = Annotated[str, Body(embed=True)]


@app.post("/ask")
async def ask(text: Text) -> str:
    messages = [{"role": "user", "content": text}]
    tools = [TOOL] if "tool" in text else None
    more = {} if tools is None else {"tools": tools}
    answer = await openai.chat.completions.create(model="gpt-4o", messages=messages, user="ann", **more)
    return answer.choices[0].message.content or "a tool"


@app.post("/stream")
async def stream(text: Text) -> StreamingResponse:
    async def words() -> AsyncIterator[str]:
        chunks = await openai.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": text}],
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in chunks:
            if chunk.choices:
                yield chunk.choices[0].delta.content or ""

    return StreamingResponse(words(), media_type="text/plain")


@app.post("/embed")
async def embed(text: Text) -> int:
    answer = await openai.embeddings.create(model="text-embedding-3-small", input=text)
    return len(answer.data[0].embedding)


@app.post("/claude")
async def claude(text: Text) -> str:
    answer = await anthropic.messages.create(
        model="claude-sonnet-5", max_tokens=50, messages=[{"role": "user", "content": text}]
    )
    return str(answer.content[0].text)
