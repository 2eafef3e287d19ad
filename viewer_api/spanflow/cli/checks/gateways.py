"""Which gateways are installed beside us, by which preset they are known, and what is missing to see their calls."""

from collections.abc import AsyncIterator
from typing import Final

from spanflow.cli.checks.finding import Finding, Situation, note, ok, warning
from spanflow.cli.libraries import (
    Library,
    install_command,
    installed_gateways,
    is_instrumented,
    models_asked,
    not_instrumented,
    version_of,
)
from spanflow.span_processors.encoding.gateway_presets import AUTO, OFF, PRESETS

_FITTING_RELEASES: Final = (
    "Install releases that fit together; opentelemetry-instrumentation-openai-v2 2.4b0 needs "
    "'opentelemetry-util-genai<1'."
)
_PACKAGES: Final = {"litellm": "litellm", "mcp-contextforge-gateway": "contextforge"}


class Gateway:
    """Says by which preset a gateway is known. Without instrumentation of its model calls a flow is one span."""

    title = "gateway"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        wanted = AUTO if situation.gateway is None else situation.gateway.gateway
        gateways = installed_gateways()
        presets = [_PACKAGES.get(library.distribution, library.distribution) for library in gateways]
        if wanted not in (AUTO, OFF, *presets):
            yield ok(f"the preset {wanted} is on (SPANFLOW_GATEWAY), whichever gateway this is")
        elif not gateways:
            yield ok("no gateway is installed here that has names of its own for spans")
        for library in gateways:
            yield ok(f"{library.distribution} {version_of(library)}{_preset(library, wanted)}")
        broken = {} if situation.startup is None else situation.startup.unloadable
        for library in models_asked():
            if library.entry_point in broken:
                yield warning(
                    f"calls of {library.distribution} are not seen: {broken[library.entry_point]}", _FITTING_RELEASES
                )
            elif is_instrumented(library):
                yield ok(f"calls of {library.distribution} are instrumented")
        if missing := not_instrumented():
            yield note(
                f"nothing makes spans of what {' and '.join(one.distribution for one in missing)} asks models, "
                "so such a flow is one span",
                install_command(missing),
            )


def _preset(library: Library, wanted: str) -> str:
    preset = _PACKAGES.get(library.distribution)
    if preset is None:
        return ", which makes spans by the conventions"
    in_use = any(one.name == preset for one in PRESETS) and wanted in (AUTO, preset)
    return f", known by the preset {preset}" if in_use else f"; its preset is off (SPANFLOW_GATEWAY={wanted})"
