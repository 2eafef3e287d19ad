"""What GenAI, MCP, OpenInference and OpenLLMetry instrumentations say of their spans, as types of checkpoints.

The names are still marked «development» upstream, hence constants here and no import.
"""

from collections.abc import Mapping
from typing import Any, Final

from spanflow.span_processors import names

OPERATION: Final = "gen_ai.operation.name"
_LLM: Final = names.LLM_THINKING
_TOOL: Final = names.TOOL_CALL
#: Attribute → its values → type. The values are compared in lower case.
_CONVENTIONS: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (
    (
        OPERATION,
        {"chat": _LLM, "text_completion": _LLM, "generate_content": _LLM, "execute_tool": _TOOL},
    ),
    ("mcp.method.name", {"tools/call": _TOOL}),
    ("openinference.span.kind", {"llm": _LLM, "tool": _TOOL, "guardrail": names.SECURITY_CHECK}),
    ("llm.request.type", {"chat": _LLM, "completion": _LLM}),
    ("traceloop.span.kind", {"tool": _TOOL}),
)
#: Further operations in which a model is asked, whether or not they are checkpoints.
_INFERENCE: Final = frozenset({"embeddings"})


def type_by_convention(attributes: Mapping[str, Any]) -> str | None:
    """The type of a span with these attributes, None when they say nothing of it."""
    for attribute, meanings in _CONVENTIONS:
        value = attributes.get(attribute)
        if type(value) is str:
            found = meanings.get(value.lower())
            if found is not None:
                return found
    return None


def operation_of(attributes: Mapping[str, Any]) -> str | None:
    """The GenAI operation in lower case."""
    value = attributes.get(OPERATION)
    return value.lower() if isinstance(value, str) else None


def is_inference(event_type: str | None, attributes: Mapping[str, Any]) -> bool:
    """Whether the span is one request to a model, rather than an agent that sums up several, or a detail of one."""
    if event_type == _LLM or operation_of(attributes) in _INFERENCE:
        return True
    return type_by_convention(attributes) == _LLM
