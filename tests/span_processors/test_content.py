"""What counts as content when content is left out, beside the names of the conventions' own packages."""

import pytest

from spanflow.span_processors.metadata_names import in_model_namespace, is_said
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from tests.support import attribute_names

MARK = "what the person said"

#: Names that gateways and libraries use without a convention's package to look them up in.
UNPACKAGED = """
    gen_ai.memory.query.text gen_ai.memory.records gen_ai.prompt.0.content gen_ai.prompt.variable.city
    gen_ai.completion.0.content gen_ai.content.prompt gen_ai.content.completion gen_ai.event.content
    retrieval.documents.0.document.content llm.input_messages.0.message.content llm.request.functions.0.parameters
    llm.openai.messages llm.anthropic.system llm.azure.choices llm.openai.stringified_raw_response hidden_params
    guardrail_response
    litellm.guardrail.response langfuse.observation.input langfuse.observation.output langfuse.trace.input
    langfuse.trace.output ai.prompt ai.prompt.messages ai.response.text ai.toolCall.args ai.toolCall.result
    ai.request.headers.x pydantic_ai.all_messages all_messages_events tool_arguments tool_response final_result
    metadata.prompt_management_metadata metadata.mcp_tool_call_metadata traceloop.association.properties.note
    flow.data.args flow.data.params flow.data.question flow.data.answer flow.data.text flow.data.user_message
    flow.data.toolArgs flow.data.results flow.data.system_prompt flow.data.document2
""".split()
KEPT = """
    gen_ai.prompt.name gen_ai.prompt.version gen_ai.response.status gen_ai.guardrail.result.reason
    gen_ai.memory.store.id gen_ai.retrieval.top_k llm.model_name ai.model.id ai.operationId tool.name
    langfuse.observation.type traceloop.workflow.name litellm.guardrail.status flow.data.tool flow.data.response_id
    flow.data.finish_reason flow.data.input_tokens message.id flow.data.note
""".split()


@pytest.mark.parametrize("name", UNPACKAGED)
def test_content_is_left_out_under_names_without_a_package(name: str) -> None:
    assert Redactor().attributes({name: MARK}) == ({}, 1)


@pytest.mark.parametrize("name", KEPT)
def test_metadata_is_kept(name: str) -> None:
    assert Redactor().attributes({name: MARK}) == ({name: MARK}, 0)


def test_counts_are_numbers_and_nothing_else() -> None:
    counts = {"gen_ai.usage.new.tokens": 5, "gen_ai.cost.total_cost": 0.5, "gen_ai.usage.note": MARK}
    assert Redactor().attributes(counts) == ({"gen_ai.usage.new.tokens": 5, "gen_ai.cost.total_cost": 0.5}, 1)


def test_what_is_said_inside_of_objects_is_left_out_as_well() -> None:
    assert Redactor().attributes(
        {"flow.data.call": {"tool": "list", "arguments": {"q": MARK}, "deep": [{"text": MARK}]}}
    )[0] == {"flow.data.call": {"tool": "list", "deep": [{}]}}


@pytest.mark.parametrize("name", ["gen_ai.user.message", "gen_ai.choice", "llm.content.completion.chunk"])
def test_an_event_of_a_models_instrumentation_holds_content_under_any_name(name: str) -> None:
    attributes = {"content": MARK, "body": {"x": MARK}, "gen_ai.system": "openai", "gen_ai.usage.output_tokens": 4}
    kept = {"gen_ai.system": "openai", "gen_ai.usage.output_tokens": 4}
    assert Redactor().event(name, attributes) == (name, kept, 2)


def test_events_of_vector_databases_hold_content() -> None:
    assert [name for name in attribute_names.openllmetry_events() if not in_model_namespace(f"{name}.")] == []


def test_other_events_keep_their_attributes() -> None:
    attributes = {"exception.type": "E", "content": "x"}
    assert Redactor().event("exception", attributes) == ("exception", attributes, 0)


def test_a_words_last_part_decides() -> None:
    words = "args userMessage tool_result answers2 SYSTEM_PROMPT".split()
    others = "tool message_id prompt_version result_count textual model note".split()
    assert [is_said(word) for word in words + others] == [True] * len(words) + [False] * len(others)


def test_a_deployment_may_name_more_metadata() -> None:
    redactor = Redactor(RedactionPolicy(metadata_keys=("llm.tenant", "topic_text")))
    attributes = {"llm.tenant": "a", "flow.data.topic_text": "b", "llm.other": "c"}
    assert redactor.attributes(attributes) == ({"llm.tenant": "a", "flow.data.topic_text": "b"}, 1)


def test_what_was_recorded_on_purpose_keeps_its_content_and_no_secret() -> None:
    said = {"message": MARK, "parameters": {"query": MARK, "password": "hunter2"}}
    assert Redactor().recorded(said)[0] == {"message": MARK, "parameters": {"query": MARK, "password": "[redacted]"}}


def test_a_fingerprint_cannot_be_imitated() -> None:
    redactor = Redactor(RedactionPolicy(content="hash"))
    kept, _ = redactor.attributes({"llm.prompts": "sha256: " + MARK})
    assert MARK not in kept["llm.prompts"]
    assert redactor.attributes(kept) == (kept, 0)
