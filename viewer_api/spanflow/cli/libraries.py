"""Which gateways and libraries for models are installed beside us, and whether anything makes spans of their calls."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Final


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
    Library("openai", "openai", "openinference-instrumentation-openai"),
    Library("anthropic", "anthropic", "openinference-instrumentation-anthropic"),
)
#: Everything that `doctor` may name in a command.
ALL: Final = (*_GATEWAYS, *_CLIENTS)


def installed_gateways() -> list[Library]:
    return [library for library in _GATEWAYS if version_of(library)]


def models_asked() -> list[Library]:
    """What is installed here that asks models, and makes no spans of that by itself."""
    gateways = installed_gateways()
    clients = () if _LITELLM in gateways else [one for one in _CLIENTS if version_of(one)]
    return [library for library in (*gateways, *clients) if library.entry_point]


def not_instrumented() -> list[Library]:
    return [library for library in models_asked() if not is_instrumented(library)]


def is_instrumented(library: Library) -> bool:
    return bool(entry_points(group="opentelemetry_instrumentor", name=library.entry_point))


def install_command(libraries: Iterable[Library]) -> str:
    """One command, with Spanflow as it is here: pip then looks for releases that fit to what is installed."""
    return f"pip install spanflow=={version('spanflow')} " + " ".join(one.instrumentation for one in libraries)


def version_of(library: Library) -> str:
    try:
        return version(library.distribution)
    except PackageNotFoundError:
        return ""
