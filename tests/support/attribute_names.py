"""The attribute names of the conventions that instrumentations of models, tools and retrieval follow, as installed."""

import inspect
from collections.abc import Iterator
from enum import Enum
from types import ModuleType

import pytest

# Beside an older OpenTelemetry there are only older conventions, which say nothing about ours.
openllmetry = pytest.importorskip("opentelemetry.semconv_ai")
pytest.importorskip("opentelemetry.semconv._incubating.attributes.mcp_attributes")

import openinference.semconv.trace as openinference  # noqa: E402
from opentelemetry.semconv._incubating.attributes import (  # noqa: E402
    gen_ai_attributes,
    mcp_attributes,
    openai_attributes,
)


def gen_ai_names() -> set[str]:
    """OpenTelemetry's own conventions."""
    modules = (gen_ai_attributes, mcp_attributes, openai_attributes)
    return {value for module in modules for name, value in vars(module).items() if name.isupper() and "." in str(value)}


def openinference_names() -> set[str]:
    return {name for kind, name in _constants(openinference) if kind.endswith("Attributes")}


def openllmetry_names() -> set[str]:
    return {name for kind, name in _constants(openllmetry) if kind.endswith("Attributes")}


def openllmetry_events() -> set[str]:
    return {name for kind, name in _constants(openllmetry) if kind == "Events"}


def _constants(module: ModuleType) -> Iterator[tuple[str, str]]:
    for kind, owner in vars(module).items():
        if inspect.isclass(owner) and owner.__module__ == module.__name__:
            for name, value in vars(owner).items():
                text = value.value if isinstance(value, Enum) else value
                if not name.startswith("_") and isinstance(text, str):
                    yield kind, text
