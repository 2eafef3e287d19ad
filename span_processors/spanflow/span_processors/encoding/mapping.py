"""Which spans are checkpoints: rules over names and attributes, so that any OpenTelemetry instrumentation counts.

In this order: what the span says of itself (`flow.checkpoint.type`); the gateway's own rules; a name that is one of the
known types; what GenAI, MCP, OpenInference and OpenLLMetry instrumentations say; the preset of a well-known gateway.
Everything else is a plain span.
"""

import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.encoding.gateway_presets import AUTO, GatewayPresets
from spanflow.span_processors.event.conventions import type_by_convention
from spanflow.span_processors.setting_parsers import parse_rule
from spanflow.span_processors.settings import Settings

_LONGEST_TYPE: Final = 64
_REMEMBERED: Final = 4096


class SpanMapping:
    """The rules of one process. Called with a span's name and attributes; gives a checkpoint's type or `span`."""

    def __init__(self, rules: Iterable[str] = (), gateway: str = AUTO) -> None:
        self._by_name: list[tuple[re.Pattern[str], str]] = []
        self._by_attribute: list[tuple[str, re.Pattern[str], str]] = []
        for rule in rules:
            attribute, pattern, event_type = parse_rule(rule)
            matcher = re.compile(translate(pattern), re.IGNORECASE)
            if attribute is None:
                self._by_name.append((matcher, event_type))
            else:
                self._by_attribute.append((attribute, matcher, event_type))
        self._named: dict[str, str | None] = {}
        self._preset_type = GatewayPresets(gateway).type_of

    @classmethod
    def from_settings(cls, settings: Settings) -> "SpanMapping":
        return cls(settings.checkpoint_rules, settings.gateway)

    def __call__(self, name: str, attributes: Mapping[str, Any]) -> str:
        stated = attributes.get(names.ATTR_CHECKPOINT_TYPE)
        if type(stated) is str and 0 < len(stated) <= _LONGEST_TYPE:
            return stated
        for attribute, matcher, event_type in self._by_attribute:
            value = attributes.get(attribute)
            if value is not None and matcher.match(str(value)):
                return event_type
        named = self._named_type(name)
        if named is not None:
            return named
        conventional = type_by_convention(attributes) or self._preset_type(name)
        if conventional is None or conventional == attributes.get(names.ATTR_WITHIN):
            # Inside a checkpoint that says the same, an instrumentation's own span is a detail of it.
            return names.PLAIN_SPAN
        return conventional

    def _named_type(self, name: str) -> str | None:
        """What the name alone says. Names are few, so each is looked at once."""
        try:
            return self._named[name]
        except KeyError:
            if len(self._named) >= _REMEMBERED:
                self._named = {}
            verdict = self._named[name] = self._look_at(name)
            return verdict

    def _look_at(self, name: str) -> str | None:
        for matcher, event_type in self._by_name:
            if matcher.match(name):
                return event_type
        plain = re.sub(r"[\s.\-/:]+", "_", name.strip().lower())
        return plain if plain in names.CHECKPOINT_TYPES else None
