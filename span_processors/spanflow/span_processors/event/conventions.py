"""What GenAI, MCP, OpenInference and OpenLLMetry instrumentations say of their spans, as types of checkpoints.

The names are still marked `development` upstream, hence constants here and no import.
"""

from collections.abc import Mapping
from typing import Any, Final

from spanflow.span_processors import names

OPERATION: Final = "gen_ai.operation.name"
_LLM: Final = names.LLM_THINKING
_TOOL: Final = names.TOOL_CALL


def _by_type(types: Mapping[str, tuple[str, ...]]) -> Mapping[str, str]:
    return {value: event_type for event_type, values in types.items() for value in values}


#: Attribute → its values → type. The values are compared in lower case. What is not listed stays a plain span: lists,
#: handshakes and subscriptions of MCP, `fetch_response`, chains, tasks and evaluators.
_CONVENTIONS: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (
    (
        OPERATION,
        _by_type(
            {
                _LLM: (
                    *("chat", "text_completion", "generate_content"),
                    # LiteLLM's own callback writes the name of the function that was called.
                    *("completion", "acompletion", "atext_completion", "responses", "aresponses"),
                    *("anthropic_messages", "generate_content_stream", "agenerate_content"),
                ),
                _TOOL: ("execute_tool", "call_mcp_tool"),
                names.AGENT: ("invoke_agent", "invoke_workflow", "create_agent"),
                names.PLAN: ("plan",),
                names.RETRIEVAL: ("retrieval", "rerank", "arerank"),
                names.EMBEDDING: ("embeddings", "embedding", "aembedding"),
                names.MEMORY: (
                    *("search_memory", "create_memory", "update_memory", "upsert_memory", "delete_memory"),
                    *("create_memory_store", "delete_memory_store"),
                ),
                names.SECURITY_CHECK: ("apply_guardrail",),
            }
        ),
    ),
    (
        "mcp.method.name",
        {
            "tools/call": _TOOL,
            "prompts/get": names.PROMPT_GET,
            "resources/read": names.RESOURCE_READ,
            "elicitation/create": names.ELICITATION,
        },
    ),
    (
        "openinference.span.kind",
        {
            "llm": _LLM,
            "tool": _TOOL,
            "guardrail": names.SECURITY_CHECK,
            "agent": names.AGENT,
            "retriever": names.RETRIEVAL,
            "reranker": names.RETRIEVAL,
            "embedding": names.EMBEDDING,
        },
    ),
    (
        "llm.request.type",
        {"chat": _LLM, "completion": _LLM, "embedding": names.EMBEDDING, "rerank": names.RETRIEVAL},
    ),
    ("traceloop.span.kind", {"tool": _TOOL, "agent": names.AGENT, "workflow": names.AGENT}),
)
#: Attributes that only spans of guardrails have.
_GUARDRAIL: Final = ("gen_ai.guardrail.component.name", "litellm.guardrail.name")
#: Without any of these there is nothing to look at.
_SAYING: Final = frozenset({*_GUARDRAIL, *(attribute for attribute, _ in _CONVENTIONS)})
_INFERENCE: Final = frozenset({_LLM, names.EMBEDDING})
#: Where the time to the first token may stand, and how many milliseconds one of its unit is.
_FIRST_TOKEN: Final = (
    (names.ATTR_DATA_PREFIX + "time_to_first_token_ms", 1.0),
    ("gen_ai.response.time_to_first_chunk", 1000.0),
    ("gen_ai.server.time_to_first_token", 1000.0),
)


def type_by_convention(attributes: Mapping[str, Any]) -> str | None:
    """The type of a span with these attributes, None when they say nothing of it."""
    if _SAYING.isdisjoint(attributes):
        return None
    for attribute, meanings in _CONVENTIONS:
        value = attributes.get(attribute)
        if type(value) is str:
            event_type = meanings.get(value.lower())
            if event_type is not None:
                return event_type
    if _GUARDRAIL[0] in attributes or _GUARDRAIL[1] in attributes:
        return names.SECURITY_CHECK
    return None


def first_token_ms(attributes: Mapping[str, Any]) -> float | None:
    """How long the first token of a model's answer took."""
    for name, factor in _FIRST_TOKEN:
        value = attributes.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return float(value * factor)
    return None


def operation_of(attributes: Mapping[str, Any]) -> str | None:
    """The GenAI operation in lower case."""
    value = attributes.get(OPERATION)
    return value.lower() if isinstance(value, str) else None


def is_inference(event_type: str | None, attributes: Mapping[str, Any]) -> bool:
    """Whether the span is one request to a model, rather than an agent that sums up several, or a detail of one."""
    return event_type in _INFERENCE or type_by_convention(attributes) in _INFERENCE
