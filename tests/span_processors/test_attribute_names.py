"""What attributes of other instrumentations are taken for: content, unless they are known to be metadata.

The names come from the conventions' own packages. A new release may bring new ones: then the lists here do not fit any
more. Decide whether each is metadata (and add it to `metadata_names.py`) or content, and add it here.
"""

import pytest
from inline_snapshot import snapshot

from spanflow.span_processors.metadata_names import METADATA, in_model_namespace, is_said
from spanflow.span_processors.redaction.redaction import Redactor
from tests.support import attribute_names

MARK = "what the person said"
ALL = attribute_names.gen_ai_names() | attribute_names.openinference_names() | attribute_names.openllmetry_names()


def taken_for(name: str) -> str:
    """By what the default policy does with a text and with a number."""
    redactor = Redactor()
    if redactor.attributes({name: MARK})[0]:
        return "metadata" if name in METADATA else "other"
    return "count" if redactor.attributes({name: 7})[0] else "content"


def names_taken_for(what: str) -> list[str]:
    return sorted(name for name in ALL if taken_for(name) == what)


def test_every_name_that_is_content_is_known_as_that() -> None:
    assert names_taken_for("content") == snapshot(
        [
            "annotation.explanation",
            "annotation.metadata",
            "annotations",
            "audio.mime_type",
            "audio.transcript",
            "audio.url",
            "completion.text",
            "db.marqo.delete_documents.status",
            "db.marqo.search.processing_time",
            "db.marqo.search.query",
            "db.query.embeddings.vector",
            "db.query.result.document",
            "db.query.result.id",
            "db.query.result.metadata",
            "db.query.result.vector",
            "db.search.embeddings.vector",
            "db.search.query.id",
            "db.search.result.entity",
            "db.search.result.id",
            "db.search.result.score",
            "document.content",
            "document.id",
            "document.metadata",
            "document.mime_type",
            "document.name",
            "document.score",
            "document.url",
            "embedding.embeddings",
            "embedding.invocation_parameters",
            "embedding.text",
            "embedding.vector",
            "evaluation.explanation",
            "evaluation.metadata",
            "evaluations",
            "gen_ai.agent.description",
            "gen_ai.completion",
            "gen_ai.content.completion.chunk",
            "gen_ai.evaluation.explanation",
            "gen_ai.headers",
            "gen_ai.input.messages",
            "gen_ai.output.messages",
            "gen_ai.prompt",
            "gen_ai.request.stop_sequences",
            "gen_ai.request.structured_output_schema",
            "gen_ai.retrieval.documents",
            "gen_ai.retrieval.query.text",
            "gen_ai.system_instructions",
            "gen_ai.task.input",
            "gen_ai.task.output",
            "gen_ai.tool.call.arguments",
            "gen_ai.tool.call.result",
            "gen_ai.tool.definitions",
            "gen_ai.tool.description",
            "gen_ai.workflow.edges",
            "gen_ai.workflow.nodes",
            "haystack.openai.chat",
            "haystack.openai.completion",
            "image.url",
            "input.documents",
            "input.images",
            "input.value",
            "llm.chat.stop_sequences",
            "llm.choices",
            "llm.content.completion.chunk",
            "llm.function_call",
            "llm.headers",
            "llm.input_messages",
            "llm.invocation_parameters",
            "llm.output_messages",
            "llm.prompt_template.template",
            "llm.prompt_template.variables",
            "llm.prompts",
            "llm.request.functions",
            "llm.tools",
            "mcp.request.argument",
            "mcp.resource.uri",
            "mcp.response.value",
            "mcp.session.init_options",
            "message.content",
            "message.contents",
            "message.function_call_arguments_json",
            "message.function_call_name",
            "message.name",
            "message.role",
            "message.tool_call_id",
            "message.tool_calls",
            "message_content.audio",
            "message_content.data",
            "message_content.document",
            "message_content.encrypted_content",
            "message_content.id",
            "message_content.image",
            "message_content.signature",
            "message_content.text",
            "message_content.type",
            "message_content.video",
            "metadata",
            "output.documents",
            "output.images",
            "output.value",
            "prompt.text",
            "prompt.url",
            "reranker.input_documents",
            "reranker.output_documents",
            "reranker.query",
            "retrieval.documents",
            "session.annotations",
            "session.evaluations",
            "tag.tags",
            "tool.description",
            "tool.json_schema",
            "tool.parameters",
            "tool_call.function.arguments",
            "tool_call.function.name",
            "tool_call.id",
            "tool_call.reasoning_signature",
            "trace.annotations",
            "trace.evaluations",
            "traceloop.association.properties",
            "traceloop.entity.input",
            "traceloop.entity.output",
            "traceloop.prompt.template",
            "traceloop.prompt.template_variables",
            "video.url",
        ]
    )


