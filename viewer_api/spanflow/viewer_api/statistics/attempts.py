"""Which steps count by tool, by MCP server and by model: attempts to call it.

A check names the tool that it is about, and takes a moment; counted beside the calls, it would make the tool look fast
and busy. An attempt is a call, or the check that denied one before it was made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from spanflow.span_processors import names
from spanflow.viewer_api.statistics.steps import NO_STEP, Step

TOOL: Final = "tool"
MCP_SERVER: Final = "mcp_server"
MODEL: Final = "model"
#: The types of checkpoints that are calls.
_CALLS: Final[Mapping[str, frozenset[str]]] = {
    TOOL: frozenset({names.TOOL_CALL}),
    MCP_SERVER: frozenset({names.TOOL_CALL, names.PROMPT_GET, names.RESOURCE_READ, names.ELICITATION}),
    MODEL: frozenset({names.LLM_THINKING, names.EMBEDDING, names.RETRIEVAL}),
}


class Part(Enum):
    """What a step contributes to the numbers of what it names."""

    CALL = auto()
    #: Counts as denied; how long the check took says nothing of a call.
    DENIAL = auto()
    #: Only tokens and cost.
    USAGE = auto()


@dataclass(frozen=True, slots=True)
class Named:
    """`value` is the tool, server or model that a step names."""

    by: str
    value: str
    part: Part


def named_by(steps: Sequence[Step]) -> list[list[Named]]:
    """For each step of a flow what it names, and as what it counts there."""
    #: What is being attempted at each step: the innermost of each kind.
    attempted: list[Mapping[str, str]] = []
    named: list[list[Named]] = []
    for step in steps:
        around: Mapping[str, str] = attempted[step.inside] if step.inside != NO_STEP else {}
        mine: list[Named] = []
        if step.event_type != names.PLAIN_SPAN:
            for by, value in ((TOOL, step.tool), (MCP_SERVER, step.mcp_server), (MODEL, step.model)):
                if value:
                    mine.append(Named(by, value, _part(step, by, value, around)))
        attempts = {each.by: each.value for each in mine if each.part is not Part.USAGE}
        attempted.append({**around, **attempts} if attempts else around)
        named.append(mine)
    return named


def _part(step: Step, by: str, value: str, around: Mapping[str, str]) -> Part:
    if step.event_type in _CALLS[by]:
        return Part.CALL
    # A check within a call, or within another check of it, is part of the same attempt.
    if step.outcome == names.OUTCOME_DENIED and around.get(by) != value:
        return Part.DENIAL
    return Part.USAGE
