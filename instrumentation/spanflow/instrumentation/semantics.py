"""What a checkpoint's type and data mean in OpenTelemetry's own words, in one table.

Beside `flow.data.*` every checkpoint carries the GenAI and MCP attributes that Jaeger's GenAI view, Langfuse, Phoenix
and Logfire understand. The names are still marked `development` upstream, hence constants here and no import.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.trace import SpanKind

from spanflow.span_processors import names

OPERATION: Final = "gen_ai.operation.name"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
OPENINFERENCE_KIND: Final = "openinference.span.kind"
#: Our own word for the same moment, in milliseconds like every duration that dashboards show.
TIME_TO_FIRST_TOKEN: Final = "time_to_first_token_ms"
ERROR_TYPE: Final = "error.type"


class AttributeNames(dict[str, tuple[str, ...]]):
    """By word. Those of the words that a gateway uses are made once, not for every step."""

    _REMEMBERED = 256

    def __init__(self, upstream: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self._upstream = upstream

    def __missing__(self, word: str) -> tuple[str, ...]:
        attribute_names = (names.ATTR_DATA_PREFIX + word, *self._upstream.get(word, ()))
        if len(self) < self._REMEMBERED:
            self[word] = attribute_names
        return attribute_names


@dataclass(frozen=True, slots=True)
class Meaning:
    """How checkpoints of one type look to tools that have never heard of Spanflow."""

    kind: SpanKind = SpanKind.INTERNAL
    openinference_kind: str = "CHAIN"
    #: `("chat", "model")` names the span `chat gpt-5` as soon as the model is known.
    named_after: tuple[str, str] | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    #: A checkpoint's own word, and the attributes that say the same upstream.
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: A word, and every attribute that says it: ours first.
    names_of: "AttributeNames" = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names_of", AttributeNames(self.words))

    def span_name(self, event_type: str, data: Mapping[str, Any]) -> str:
        if self.named_after is not None:
            prefix, word = self.named_after
            what = data.get(word)
            if what is not None:
                return f"{prefix} {what}"
        return event_type


FINISH_REASONS: Final = "gen_ai.response.finish_reasons"


def as_reasons(value: Any) -> Any:
    """A model's one reason as the list that the attribute holds upstream."""
    return [value] if isinstance(value, str) else value


_GUARDRAIL: Final = Meaning(openinference_kind="GUARDRAIL")
_PLAIN: Final = Meaning()

MEANINGS: Final[Mapping[str, Meaning]] = {
    **dict.fromkeys(names.GATES, _GUARDRAIL),
    names.TOOL_FILTER: _PLAIN,
    names.LLM_COMPLETE: _PLAIN,
    names.ERROR: _PLAIN,
    names.LLM_THINKING: Meaning(
        kind=SpanKind.CLIENT,
        openinference_kind="LLM",
        named_after=("chat", "model"),
        fixed={OPERATION: "chat"},
        words={
            # `gen_ai.system` is the provider's older name; Langfuse and Phoenix still read it.
            "provider": ("gen_ai.provider.name", "gen_ai.system"),
            "model": ("gen_ai.request.model",),
            "response_model": ("gen_ai.response.model",),
            "response_id": ("gen_ai.response.id",),
            "input_tokens": ("gen_ai.usage.input_tokens",),
            "output_tokens": ("gen_ai.usage.output_tokens",),
            "cached_tokens": ("gen_ai.usage.cache_read.input_tokens",),
            "cache_write_tokens": ("gen_ai.usage.cache_write.input_tokens",),
            "finish_reason": (FINISH_REASONS,),
            "finish_reasons": (FINISH_REASONS,),
            "temperature": ("gen_ai.request.temperature",),
            "max_tokens": ("gen_ai.request.max_tokens",),
            "messages": ("gen_ai.input.messages",),
            "output_messages": ("gen_ai.output.messages",),
        },
    ),
    names.TOOL_CALL: Meaning(
        kind=SpanKind.CLIENT,
        openinference_kind="TOOL",
        named_after=("tools/call", "tool"),
        fixed={OPERATION: "execute_tool", "mcp.method.name": "tools/call"},
        words={
            "tool": ("gen_ai.tool.name",),
            "tool_type": ("gen_ai.tool.type",),
            "call_id": ("gen_ai.tool.call.id",),
            "arguments": ("gen_ai.tool.call.arguments",),
            "result": ("gen_ai.tool.call.result",),
            "request_id": ("jsonrpc.request.id",),
            "protocol_version": ("mcp.protocol.version",),
            "transport": ("network.transport",),
            "server_address": ("server.address",),
        },
    ),
}

#: The root of a turn.
#: It is the flow itself and no step of it, though other tools are to see an agent.
TURN: Final = Meaning(
    openinference_kind="AGENT", fixed={OPERATION: "invoke_agent", names.ATTR_CHECKPOINT_TYPE: names.PLAIN_SPAN}
)


def meaning_of(event_type: str) -> Meaning:
    """The row for a type; a gateway's own types are plain steps."""
    return MEANINGS.get(event_type, _PLAIN)