def test_every_name_that_is_metadata_is_known_as_that() -> None:
    assert names_taken_for("metadata") == snapshot(
        [
            "agent.name",
            "annotation.annotator_kind",
            "annotation.identifier",
            "annotation.label",
            "annotation.name",
            "annotation.score",
            "db.milvus.create_collection.collection_name",
            "db.milvus.delete.collection_name",
            "db.milvus.get.collection_name",
            "db.milvus.insert.collection_name",
            "db.milvus.query.collection_name",
            "db.milvus.search.collection_name",
            "db.milvus.upsert.collection_name",
            "db.operation",
            "db.system",
            "decision.model_name",
            "decision.provider",
            "decision.request.model_name",
            "decision.response.model_name",
            "decision.system",
            "embedding.model_name",
            "evaluation.annotator_kind",
            "evaluation.identifier",
            "evaluation.label",
            "evaluation.name",
            "evaluation.score",
            "gen_ai.agent.id",
            "gen_ai.agent.name",
            "gen_ai.agent.version",
            "gen_ai.conversation.id",
            "gen_ai.data_source.id",
            "gen_ai.embeddings.dimension.count",
            "gen_ai.evaluation.name",
            "gen_ai.evaluation.score.label",
            "gen_ai.evaluation.score.value",
            "gen_ai.is_streaming",
            "gen_ai.openai.api_base",
            "gen_ai.openai.api_type",
            "gen_ai.openai.api_version",
            "gen_ai.openai.request.response_format",
            "gen_ai.openai.request.seed",
            "gen_ai.openai.request.service_tier",
            "gen_ai.openai.response.service_tier",
            "gen_ai.openai.response.system_fingerprint",
            "gen_ai.openai.system_fingerprint",
            "gen_ai.operation.name",
            "gen_ai.output.type",
            "gen_ai.prompt.name",
            "gen_ai.provider.name",
            "gen_ai.request.choice.count",
            "gen_ai.request.encoding_formats",
            "gen_ai.request.frequency_penalty",
            "gen_ai.request.max_completion_tokens",
            "gen_ai.request.max_tokens",
            "gen_ai.request.model",
            "gen_ai.request.n",
            "gen_ai.request.presence_penalty",
            "gen_ai.request.reasoning_effort",
            "gen_ai.request.reasoning_summary",
            "gen_ai.request.repetition_penalty",
            "gen_ai.request.seed",
            "gen_ai.request.stream",
            "gen_ai.request.temperature",
            "gen_ai.request.top_k",
            "gen_ai.request.top_p",
            "gen_ai.response.finish_reason",
            "gen_ai.response.finish_reasons",
            "gen_ai.response.id",
            "gen_ai.response.model",
            "gen_ai.response.reasoning_effort",
            "gen_ai.response.stop_reason",
            "gen_ai.response.time_to_first_chunk",
            "gen_ai.system",
            "gen_ai.task.id",
            "gen_ai.task.kind",
            "gen_ai.task.name",
            "gen_ai.task.parent.id",
            "gen_ai.task.status",
            "gen_ai.token.type",
            "gen_ai.tool.call.id",
            "gen_ai.tool.name",
            "gen_ai.tool.type",
            "gen_ai.usage.token_type",
            "gen_ai.user",
            "gen_ai.workflow.name",
            "graph.node.id",
            "graph.node.name",
            "graph.node.parent_id",
            "input.mime_type",
            "langgraph.command.goto_node",
            "langgraph.command.goto_nodes",
            "langgraph.command.source_node",
            "llm.finish_reason",
            "llm.frequency_penalty",
            "llm.is_streaming",
            "llm.model_name",
            "llm.presence_penalty",
            "llm.prompt_template.version",
            "llm.provider",
            "llm.request.model_name",
            "llm.request.reasoning_effort",
            "llm.request.repetition_penalty",
            "llm.request.type",
            "llm.response.finish_reason",
            "llm.response.model_name",
            "llm.response.stop_reason",
            "llm.system",
            "llm.top_k",
            "llm.usage.token_type",
            "llm.user",
            "llm.watsonx.decoding_method",
            "llm.watsonx.max_new_tokens",
            "llm.watsonx.min_new_tokens",
            "llm.watsonx.random_seed",
            "llm.watsonx.repetition_penalty",
            "mcp.method.name",
            "mcp.protocol.version",
            "mcp.request.id",
            "mcp.session.id",
            "openai.api.type",
            "openai.request.service_tier",
            "openai.response.service_tier",
            "openai.response.system_fingerprint",
            "openinference.span.kind",
            "output.mime_type",
            "pinecone.query.id",
            "prompt.id",
            "prompt.vendor",
            "qdrant.search.collection_name",
            "qdrant.search_batch.collection_name",
            "qdrant.upload_collection.collection_name",
            "qdrant.upsert.collection_name",
            "reranker.model_name",
            "reranker.top_k",
            "session.id",
            "tool.id",
            "tool.name",
            "traceloop.correlation.id",
            "traceloop.entity.name",
            "traceloop.entity.path",
            "traceloop.entity.version",
            "traceloop.prompt.key",
            "traceloop.prompt.managed",
            "traceloop.prompt.version",
            "traceloop.prompt.version_hash",
            "traceloop.prompt.version_name",
            "traceloop.span.kind",
            "traceloop.workflow.name",
            "user.id",
        ]
    )


