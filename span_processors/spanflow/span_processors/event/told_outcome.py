"""How a step ended in the words of other gateways and libraries, where its status says nothing of it.

An MCP server that refuses a tool call answers well-formed, and a guardrail that blocks has done its work: both leave
spans without an error.
"""

from collections.abc import Mapping
from typing import Any, Final

from spanflow.span_processors import names

#: Attribute → its values → outcome.
_WORDS: Final[Mapping[str, Mapping[Any, str]]] = {
    "litellm.guardrail.status": {
        "guardrail_intervened": names.OUTCOME_DENIED,
        "guardrail_failed_to_respond": names.OUTCOME_ERROR,
    },
    "guardrail_status": {
        "guardrail_intervened": names.OUTCOME_DENIED,
        "guardrail_failed_to_respond": names.OUTCOME_ERROR,
    },
    "gen_ai.guardrail.result.type": dict.fromkeys(("deny", "denied", "block", "blocked"), names.OUTCOME_DENIED),
    "plugin.stopped_chain": {True: names.OUTCOME_DENIED},
    "plugin.had_violation": {True: names.OUTCOME_DENIED},
    "error.type": {
        "tool_error": names.OUTCOME_ERROR,
        # FastMCP, where its authorization or a middleware of the server's own refuses.
        "AuthorizationError": names.OUTCOME_DENIED,
        "InsufficientScopeError": names.OUTCOME_DENIED,
    },
}
#: ContextForge's word for an MCP result with `isError`; a word like this counts only on a span that names its tool.
_SUCCESS: Final = "success"
_TOOL: Final = "tool.name"
_TELLING: Final = frozenset({*_WORDS, _SUCCESS})


def told_outcome(attributes: Mapping[str, Any]) -> str | None:
    """The outcome that a checkpoint's attributes tell, None where they tell none.

    Our own checkpoints say theirs in `flow.outcome` or by their status, which spares them the search.
    """
    if names.ATTR_CHECKPOINT_TYPE in attributes or _TELLING.isdisjoint(attributes):
        return None
    for attribute, outcomes in _WORDS.items():
        value = attributes.get(attribute)
        if type(value) is str or type(value) is bool:
            outcome = outcomes.get(value)
            if outcome is not None:
                return outcome
    return names.OUTCOME_ERROR if attributes.get(_SUCCESS) is False and _TOOL in attributes else None
