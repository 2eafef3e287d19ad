"""What `spanflow run` says before it becomes the gateway: what will be traced, where it goes, and where to look."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

from spanflow.cli.libraries import install_command, installed_gateways, not_instrumented
from spanflow.cli.python_program import PythonProgram
from spanflow.cli.running_stack import running_directory
from spanflow.instrumentation.first_flow import FIRST_FLOW
from spanflow.span_processors.settings import Settings

_DISABLED: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
_MOST: Final = 8


def announcement(program: str, python: PythonProgram, settings: Settings, viewer: str) -> Iterator[str]:
    """Three lines."""
    yield _what(os.path.basename(program), python)
    yield _where(settings)
    if viewer:
        yield f"look at them on {viewer}; the first one is said here with its link"
    else:
        yield "look at them with `spanflow serve`; the first one is said here"


def viewer_address(environ: Mapping[str, str], settings: Settings) -> str:
    """The viewer that this machine's or the environment's settings name; empty where none does."""
    for name in ("SPANFLOW_URL", "SPANFLOW_VIEWER_PUBLIC_URL"):
        if (url := environ.get(name, "").strip().rstrip("/")).startswith(("http://", "https://")):
            return url
    offered = running_directory(settings, environ).viewer()
    return offered[0].rstrip("/") if offered else ""


def first_flow_mark(viewer: str) -> dict[str, str]:
    """What tells the gateway's processes to say the first flow; the one that removes the file says it.

    This process becomes the gateway. At its end it removes what is left.
    """
    try:
        descriptor, mark = tempfile.mkstemp(prefix="spanflow-run-")
        os.close(descriptor)
    except OSError:
        return {}
    return {FIRST_FLOW: json.dumps({"mark": mark, "viewer": viewer, "process": os.getpid()})}


def _what(program: str, python: PythonProgram) -> str:
    if python.interpreter is None:
        return f"{program} is not a Python program: the Python programs that it starts are traced"
    traced = f"traces {program}: {_instrumented()}"
    if gateways := [library.distribution for library in installed_gateways()]:
        traced += f"; gateway: {', '.join(gateways)}"
    if missing := not_instrumented():
        asked = " and ".join(one.distribution for one in missing)
        traced += f"; what {asked} asks models is not seen: {install_command(missing)}"
    return traced


def _instrumented() -> str:
    """The libraries of which there are spans, as far as they are installed here."""
    off = {word.strip() for word in os.environ.get(_DISABLED, "").split(",")}
    if "*" in off:
        return "your own spans and checkpoints"
    names = sorted({point.name for point in entry_points(group="opentelemetry_instrumentor")} - off)
    there = [name for name in names if _is_there(name.partition("-")[0].replace("-", "_"))]
    shown, more = there[:_MOST], len(there) - _MOST
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "") if shown else "your own spans and checkpoints"


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _where(settings: Settings) -> str:
    places = []
    if settings.mirror_enabled:
        places.append(f"Redis {_place(settings.redis_url)}")
    if settings.archive_enabled:
        places.append(f"Postgres {_place(settings.postgres_dsn)}")
    if endpoint := os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or os.environ.get(
        "OTEL_EXPORTER_OTLP_ENDPOINT"
    ):
        places.append(f"OTLP {_place(endpoint)}")
    return f"flows go to {', '.join(places)}" if places else "flows go nowhere: Redis and Postgres are switched off"


def _place(url: str) -> str:
    """An address without user, password and options."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "(an address that cannot be read)"
    if not host:
        return f"{parts.path if parts.scheme.startswith('unix') else parts.path.lstrip('/')} by a socket"
    return (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "") + parts.path.rstrip("/")
