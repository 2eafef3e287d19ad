"""Which gateways and libraries for models are installed beside us, and whether anything makes spans of their calls."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Final

from spanflow.cli.checks.finding import Finding, Situation, note, ok
from spanflow.span_processors.encoding.gateway_presets import AUTO, PRESETS


@dataclass(frozen=True, slots=True)
class Library:
    """Something whose calls of models and tools are steps worth seeing."""

    distribution: str
    #: The name that its instrumentations have among OpenTelemetry's entry points; none if it makes spans by itself.
    entry_point: str = ""
    #: What to install where there is none.
    instrumentation: str = ""


_LITELLM: Final = Library("litellm", "litellm", "openinference-instrumentation-litellm")
_GATEWAYS: Final = (_LITELLM, Library("mcp-contextforge-gateway"), Library("fastmcp"))
#: LiteLLM calls models by openai's client itself, so these matter only without it.
_CLIENTS: Final = (
    Library("openai", "openai", "opentelemetry-instrumentation-openai-v2"),
    Library("anthropic", "anthropic", "opentelemetry-instrumentation-anthropic"),
)
_PACKAGES: Final = {"litellm": "litellm", "mcp-contextforge-gateway": "contextforge"}


class Gateway:
    """Says by which preset a gateway is known. Without instrumentation of its model calls a flow is one span."""

    title = "gateway"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        wanted = AUTO if situation.gateway is None else situation.gateway.gateway
        gateways = [library for library in _GATEWAYS if _version(library.distribution)]
        if not gateways:
            yield ok("no gateway is installed here that has names of its own for spans")
        for library in gateways:
            yield ok(f"{library.distribution} {_version(library.distribution)}{_preset(library, wanted)}")
        clients = () if _LITELLM in gateways else [one for one in _CLIENTS if _version(one.distribution)]
        traced = {point.name for point in entry_points(group="opentelemetry_instrumentor")}
        missing = []
        for library in (*gateways, *clients):
            if library.entry_point and library.entry_point not in traced:
                missing.append(library)
            elif library.entry_point:
                yield ok(f"calls of {library.distribution} are instrumented")
        if missing:
            yield note(
                f"nothing makes spans of what {' and '.join(one.distribution for one in missing)} asks models, "
                "so such a flow is one span",
                "pip install " + " ".join(one.instrumentation for one in missing),
            )


def _preset(library: Library, wanted: str) -> str:
    preset = _PACKAGES.get(library.distribution)
    if preset is None:
        return ", which makes spans by the conventions"
    known = any(one.name == preset for one in PRESETS) and wanted in (AUTO, preset)
    return f", known by the preset {preset}" if known else f"; its preset is off (SPANFLOW_GATEWAY={wanted})"


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
