"""A gateway that is traced by Traceloop's SDK already, and says by its association properties whose request it is."""

import os
from typing import Annotated

from fastapi import Body, FastAPI
from openai import AsyncOpenAI
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import tool, workflow

# Its own exporter would send to its maker's address.
Traceloop.init(app_name="gateway", exporter=InMemorySpanExporter(), disable_batch=True, telemetry_enabled=False)
openai = AsyncOpenAI(api_key="sk-no-key-is-needed-here-at-all", base_url=os.environ["PROVIDER"], max_retries=0)
app = FastAPI()
Text = Annotated[str, Body(embed=True)]


@tool(name="look_up")  # type: ignore[untyped-decorator]
async def look_up(text: str) -> str:
    return text.upper()


@workflow(name="answer")  # type: ignore[untyped-decorator]
async def answer(text: str) -> str:
    Traceloop.set_association_properties({"user_id": "ann", "session_id": "s-1", "plan": "free"})
    messages = [{"role": "user", "content": await look_up(text)}]
    said = await openai.chat.completions.create(model="gpt-4o", messages=messages)
    return said.choices[0].message.content or ""


@app.post("/ask")
async def ask(text: Text) -> str:
    return str(await answer(text))


@app.post("/direct")
async def direct(text: Text) -> str:
    """Without a workflow; the model call itself names the user, as OpenAI's parameter `user`."""
    messages = [{"role": "user", "content": text}]
    said = await openai.chat.completions.create(model="gpt-4o", messages=messages, user="ben")
    return said.choices[0].message.content or ""
