"""What the spans of well-known gateways are, by the names that these gateways give them.

A preset counts in a process that has imported its gateway, or where `SPANFLOW_GATEWAY` names it. It is the weakest
rule: what a span says of itself, the gateway's own rules and the conventions come first.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from typing import Final

from spanflow.span_processors import names

AUTO: Final = "auto"
OFF: Final = "off"
_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class GatewayPreset:
    """One gateway."""

    name: str
    #: Importing it means that the process is this gateway.
    package: str
    #: Pattern of a span's name → type, in order.
    types: Mapping[str, str]


PRESETS: Final = (
    GatewayPreset(
        "litellm",
        "litellm",
        {
            "auth": names.AUTH_CHECK,
            "auth /*": names.AUTH_CHECK,
            "litellm_request": names.LLM_THINKING,
            "guardrail": names.SECURITY_CHECK,
            "execute_guardrail*": names.SECURITY_CHECK,
        },
    ),
    GatewayPreset(
        "contextforge",
        "mcpgateway",
        {
            "tool.invoke": names.TOOL_CALL,
            "a2a.invoke": names.TOOL_CALL,
            "plugin.execute": names.SECURITY_CHECK,
            "prompt.render": names.PROMPT_GET,
            "resource.read": names.RESOURCE_READ,
            "llm.proxy": names.LLM_THINKING,
            "llm.chat": names.LLM_THINKING,
        },
    ),
)
WORDS: Final = (AUTO, OFF, *(preset.name for preset in PRESETS))


class GatewayPresets:
    """The presets that count in this process."""

    def __init__(self, wanted: str = AUTO) -> None:
        self._presets = [
            (preset, [(re.compile(translate(pattern)), event_type) for pattern, event_type in preset.types.items()])
            for preset in PRESETS
            if wanted in (AUTO, preset.name)
        ]
        self._forced = wanted != AUTO
        self._types: dict[str, str | None] = {}

    def type_of(self, name: str) -> str | None:
        """What a span of this name is; asked for every span, so answers are remembered."""
        try:
            return self._types[name]
        except KeyError:
            pass
        for preset, rules in self._presets:
            event_type = _first_match(rules, name)
            if event_type is not None:
                if not self._forced and preset.package not in sys.modules:
                    return None  # not remembered: it may be imported yet
                return self._remember(name, event_type)
        return self._remember(name, None)

    def _remember(self, name: str, event_type: str | None) -> str | None:
        if len(self._types) >= _REMEMBERED:
            self._types = {}
        self._types[name] = event_type
        return event_type


def _first_match(rules: Iterable[tuple[re.Pattern[str], str]], name: str) -> str | None:
    return next((event_type for pattern, event_type in rules if pattern.match(name)), None)
