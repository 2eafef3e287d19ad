"""Run inside a traced process: write down which tracing it got. `startup_probe.py <file for the answer> [module]`.

The module is imported first, as a gateway's own is: what it makes of OpenTelemetry is looked at as well.
"""

import importlib
import json
import os
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from opentelemetry import propagate, trace


def kind_of(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def processors_of(provider: object) -> Iterator[Any]:
    """The processors, out of the composites that hold them. The SDK has no public way to ask."""
    waiting = [getattr(provider, "_active_span_processor", None)]
    while waiting:
        processor = waiting.pop(0)
        inner = getattr(processor, "_span_processors", None)
        if inner is not None:
            waiting = [*inner, *waiting]
        elif processor is not None:
            yield processor


def exporter_of(processor: Any) -> Any:
    batch = getattr(processor, "_batch_processor", None)
    return getattr(processor, "span_exporter", None) or getattr(batch, "_exporter", None)


def describe(processor: Any) -> dict[str, Any]:
    exporter = exporter_of(processor)
    redacted = kind_of(exporter).startswith("spanflow.")
    real = getattr(exporter, "wrapped", exporter)
    endpoint = getattr(real, "_endpoint", "")
    return {
        "kind": kind_of(processor),
        "exporter": kind_of(real) if real is not None else "",
        "redacted": redacted,
        "endpoint": endpoint if isinstance(endpoint, str) else "",
    }


def import_error(module: str) -> str:
    """Import a module as servers do, from the present folder; what went wrong, in one line."""
    sys.path.insert(0, os.getcwd())
    try:
        importlib.import_module(module.partition(":")[0])
    except BaseException as why:  # a module that ends the process is one that cannot be looked at
        return f"{type(why).__name__}: {why}".partition("\n")[0]
    return ""


def unseen_providers(provider: object) -> list[dict[str, Any]]:
    """Tracer providers beside the global one whose spans do not come to us."""
    from spanflow.instrumentation.private_providers import is_recorded, providers

    return [
        {
            "kind": kind_of(other),
            "is_sdk": hasattr(other, "add_span_processor"),
            "exporters": sorted({describe(one)["exporter"] for one in processors_of(other)} - {""}),
        }
        for other in providers()
        if other is not provider and not is_recorded(other)
    ]


def unloadable() -> dict[str, str]:
    """Instrumentations that cannot be imported, by what they instrument. OpenTelemetry skips most without a word."""
    off = {word.strip() for word in os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")}
    problems: dict[str, str] = {}
    for point in () if "*" in off else entry_points(group="opentelemetry_instrumentor"):
        if point.name in off:
            continue
        try:
            point.load()
        except Exception as why:
            who = f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value
            problems[point.name] = f"{who} cannot be imported: {why}".partition("\n")[0]
    return problems


def main() -> None:
    failed = import_error(sys.argv[2]) if len(sys.argv) > 2 else ""
    provider: Any = trace.get_tracer_provider()
    propagator: Any = propagate.get_global_textmap()
    chosen = getattr(propagator, "wrapped", propagator)  # inside our guard
    inner = getattr(chosen, "_propagators", [chosen])
    resource = getattr(provider, "resource", None)
    answer = {
        "provider": kind_of(provider),
        "disabled": os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true",
        "sampler": provider.sampler.get_description() if hasattr(provider, "sampler") else "",
        "propagators": [kind_of(one) for one in inner],
        "propagation_works": propagator.extract({}) is not None,
        "processors": [describe(processor) for processor in processors_of(provider)],
        "unseen": unseen_providers(provider),
        "unloadable": unloadable(),
        "import_error": failed,
        "service": str(resource.attributes.get("service.name", "")) if resource is not None else "",
    }
    Path(sys.argv[1]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
