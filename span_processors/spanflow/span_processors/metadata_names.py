"""Which attributes hold metadata, and which namespaces otherwise hold what people and models said.

Names of libraries whose attributes carry prompts and answers are not to be trusted one by one: a new release brings new
ones. So in their namespaces all that is not listed as metadata counts as content. A test holds the lists against the
conventions' own packages.
"""

import re
from typing import Any, Final

from spanflow.span_processors import names

#: Attributes that name, count or measure something, outside of the namespaces below.
_GENERAL: Final = frozenset(
    {
        names.ATTR_USER_ID,
        names.ATTR_USER_EMAIL,
        names.ATTR_USER_FULL_NAME,
        names.ATTR_USER_TEAM,
        *names.USER_ID_ALIASES,
        *names.USER_EMAIL_ALIASES,
        *names.SESSION_ID_ALIASES,
        names.ATTR_SESSION_ID,
        names.ATTR_CONVERSATION_ID,
        names.ATTR_CHECKPOINT_TYPE,
        names.ATTR_WITHIN,
        names.ATTR_REPORTED,
        names.ATTR_FLOW_SESSION_ID,
        names.ATTR_SOURCE,
        names.ATTR_OUTCOME,
        names.ATTR_MONITORED,
        names.ATTR_REDACTED,
        "client.port",
        "code.function.name",
        "db.collection.name",
        "db.namespace",
        "db.operation",
        "db.operation.name",
        "db.response.returned_rows",
        "db.response.status_code",
        "db.system",
        "db.system.name",
        "enduser.id",
        "enduser.pseudo.id",
        "error.type",
        "exception.type",
        "http.method",
        "http.request.body.size",
        "http.request.method",
        "http.request.resend_count",
        "http.response.body.size",
        "http.response.status_code",
        "http.route",
        "http.scheme",
        "http.status_code",
        "jsonrpc.protocol.version",
        "jsonrpc.request.id",
        "log.severity",
        "message.compressed_size",
        "message.id",
        "message.type",
        "message.uncompressed_size",
        "messaging.operation.type",
        "messaging.system",
        "net.peer.name",
        "net.peer.port",
        "network.peer.port",
        "network.protocol.name",
        "network.protocol.version",
        "network.transport",
        "rpc.grpc.status_code",
        "rpc.jsonrpc.error_code",
        "rpc.method",
        "rpc.response.status_code",
        "rpc.service",
        "rpc.system",
        "server.address",
        "server.port",
        "thread.id",
        "url.scheme",
    }
)
#: OpenTelemetry's conventions for GenAI and MCP, and what instrumentations add under the same names.
_GEN_AI: Final = frozenset(
    {
        "gen_ai.agent.id",
        "gen_ai.agent.name",
        "gen_ai.agent.version",
        "gen_ai.conversation.compacted",
        "gen_ai.data_source.id",
        "gen_ai.embeddings.dimension.count",
        "gen_ai.evaluation.name",
        "gen_ai.evaluation.score.label",
        "gen_ai.evaluation.score.value",
        "gen_ai.guardrail.component.name",
        "gen_ai.guardrail.policy.id",
        "gen_ai.guardrail.policy.version",
        "gen_ai.guardrail.result.reason",
        "gen_ai.guardrail.result.type",
        "gen_ai.guardrail.result.value",
        "gen_ai.guardrail.source",
        "gen_ai.is_streaming",
        "gen_ai.memory.record.count",
        "gen_ai.memory.record.id",
        "gen_ai.memory.store.id",
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
        "gen_ai.prompt.version",
        "gen_ai.provider.name",
        "gen_ai.request.choice.count",
        "gen_ai.request.encoding_formats",
        "gen_ai.request.frequency_penalty",
        "gen_ai.request.max_completion_tokens",
        "gen_ai.request.max_tokens",
        "gen_ai.request.model",
        "gen_ai.request.n",
        "gen_ai.request.presence_penalty",
        "gen_ai.request.previous_response.id",
        "gen_ai.request.reasoning.level",
        "gen_ai.request.reasoning_effort",
        "gen_ai.request.reasoning_summary",
        "gen_ai.request.repetition_penalty",
        "gen_ai.request.seed",
        "gen_ai.request.stream",
        "gen_ai.request.stream_cursor",
        "gen_ai.request.temperature",
        "gen_ai.request.top_k",
        "gen_ai.request.top_p",
        "gen_ai.response.finish_reason",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.id",
        "gen_ai.response.model",
        "gen_ai.response.reasoning_effort",
        "gen_ai.response.status",
        "gen_ai.response.stop_reason",
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.retrieval.top_k",
        "gen_ai.server.time_to_first_token",
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
        "gen_ai.workflow.name",
        "mcp.method.name",
        "mcp.protocol.version",
        "mcp.request.id",
        "mcp.server.name",
        "mcp.session.id",
        "mcp.tool.name",
        "openai.api.type",
        "openai.request.service_tier",
        "openai.response.service_tier",
        "openai.response.system_fingerprint",
    }
)
#: OpenInference, OpenLLMetry, LiteLLM, Langfuse and the Vercel AI SDK.
_LIBRARIES: Final = frozenset(
    {
        "agent.name",
        "ai.finishReason",
        "ai.model.id",
        "ai.model.provider",
        "ai.operationId",
        "ai.response.avgCompletionTokensPerSecond",
        "ai.response.avgOutputTokensPerSecond",
        "ai.response.finishReason",
        "ai.response.id",
        "ai.response.model",
        "ai.response.msToFinish",
        "ai.response.msToFirstChunk",
        "ai.response.timestamp",
        "ai.settings.maxOutputTokens",
        "ai.settings.maxRetries",
        "ai.settings.maxSteps",
        "ai.telemetry.functionId",
        "ai.toolCall.id",
        "ai.toolCall.name",
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
        "db.vector.query.top_k",
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
        "graph.node.id",
        "graph.node.name",
        "graph.node.parent_id",
        "guardrail_action",
        "guardrail_mode",
        "guardrail_name",
        "guardrail_status",
        "input.mime_type",
        "langfuse.environment",
        "langfuse.internal.as_root",
        "langfuse.observation.completion_start_time",
        "langfuse.observation.level",
        "langfuse.observation.model.name",
        "langfuse.observation.prompt.name",
        "langfuse.observation.prompt.version",
        "langfuse.observation.type",
        "langfuse.release",
        "langfuse.session.id",
        "langfuse.trace.name",
        "langfuse.trace.public",
        "langfuse.user.id",
        "langfuse.version",
        "langgraph.command.goto_node",
        "langgraph.command.goto_nodes",
        "langgraph.command.source_node",
        "litellm.call_id",
        "litellm.end_user.id",
        "litellm.guardrail.mode",
        "litellm.guardrail.name",
        "litellm.guardrail.provider",
        "litellm.guardrail.status",
        "litellm.metadata.user_api_key_end_user_id",
        "litellm.metadata.user_api_key_team_alias",
        "litellm.metadata.user_api_key_team_id",
        "litellm.metadata.user_api_key_user_id",
        "litellm.model",
        "litellm.model_group",
        "litellm.model_id",
        "litellm.organization.id",
        "litellm.provider",
        "litellm.request.type",
        "litellm.team.alias",
        "litellm.team.id",
        "litellm.user.id",
        "litellm.version",
        "llm.finish_reason",
        "llm.frequency_penalty",
        "llm.is_streaming",
        "llm.model_name",
        "llm.presence_penalty",
        "llm.prompt_template.version",
        "llm.provider",
        "llm.request.model",
        "llm.request.model_name",
        "llm.request.reasoning_effort",
        "llm.request.repetition_penalty",
        "llm.request.type",
        "llm.response.finish_reason",
        "llm.response.model",
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
        "metadata.user_api_key_alias",
        "metadata.user_api_key_end_user_id",
        "metadata.user_api_key_org_id",
        "metadata.user_api_key_team_alias",
        "metadata.user_api_key_team_id",
        "metadata.user_api_key_user_email",
        "metadata.user_api_key_user_id",
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
    }
)
#: All attributes that are metadata whatever they say.
METADATA: Final = _GENERAL | _GEN_AI | _LIBRARIES
#: Under these, numbers are metadata: counts and prices, whatever they are called next year.
COUNTS: Final = (
    "ai.usage.",
    "db.chroma.",
    "db.milvus.",
    "db.query.result.distance",
    "db.query.result.score",
    "db.search.result.distance",
    "decision.token_count.",
    "gen_ai.cost.",
    "gen_ai.usage.",
    "litellm.cost.",
    "litellm.usage.",
    "llm.cost.",
    "llm.token_count.",
    "llm.usage.",
    "pinecone.",
    "qdrant.",
)
#: Namespaces of instrumentations for models, tools and retrieval.
_NAMESPACES: Final = frozenset(
    """
    agent ai annotation anthropic audio crewai db.chroma db.marqo db.milvus db.query.embeddings db.query.result
    db.search db.vector decision embedding evaluation gen_ai graph haystack image langchain langfuse langgraph litellm
    llama_index llm mcp message_content openai openinference pinecone prompt pydantic_ai qdrant reranker retrieval tag
    tool tool_call traceloop video
    """.split()
)
#: Attributes of theirs that hold content themselves, and so does all that is below them.
_CONTENT: Final = frozenset(
    """
    all_messages_events annotations completion document evaluations final_result guardrail_response hidden_params input
    message metadata model_request_parameters output session.annotations session.evaluations tool_arguments
    tool_response trace.annotations trace.evaluations
    """.split()
)
_PREFIXES: Final = _NAMESPACES | _CONTENT
_MOST_PARTS: Final = max(namespace.count(".") for namespace in _PREFIXES) + 1
#: Words of a checkpoint's own data (`checkpoint("tool_call", mcp="qa")`) that name, count or measure.
METADATA_WORDS: Final = frozenset(
    """
    allowed attempt attempts available blocked bytes cache_write_tokens cached cached_tokens call_id cost count
    duration_ms error_type finish_reason finish_reasons gate input_tokens kept limit max_tokens mcp mcp_server
    method model output_tokens passed protocol_version provider remaining request_id response_id response_model
    retries role rows safe scanner score server server_address size status status_code temperature threshold
    time_to_first_token_ms tokens tokens_used tool tool_name tool_type tools total_tokens transport used version
    """.split()
)
#: What a word of a checkpoint's data ends in when it holds what was said: `question`, `user_message`, `toolArgs`.
_SAID: Final = frozenset(
    """
    answer answers arg args argument arguments body choices chunk chunks completion completions content contents context
    document documents history input inputs instruction instructions kwargs message messages output outputs param
    parameter parameters params passage passages payload prompt prompts queries query question questions reasoning
    replies reply response responses result results snippet snippets text texts thinking thought thoughts transcript
    utterance
    """.split()
)
_LAST_WORD: Final = re.compile(r"([A-Z]?[a-z]+|[A-Z]+)[0-9_]*\Z")


def is_metadata(key: str, value: Any) -> bool:
    """Whether an attribute holds metadata, by the lists above."""
    return key in METADATA or (key.startswith(COUNTS) and is_number(value))


def is_number(value: Any) -> bool:
    """A number, also one that stands in JSON as a text because JavaScript would round it."""
    return isinstance(value, int | float) or (isinstance(value, str) and value.isdecimal() and len(value) <= 20)


def in_model_namespace(name: str) -> bool:
    """Whether an attribute or an event is named by an instrumentation of models, tools or retrieval."""
    end = -1
    for _ in range(_MOST_PARTS):
        end = name.find(".", end + 1)
        if end < 0:
            return name in _CONTENT
        if name[:end] in _PREFIXES:
            return True
    return False


def is_said(word: str) -> bool:
    """Whether an attribute of a checkpoint's own data holds content."""
    if word in METADATA_WORDS:
        return False
    last = _LAST_WORD.search(word[-64:])
    return last is not None and last[1].lower() in _SAID
