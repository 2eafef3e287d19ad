"""The gates of a request in their order, as a funnel counts them: each is a type of checkpoint."""

from collections.abc import Collection
from typing import Final

from spanflow.span_processors import names

FUNNEL: Final = (
    names.AUTH_CHECK,
    names.SECURITY_CHECK,
    names.BLOCK_CHECK,
    names.USAGE_CHECK,
    names.LLM_THINKING,
    names.TOOL_CALL,
    names.LLM_COMPLETE,
)


def later_gates(gate: str) -> tuple[str, ...]:
    """The gates behind this one."""
    return FUNNEL[FUNNEL.index(gate) + 1 :]


def furthest_gate(event_types: Collection[str]) -> str | None:
    """The last gate that a flow with these checkpoints came to."""
    return next((gate for gate in reversed(FUNNEL) if gate in event_types), None)
