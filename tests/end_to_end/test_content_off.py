"""`SPANFLOW_CONTENT=off`: what people and models said is nowhere, whatever library wrote it and under whatever name."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider

from spanflow.instrumentation import checkpoint, flow
from spanflow.span_processors.metadata_names import METADATA
from tests.support import attribute_names
from tests.support.everything_recorded import LAST, USER, record_everything

#: Names in use that no installed package of conventions has.
UNPACKAGED = """
    gen_ai.agent.version gen_ai.conversation.compacted gen_ai.memory.query.text gen_ai.memory.records
    gen_ai.memory.record.id gen_ai.memory.store.id gen_ai.prompt.version gen_ai.prompt.variable.city
    gen_ai.request.previous_response.id gen_ai.request.reasoning.level gen_ai.request.stream_cursor
    gen_ai.response.status gen_ai.guardrail.component.name gen_ai.guardrail.policy.id
    gen_ai.guardrail.policy.version gen_ai.guardrail.result.reason gen_ai.guardrail.result.type
    gen_ai.guardrail.result.value gen_ai.guardrail.source gen_ai.content.prompt gen_ai.event.content
    gen_ai.prompt.0.content gen_ai.completion.0.content enduser.id retrieval.documents.0.document.content
    llm.input_messages.0.message.content llm.prompt_template.variables.city llm.request.functions.0.parameters
    llm.openai.messages llm.openai.system llm.openai.choices llm.openai.stringified_raw_response hidden_params
    guardrail_response
    litellm.guardrail.response litellm.guardrail.status langfuse.observation.input langfuse.observation.output
    langfuse.trace.input langfuse.trace.output langfuse.trace.name ai.prompt ai.prompt.messages ai.response.text
    ai.toolCall.args ai.toolCall.name pydantic_ai.all_messages all_messages_events tool_arguments tool_response
    gen_ai.retrieval.top_k gen_ai.usage.cache_write.input_tokens gen_ai.memory.record.count gen_ai.workflow.name
    gen_ai.evaluation.score.value gen_ai.evaluation.explanation gen_ai.cost.note llm.token_count.note
    embedding.embeddings.0.embedding.text reranker.input_documents.0.document.content
""".split()
NAMES = sorted(
    {
        *UNPACKAGED,
        *attribute_names.gen_ai_names(),
        *attribute_names.openinference_names(),
        *attribute_names.openllmetry_names(),
    }
    # These say whose flow it is and what kind of step; a test that wrote anything there would be about that.
    - {"user.id", "session.id", "enduser.id", "gen_ai.conversation.id", "db.system", "db.operation"}
)
#: Words of checkpoints, and attributes of events under names that are nobody's.
WORDS = "args params question answer text prompt message arguments result user_message toolResults".split()
EVENTS = [
    *("gen_ai.user.message", "gen_ai.assistant.message", "gen_ai.choice", "gen_ai.evaluation.result"),
    *("gen_ai.client.inference.operation.details", "gen_ai.client.operation.exception", "gen_ai.guardrail.result"),
    "gen_ai.execute_tool.exception",
    *attribute_names.openllmetry_events(),
]


def mark(kind: str, number: int) -> str:
    return f"mark-{kind}-{number:04}-end"


def marks(kind: str, texts: Iterable[str]) -> dict[str, str]:
    return {text: mark(kind, number) for number, text in enumerate(texts)}


def test_a_marked_text_under_any_name_of_content_is_nowhere(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    on_spans, on_events = marks("span", NAMES), marks("event", NAMES)
    in_words, in_bodies = marks("word", WORDS), marks("body", EVENTS)

    def work(provider: TracerProvider) -> None:
        library = provider.get_tracer("some.instrumentation")
        with flow("turn", user_id=USER):
            for name, text in on_spans.items():
                with library.start_as_current_span("call", attributes={name: text}) as span:
                    span.set_attribute(f"{name}.0.text", text)
                    span.add_event("said", {name: on_events[name]})
            for event, text in in_bodies.items():
                with library.start_as_current_span("said") as span:
                    span.add_event(event, {"content": text, "body": text})
            for word, text in in_words.items():
                said: dict[str, Any] = {word: text, "call": {word: [text]}}
                with checkpoint("tool_call", tool=f"tool of {word}", **said):
                    pass
            with checkpoint("tool_call", name=LAST, tool=LAST):
                pass

    sinks = record_everything(work, redis_url=redis_url, postgres_dsn=postgres_dsn, data_dir=tmp_path)
    metadata = {name for name in NAMES if name in METADATA}
    leaks = {
        name: sinks.holding(text)
        for told in (on_spans, on_events, in_words, in_bodies)
        for name, text in told.items()
        if name not in metadata and sinks.holding(text)
    }
    assert leaks == {}
    # Everything went everywhere: else nothing would be proved.
    assert sinks.holding(LAST) == ["channel", "otlp", "redis", "rows", "spool"]
    spans = ["otlp", "redis", "rows", "spool"]
    assert {name: sinks.holding(on_spans[name]) for name in metadata} == dict.fromkeys(metadata, spans)
    assert sinks.holding("tool of question") == ["channel", *spans]
