"""Which flows look like noise: requests of monitors, and what a gateway does by itself again and again.

A rule is a path, which counts for server spans that only read (`/healthz`, `/health/*`); an attribute and its value
(`@user_agent.original:kube-probe/*`); else a span's name. All of them may have `*`, and all speak of a flow's first
span.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import translate
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind

from spanflow.span_processors.encoding.gateway_presets import AUTO, wanted_presets
from spanflow.span_processors.settings import Settings

#: What every gateway may have.
GENERAL: Final = (
    *(
        "/health",
        "/health/*",
        "/healthz",
        "/healthz/*",
        "/livez",
        "/livez/*",
        "/readyz",
        "/readyz/*",
        "/ready",
        "/live",
    ),
    *("/metrics", "/metrics/", "/favicon.ico"),
    *("@user_agent.original:kube-probe/*", "@user_agent.original:Prometheus/*"),
    *("@user_agent.original:GoogleHC/*", "@user_agent.original:ELB-HealthChecker/*"),
)
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS: Final = ("http.request.method", "http.method")
_PATHS: Final = ("url.path", "http.target", "http.url", "http.route")
#: Older conventions for the same.
_ALSO: Final = {"user_agent.original": "http.user_agent"}
#: A query that belongs to no request.
_QUERY: Final = ("db.system.name", "db.system")


class _Rules(NamedTuple):
    paths: tuple[re.Pattern[str], ...]
    names: tuple[re.Pattern[str], ...]
    attributes: tuple[tuple[str, re.Pattern[str]], ...]
    #: The attributes that these are about. Most flows begin with none of them, which one look tells.
    places: frozenset[str]


class Noise:
    """The rules of one process. Asked once per flow, on the encoder's thread."""

    def __init__(self, gateway: str = AUTO, more: Iterable[str] = ()) -> None:
        self._gateway = gateway
        self._more = tuple(more)
        self._made: dict[tuple[str, ...], _Rules] = {}

    @classmethod
    def from_settings(cls, settings: Settings) -> "Noise | None":
        return cls(settings.gateway, settings.noise_rules) if settings.leave_out_noise else None

    def __call__(self, kind: SpanKind, name: str, attributes: Mapping[str, Any]) -> bool:
        """Whether a flow that begins with this span is noise if it ends well."""
        if kind is SpanKind.CLIENT and any(place in attributes for place in _QUERY):
            return True
        rules = self._rules()
        if not rules.places.isdisjoint(attributes) and any(
            _matches(attributes, place, pattern) for place, pattern in rules.attributes
        ):
            return True
        if any(pattern.match(name) for pattern in rules.names):
            return True
        if kind is not SpanKind.SERVER or _text(attributes, _METHODS) not in _READING:
            return False
        path = _path(attributes)
        return path is not None and any(pattern.match(path) for pattern in rules.paths)

    def _rules(self) -> _Rules:
        """Gateways are imported any time: the rules of those that are there now."""
        presets = [*wanted_presets(self._gateway)]
        key = tuple(preset.name for preset in presets)
        if key not in self._made:
            written = (*GENERAL, *self._more, *(rule for preset in presets for rule in preset.noise))
            self._made[key] = _compiled(written)
        return self._made[key]


def _compiled(rules: Iterable[str]) -> _Rules:
    paths: list[re.Pattern[str]] = []
    names: list[re.Pattern[str]] = []
    attributes: list[tuple[str, re.Pattern[str]]] = []
    for rule in rules:
        if rule.startswith("@"):
            attribute, _, pattern = rule.removeprefix("@").partition(":")
            attributes += ((place, _pattern(pattern)) for place in _places(attribute))
        else:
            (paths if rule.startswith("/") else names).append(_pattern(rule))
    return _Rules(tuple(paths), tuple(names), tuple(attributes), frozenset(place for place, _ in attributes))


def _places(attribute: str) -> Iterator[str]:
    yield attribute
    if (also := _ALSO.get(attribute)) is not None:
        yield also


def _pattern(rule: str) -> re.Pattern[str]:
    return re.compile(translate(rule), re.IGNORECASE)


def _matches(attributes: Mapping[str, Any], place: str, pattern: re.Pattern[str]) -> bool:
    value = attributes.get(place)
    return isinstance(value, str) and pattern.match(value) is not None


def _text(attributes: Mapping[str, Any], places: Iterable[str]) -> str | None:
    return next((value for place in places if isinstance(value := attributes.get(place), str)), None)


def _path(attributes: Mapping[str, Any]) -> str | None:
    value = _text(attributes, _PATHS)
    try:
        return None if value is None else urlsplit(value).path[:2048]
    except ValueError:  # such as a bracket that is never closed
        return None