def test_every_name_that_counts_is_known_as_that() -> None:
    assert names_taken_for("count") == snapshot(
        [
            "db.chroma.add.documents_count",
            "db.chroma.add.embeddings_count",
            "db.chroma.add.ids_count",
            "db.chroma.add.metadatas_count",
            "db.chroma.delete.ids_count",
            "db.chroma.delete.where",
            "db.chroma.delete.where_document",
            "db.chroma.get.ids_count",
            "db.chroma.get.include",
            "db.chroma.get.limit",
            "db.chroma.get.offset",
            "db.chroma.get.where",
            "db.chroma.get.where_document",
            "db.chroma.modify.name",
            "db.chroma.peek.limit",
            "db.chroma.query.embeddings_count",
            "db.chroma.query.include",
            "db.chroma.query.n_results",
            "db.chroma.query.segment._query.collection_id",
            "db.chroma.query.texts_count",
            "db.chroma.query.where",
            "db.chroma.query.where_document",
            "db.chroma.update.documents_count",
            "db.chroma.update.embeddings_count",
            "db.chroma.update.ids_count",
            "db.chroma.update.metadatas_count",
            "db.chroma.upsert.documents_count",
            "db.chroma.upsert.embeddings_count",
            "db.chroma.upsert.metadatas_count",
            "db.milvus.create_collection.dimension",
            "db.milvus.create_collection.id_type",
            "db.milvus.create_collection.metric_type",
            "db.milvus.create_collection.primary_field",
            "db.milvus.create_collection.timeout",
            "db.milvus.create_collection.vector_field",
            "db.milvus.delete.filter",
            "db.milvus.delete.ids_count",
            "db.milvus.delete.partition_name",
            "db.milvus.delete.timeout",
            "db.milvus.get.ids_count",
            "db.milvus.get.output_fields_count",
            "db.milvus.get.partition_names_count",
            "db.milvus.get.timeout",
            "db.milvus.insert.data_count",
            "db.milvus.insert.partition_name",
            "db.milvus.insert.timeout",
            "db.milvus.query.filter",
            "db.milvus.query.ids_count",
            "db.milvus.query.limit",
            "db.milvus.query.output_fields_count",
            "db.milvus.query.partition_names_count",
            "db.milvus.query.timeout",
            "db.milvus.search.anns_field",
            "db.milvus.search.annsearch_request",
            "db.milvus.search.data_count",
            "db.milvus.search.filter",
            "db.milvus.search.limit",
            "db.milvus.search.output_fields_count",
            "db.milvus.search.partition_names",
            "db.milvus.search.partition_names_count",
            "db.milvus.search.query_vector_dimension",
            "db.milvus.search.ranker_type",
            "db.milvus.search.result_count",
            "db.milvus.search.search_params",
            "db.milvus.search.timeout",
            "db.milvus.upsert.data_count",
            "db.milvus.upsert.partition_name",
            "db.milvus.upsert.timeout",
            "db.query.result.distance",
            "db.query.result.score",
            "db.search.result.distance",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.completion_tokens",
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.prompt_tokens",
            "gen_ai.usage.reasoning.output_tokens",
            "gen_ai.usage.reasoning_tokens",
            "gen_ai.usage.total_tokens",
            "llm.cost.completion",
            "llm.cost.completion_details",
            "llm.cost.completion_details.audio",
            "llm.cost.completion_details.output",
            "llm.cost.completion_details.reasoning",
            "llm.cost.prompt",
            "llm.cost.prompt_details",
            "llm.cost.prompt_details.audio",
            "llm.cost.prompt_details.cache_input",
            "llm.cost.prompt_details.cache_read",
            "llm.cost.prompt_details.cache_write",
            "llm.cost.prompt_details.input",
            "llm.cost.total",
            "llm.usage.reasoning_tokens",
            "llm.usage.total_tokens",
            "pinecone.query.filter",
            "pinecone.query.include_metadata",
            "pinecone.query.include_values",
            "pinecone.query.namespace",
            "pinecone.query.queries",
            "pinecone.query.top_k",
            "pinecone.usage.read_units",
            "pinecone.usage.write_units",
            "qdrant.search_batch.requests_count",
            "qdrant.upload_collection.points_count",
            "qdrant.upsert.points_count",
        ]
    )


