"""What the spans of well-known gateways are, by the names that these gateways give them, and which of them are noise.

A preset counts in a process that has imported its gateway, or where `SPANFLOW_GATEWAY` names it. It is the weakest
rule: what a span says of itself, the gateway's own rules and the conventions come first.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
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
    types: Mapping[str, str] = field(default_factory=dict)
    #: Rules of `noise.py`: what the gateway does by itself, again and again, for no request.
    noise: tuple[str, ...] = ()
    #: Its own trackers, which ours replace where `SPANFLOW_GATEWAY` names the gateway.
    flow_tracker: str = ""
    activity_tracker: str = ""

    @property
    def is_imported(self) -> bool:
        return self.package in sys.modules


PRESETS: Final = (
    GatewayPreset(
        "litellm",
        "litellm",
        {
            "auth": names.AUTH_CHECK,
            "auth /*": names.AUTH_CHECK,
            "litellm_request": names.LLM_THINKING,
            # Its newer callback starts them without attributes, and sets these when the answer is there.
            "chat *": names.LLM_THINKING,
            "text_completion *": names.LLM_THINKING,
            "guardrail": names.SECURITY_CHECK,
            "execute_guardrail*": names.SECURITY_CHECK,
        },
        (
            # Jobs: budgets, spend, locks, and the queries that they and the router make.
            *("reset_budget_job*", "batch_write_to_db*", "pod_lock_manager*", "*_spend_update_queue*"),
            *("redis", "redis *", "redis.*", "postgres", "postgres *", "postgres.*", "router", "self"),
            # Its newer callback makes no span for the request of a probe, but one for its authentication.
            *("auth /health", "auth /health/*", "auth /metrics", "auth /metrics/*"),
            # Prisma's query engine, which runs beside the proxy.
            *("@http.url:http://localhost:*", "@url.full:http://localhost:*", "@url.full:http://127.0.0.1:*"),
        ),
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
        ("gateway.health_check*", "/metrics/prometheus"),
    ),
    GatewayPreset("fastmcp", "fastmcp"),
    GatewayPreset(
        "omni2-bridge",
        "app.services.mcp_coordinator",
        flow_tracker="app.services.flow_tracker.FlowTracker",
        activity_tracker="app.services.activity_tracker.ActivityTracker",
    ),
)
WORDS: Final = (AUTO, OFF, *(preset.name for preset in PRESETS))


def wanted_presets(wanted: str) -> Iterator[GatewayPreset]:
    """Those that count in this process at this moment."""
    return (one for one in PRESETS if one.name == wanted or (wanted == AUTO and one.is_imported))


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
                if not self._forced and not preset.is_imported:
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
