"""Any OpenTelemetry span counts: rules from names and attributes to checkpoint types."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanflow.span_processors.encoding.mapping import SpanMapping
from spanflow.span_processors.names import CHECKPOINT_TYPES
from spanflow.span_processors.setting_table import SettingsError
from spanflow.span_processors.settings import Settings


@pytest.mark.parametrize("known", CHECKPOINT_TYPES)
def test_a_known_name_is_its_type(known: str) -> None:
    assert SpanMapping()(known, {}) == known


@pytest.mark.parametrize("name", ["auth-check", "Auth Check", "AUTH_CHECK", "auth.check"])
def test_spellings_of_a_known_name(name: str) -> None:
    assert SpanMapping()(name, {}) == "auth_check"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"flow.checkpoint.type": "cache_lookup"}, "cache_lookup"),
        ({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5"}, "llm_thinking"),
        ({"gen_ai.operation.name": "execute_tool"}, "tool_call"),
        *[
            ({"gen_ai.operation.name": operation}, event_type)
            for event_type, operations in {
                "agent": ["invoke_agent", "invoke_workflow", "create_agent"],
                "plan": ["plan"],
                "retrieval": ["retrieval", "rerank", "arerank"],
                "embedding": ["embeddings", "embedding", "aembedding"],
                "memory": [
                    "search_memory",
                    "create_memory",
                    "update_memory",
                    "upsert_memory",
                    "delete_memory",
                    "create_memory_store",
                    "delete_memory_store",
                ],
                "security_check": ["apply_guardrail"],
                "llm_thinking": ["completion", "acompletion", "responses", "aresponses", "anthropic_messages"],
                "tool_call": ["call_mcp_tool"],
                "span": ["fetch_response", "something_new"],
            }.items()
            for operation in operations
        ],
        ({"mcp.method.name": "prompts/get"}, "prompt_get"),
        ({"mcp.method.name": "resources/read"}, "resource_read"),
        ({"mcp.method.name": "elicitation/create"}, "elicitation"),
        ({"mcp.method.name": "tools/list"}, "span"),
        ({"mcp.method.name": "resources/subscribe"}, "span"),
        ({"openinference.span.kind": "AGENT"}, "agent"),
        ({"openinference.span.kind": "RETRIEVER"}, "retrieval"),
        ({"openinference.span.kind": "RERANKER"}, "retrieval"),
        ({"openinference.span.kind": "EMBEDDING"}, "embedding"),
        ({"openinference.span.kind": "CHAIN"}, "span"),
        ({"openinference.span.kind": "EVALUATOR"}, "span"),
        ({"traceloop.span.kind": "workflow"}, "agent"),
        ({"traceloop.span.kind": "agent"}, "agent"),
        ({"traceloop.span.kind": "task"}, "span"),
        ({"llm.request.type": "embedding"}, "embedding"),
        ({"llm.request.type": "rerank"}, "retrieval"),
        ({"gen_ai.guardrail.component.name": "pii"}, "security_check"),
        ({"litellm.guardrail.name": "pii"}, "security_check"),
        ({"mcp.method.name": "tools/call"}, "tool_call"),
        ({"mcp.method.name": "initialize"}, "span"),
        ({"openinference.span.kind": "LLM"}, "llm_thinking"),
        ({"openinference.span.kind": "GUARDRAIL"}, "security_check"),
        ({"llm.request.type": "chat"}, "llm_thinking"),
        ({"traceloop.span.kind": "tool"}, "tool_call"),
        ({"http.request.method": "POST"}, "span"),
        ({"db.system": "redis"}, "span"),
        ({"flow.checkpoint.type": 7}, "span"),
        ({"flow.checkpoint.type": ""}, "span"),
        ({"flow.checkpoint.type": "x" * 65}, "span"),
        ({"gen_ai.operation.name": ["chat"]}, "span"),
        ({"gen_ai.operation.name": "chat", "flow.checkpoint.within": "llm_thinking"}, "span"),
        ({"gen_ai.operation.name": "chat", "flow.checkpoint.within": "tool_call"}, "llm_thinking"),
    ],
)
def test_what_instrumentations_say_of_their_spans(attributes: dict[str, Any], expected: str) -> None:
    assert SpanMapping()("some name", attributes) == expected


def test_a_gateways_own_rules_come_first() -> None:
    settings = Settings.from_environ(
        {
            "SPANFLOW_CHECKPOINT_RULES": "check_token = auth_check; policy.*=block_check; "
            "@http.route:/guard/*=security_check; auth_check=span"
        }
    )
    mapping = SpanMapping.from_settings(settings)
    assert mapping("check_token", {}) == "auth_check"
    assert mapping("policy.country", {}) == "block_check"
    assert mapping("GET /guard/x", {"http.route": "/guard/x"}) == "security_check"
    assert mapping("auth_check", {}) == "span"
    assert mapping("auth_check", {"flow.checkpoint.type": "auth_check"}) == "auth_check"


@pytest.mark.parametrize(
    "rule", ["nonsense", "=auth_check", "name=", "name=Not A Type", "@attribute=auth_check", "@:x=y"]
)
def test_a_rule_that_is_none_is_said_at_start(rule: str) -> None:
    with pytest.raises(SettingsError, match="SPANFLOW_CHECKPOINT_RULES"):
        Settings.from_environ({"SPANFLOW_CHECKPOINT_RULES": rule})


@given(
    name=st.text(),
    attributes=st.dictionaries(
        st.sampled_from(["flow.checkpoint.type", "gen_ai.operation.name", "mcp.method.name", "x"]),
        st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text()), st.binary()),
    ),
)
def test_whatever_a_span_says_it_has_a_type(name: str, attributes: dict[str, Any]) -> None:
    mapping = SpanMapping(["a*=auth_check", "@x:*=block_check"])
    first = mapping(name, attributes)
    assert 0 < len(first) <= 64
    assert mapping(name, attributes) == first


def test_remembered_names_are_bounded() -> None:
    mapping = SpanMapping()
    for number in range(10_000):
        mapping(f"name {number}", {})
    assert len(mapping._named) <= 4096