def test_only_names_that_every_database_has_are_neither() -> None:
    assert names_taken_for("other") == snapshot(
        [
            "db.vector.query.top_k",
            "decision.token_count.input",
            "decision.token_count.output",
            "llm.token_count.completion",
            "llm.token_count.completion_details.audio",
            "llm.token_count.completion_details.reasoning",
            "llm.token_count.prompt",
            "llm.token_count.prompt_details",
            "llm.token_count.prompt_details.audio",
            "llm.token_count.prompt_details.cache_input",
            "llm.token_count.prompt_details.cache_read",
            "llm.token_count.prompt_details.cache_write",
            "llm.token_count.total",
        ]
    )


def test_what_is_below_a_name_that_is_content_is_content() -> None:
    leaking = [
        name
        for name in ALL
        if taken_for(name) == "content" and Redactor().attributes({f"{name}.0.text": MARK, f"{name}.0.n": 1})[0]
    ]
    assert leaking == snapshot([])


#: Names that gateways and libraries use without a convention's package to look them up in.
UNPACKAGED = """
    gen_ai.memory.query.text gen_ai.memory.records gen_ai.prompt.0.content gen_ai.prompt.variable.city
    gen_ai.completion.0.content gen_ai.content.prompt gen_ai.content.completion gen_ai.event.content
    retrieval.documents.0.document.content llm.input_messages.0.message.content llm.request.functions.0.parameters
    llm.openai.messages llm.anthropic.system llm.azure.choices llm.openai.stringified_raw_response hidden_params
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
