"""The names that well-known gateways give their spans, known where that gateway runs."""

import sys
from types import ModuleType

import pytest

from spanflow.span_processors.encoding.gateway_presets import PRESETS, WORDS
from spanflow.span_processors.encoding.mapping import SpanMapping
from spanflow.span_processors.setting_table import SettingsError
from spanflow.span_processors.settings import Settings


@pytest.mark.parametrize(
    ("gateway", "name", "expected"),
    [
        ("litellm", "auth /v1/chat/completions", "auth_check"),
        ("litellm", "execute_guardrail presidio", "security_check"),
        ("litellm", "litellm_request", "llm_thinking"),
        ("litellm", "chat gpt-4o", "llm_thinking"),
        ("litellm", "raw_gen_ai_request", "span"),
        ("contextforge", "tool.invoke", "tool_call"),
        ("contextforge", "plugin.execute", "security_check"),
        ("contextforge", "plugin.hook.invoke", "span"),
        ("contextforge", "litellm_request", "span"),
        ("off", "tool.invoke", "span"),
    ],
)
def test_a_gateway_that_is_named_has_its_names_known(gateway: str, name: str, expected: str) -> None:
    assert SpanMapping(gateway=gateway)(name, {}) == expected


def test_a_gateway_is_recognised_by_its_import_also_when_that_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mcpgateway", raising=False)
    mapping = SpanMapping()
    assert [mapping("tool.invoke", {}) for _ in range(2)] == ["span", "span"]
    monkeypatch.setitem(sys.modules, "mcpgateway", ModuleType("mcpgateway"))
    assert mapping("tool.invoke", {}) == "tool_call"


def test_it_is_the_weakest_rule() -> None:
    mapping = SpanMapping(["litellm_request=usage_check"], gateway="litellm")
    assert mapping("litellm_request", {}) == "usage_check"
    assert SpanMapping(gateway="litellm")("litellm_request", {"gen_ai.operation.name": "aembedding"}) == "embedding"
    inside = {"flow.checkpoint.within": "llm_thinking"}
    assert SpanMapping(gateway="litellm")("litellm_request", inside) == "span"


def test_the_setting_knows_every_preset() -> None:
    for word in WORDS:
        assert Settings.from_environ({"SPANFLOW_GATEWAY": word}).gateway == word
    with pytest.raises(SettingsError, match="use one of"):
        Settings.from_environ({"SPANFLOW_GATEWAY": "another"})
    assert len({preset.package for preset in PRESETS}) == len(PRESETS)
