"""One question and its answer: plan, call tools, put the answer into words. The same for every way in."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from example_gateway.gates import Gates
from example_gateway.model import Answer, StandIn, ToolUse
from example_gateway.people import Person
from example_gateway.toolbox import Toolbox, ToolFailed
from example_gateway.tracing import (
    checkpoint,
    checkpoint_stream,
    current_checkpoint,
    record_assistant_response,
    record_tool_call,
    record_tool_response,
)

#: What the person's screen is sent, piece by piece.
Piece = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Assistant:
    """Everything a turn needs."""

    gates: Gates
    model: StandIn
    toolbox: Toolbox

    async def answer(self, person: Person, message: str) -> AsyncGenerator[Piece, None]:
        """The answer to a message that the gates have admitted."""
        results: list[str] = []
        try:
            offered = self.gates.offered(person, await self.toolbox.names())
            while True:
                plan = self.model.think(message, offered, results)
                said: list[str] = []
                async with aclosing(self._said(message, plan)) as words:
                    async for word in words:
                        said.append(word)
                        yield {"type": "token", "text": word}
                if not plan.tools:
                    break
                for use in plan.tools:
                    yield {"type": "tool", "tool": use.name}
                results = list(await asyncio.gather(*(self._use(person, use) for use in plan.tools)))
        except Exception as error:
            with checkpoint("error", message=str(error), error_type=type(error).__name__):
                pass
            yield {"type": "error", "message": str(error)}
            return
        tokens = plan.tokens_in + len(said)
        with checkpoint("llm_complete", model=plan.model, tokens=tokens):
            record_assistant_response("".join(said), tokens_used=tokens, model=plan.model)
        yield {"type": "done", "tokens": tokens, "tools": len(results)}

    def _said(self, message: str, answer: Answer) -> AsyncGenerator[str, Any]:
        """The model's words, as one step; how many there were is known at its end."""

        async def words() -> AsyncIterator[str]:
            count = 0
            async for word in self.model.stream(message, answer):
                count += 1
                yield word
            current_checkpoint().set(output_tokens=count)

        return checkpoint_stream(
            "llm_thinking",
            words,
            model=answer.model,
            provider="example",
            prompt=message,
            input_tokens=answer.tokens_in,
            tools_planned=[use.name for use in answer.tools],
        )

    async def _use(self, person: Person, use: ToolUse) -> str:
        """Call one tool. Errors are returned to the model."""
        mcp = self.toolbox.name
        if not self.gates.may_call(person, mcp, use.name):
            return f"({use.name} is not allowed here.)"
        record_tool_call(mcp, use.name, use.arguments)
        began = time.monotonic()
        status = "success"
        with checkpoint("tool_call", mcp=mcp, tool=use.name, arguments=use.arguments, transport="pipe") as step:
            try:
                result = await self.toolbox.call(use.name, use.arguments)
                step.set(result=result)
            except TimeoutError:
                status = "timeout"
                result = f"({use.name} did not answer in time.)"
                step.fail(TimeoutError(f"{use.name} did not answer in time"))
            except ToolFailed as error:
                status = "error"
                result = f"({use.name} failed: {error})"
                step.fail(error)
        took = round((time.monotonic() - began) * 1000, 1)
        record_tool_response(mcp, use.name, status=status, duration_ms=took, result=result)
        return result
