"""A stand-in for a language model: the same question always gets the same plan, the same words and the same delays."""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from example_gateway.pace import Pace

LARGE: Final = "stand-in-large"
SMALL: Final = "stand-in-small"


@dataclass(frozen=True, slots=True)
class ToolUse:
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call of the model will give."""

    model: str
    tools: tuple[ToolUse, ...]
    words: tuple[str, ...]
    tokens_in: int


class Overloaded(Exception):
    """The model refuses to work for a moment, as hosted ones do."""


class StandIn:
    """Plans with rules in place of thinking, and streams its words at a model's pace."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def think(self, message: str, offered: Sequence[str], results: Sequence[str] = ()) -> Answer:
        """Decide on tools first; when their results are there, on words."""
        model = LARGE if len(message) > 60 or results else SMALL
        tools = () if results else tuple(use for use in _plan(message) if use.name in offered)
        words = () if tools else _words(message, results)
        asked = sum(len(text.split()) for text in (message, *results))
        return Answer(model, tools, words, tokens_in=220 + 4 * asked)

    async def stream(self, message: str, answer: Answer) -> AsyncIterator[str]:
        """The answer, word by word. Planning tool calls has no words: it takes its time and yields none."""
        random = Random(f"{message}{len(answer.words)}")
        await self._pace.wait(random.uniform(0.25, 0.9))
        if "overload" in message.lower():
            raise Overloaded("the model is overloaded, try again later")
        for word in answer.words:
            yield word
            await self._pace.wait(random.uniform(0.015, 0.06))


_RULES: Final = (
    (r"\bjob (?P<job_id>\w+)", "get_job_status"),
    (r"\bsnapshots? of (?P<project>\w+)", "list_snapshots"),
    (r"\b(?:find|search for) (?P<query>.+?)(?:$|[.?!,])", "search_documents"),
    (r"\brestart (?P<service>\w+)", "restart_service"),
    (r"\breport on (?P<topic>\w+)", "write_report"),
    (r"\bbroken (?P<record>\w+)", "read_record"),
    (r"\bfrozen (?P<disk>\w+)", "read_disk"),
)


def _plan(message: str) -> list[ToolUse]:
    return [
        ToolUse(tool, {name: value.strip() for name, value in match.groupdict().items()})
        for pattern, tool in _RULES
        for match in re.finditer(pattern, message, re.IGNORECASE)
    ]


_OPENINGS: Final = ("Here is what I found.", "In short:", "Let me put it this way.", "Gladly.")
_FILLERS: Final = (
    "That depends on the week you look at, and on how you count.",
    "Most of it is done; what is left should take no more than an hour.",
    "There is nothing unusual in the last day.",
    "If you want to know more, ask for the report.",
)


def _words(message: str, results: Sequence[str]) -> tuple[str, ...]:
    random = Random(message)
    said = [random.choice(_OPENINGS), *results, random.choice(_FILLERS)]
    return tuple(word + " " for word in " ".join(said).split())
