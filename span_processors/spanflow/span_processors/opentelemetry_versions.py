"""What differs between the releases of OpenTelemetry that we work with: 1.28 with 0.49b0 up to the newest below 2.

All of it stands here, with the release that needs it, and is chosen at import. Types are those of the newest release.
Quick spans are no part of it: they compare what they need with what the SDK has (from 1.42 on), and leave it to make
its own spans where the two differ.
"""

import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeAlias, TypeVar

import orjson
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk import environment_variables
from opentelemetry.sdk._logs import export
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Tracer, TracerProvider, sampling
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes
from opentelemetry.version import __version__ as _api_version

if TYPE_CHECKING:
    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk._logs.export import LogRecordExporter as LogRecordExporter
    from opentelemetry.sdk._logs.export import LogRecordExportResult as LogRecordExportResult
    from opentelemetry.sdk.trace.sampling import AlwaysRecordSampler as AlwaysRecordSampler
else:
    # 1.39 gave both their names.
    LogRecordExporter = getattr(export, "LogRecordExporter", None) or export.LogExporter
    LogRecordExportResult = getattr(export, "LogRecordExportResult", None) or export.LogExportResult

P = ParamSpec("P")
M = TypeVar("M", bound=Mapping[str, Any])
#: Makes a processor of an exporter.
ProcessorOf: TypeAlias = Callable[[Any], Any]

_API: Final = tuple(int(number) for number in _api_version.split(".")[:2])
_LOG_DATA_BEFORE_1_39: Final = not hasattr(export, "LogRecordExporter")
#: 1.43 reads the file that OTEL_CONFIG_FILE names. Before, the variable means nothing.
_HAS_CONFIG_FILE: Final = hasattr(environment_variables, "OTEL_CONFIG_FILE")


#: What a log record has that says nothing. Before 1.30 exporters lose a batch with None in it.
NO_BODY: Final = None if _API >= (1, 30) else ""


def is_configured_by_file() -> bool:
    """Whether the SDK takes its configuration from a file, and from nothing else."""
    return _HAS_CONFIG_FILE and bool(os.environ.get("OTEL_CONFIG_FILE"))


class _AlwaysRecordSampler(Sampler):
    """1.45 has one. What the other sampler drops is recorded, and not exported."""

    def __init__(self, root: Sampler) -> None:
        self._root = root

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        result = self._root.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if result.decision is not Decision.DROP:
            return result
        return SamplingResult(Decision.RECORD_ONLY, result.attributes, result.trace_state)

    def get_description(self) -> str:
        return f"AlwaysRecordSampler{{{self._root.get_description()}}}"


if not TYPE_CHECKING:
    AlwaysRecordSampler = getattr(sampling, "AlwaysRecordSampler", _AlwaysRecordSampler)


def tracers_of(provider: TracerProvider) -> Iterable[Any]:
    """The tracers that this provider has made. 1.41 keeps a list; before, only the garbage collector has one.

    It is asked once, at start, for tens of milliseconds.
    """
    kept = getattr(provider, "_tracers", None)
    if kept is not None:
        return list(kept.values())
    processor = getattr(provider, "_active_span_processor", None)
    return [one for one in gc.get_objects() if type(one) is Tracer and one.span_processor is processor]


class _Carried(str):
    """A value that the SDK would refuse, as JSON for exporters; the value itself for us."""

    value: Any


def carrying(clean: Callable[P, Mapping[str, Any]]) -> Callable[P, Mapping[str, Any]]:
    """Decorates what makes attributes: mappings, lists in lists, bytes and None are refused before 1.45."""
    if _API >= (1, 45):
        return clean

    @wraps(clean)
    def carried(*args: P.args, **kwargs: P.kwargs) -> Mapping[str, Any]:
        return {key: _carried(value) for key, value in clean(*args, **kwargs).items()}

    return carried


def unpacking(read: Callable[P, M]) -> Callable[P, M]:
    """Decorates what reads attributes: the values themselves again."""
    if _API >= (1, 45):
        return read

    @wraps(read)
    def unpacked(*args: P.args, **kwargs: P.kwargs) -> M:
        attributes = read(*args, **kwargs)
        if not any(type(value) is _Carried for value in attributes.values()):
            return attributes
        whole: Any = {key: value.value if type(value) is _Carried else value for key, value in attributes.items()}
        return whole  # type: ignore[no-any-return]

    return unpacked


def _carried(value: Any) -> Any:
    if isinstance(value, str | bool | int | float) or _is_of_one_kind(value):
        return value
    carried = _Carried(orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS).decode())
    carried.value = value
    return carried


def _is_of_one_kind(value: Any) -> bool:
    """What every SDK takes: texts, or numbers of one type."""
    kinds = set(map(type, value)) if isinstance(value, list | tuple) else {object}
    return len(kinds) < 2 and kinds <= {str, bool, int, float}


def keep_children_instrumented() -> None:
    """Have Python processes that this one starts, such as uvicorn's workers, instrumented as well.

    The loader takes itself from PYTHONPATH while it loads. 0.63b0 puts itself back.
    """
    from opentelemetry.instrumentation import auto_instrumentation

    folder = os.path.dirname(os.path.abspath(auto_instrumentation.__file__))
    started_by = getattr(sys.modules.get("sitecustomize"), "__file__", None) or ""
    if hasattr(auto_instrumentation, "_initialize") or os.path.dirname(os.path.abspath(started_by)) != folder:
        return
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != folder]
    os.environ["PYTHONPATH"] = os.pathsep.join([folder, *others])


def resource_of(record: "ReadableLogRecord") -> Resource:
    """1.39 took the resource out of the record itself."""
    resource: Resource = record.log_record.resource if _LOG_DATA_BEFORE_1_39 else record.resource  # type: ignore[attr-defined]
    return resource


def event_name_of(record: "LogRecord") -> str | None:
    """1.35 gave log records the name of an event."""
    return getattr(record, "event_name", None)


def bounded_like(before: Any, attributes: Mapping[str, Any]) -> BoundedAttributes:
    """Attributes of a log record. Before 1.39 exporters ask them how many were dropped, whatever they are."""
    bounded: Any = BoundedAttributes(immutable=False)
    bounded._dict = dict(attributes)  # which have been let in once, by a rule that differs between records and spans
    bounded.dropped = getattr(before, "dropped", 0)
    own: BoundedAttributes = bounded
    return own


def rewritten(
    record: "ReadableLogRecord", log_record: "LogRecord", resource: Resource, scope: InstrumentationScope | None
) -> "ReadableLogRecord":
    """The same log record with other contents. `log_record` belongs to the caller."""
    if not _LOG_DATA_BEFORE_1_39:
        return type(record)(log_record, resource, scope, record.limits)
    # Their constructors differ and warn; their fields are the same.
    old: Any = copy(record)
    old.log_record, old.instrumentation_scope = log_record, scope
    old.log_record.resource = resource
    return old  # type: ignore[no-any-return]


def configuring_with(
    span_processor: ProcessorOf, log_processor: ProcessorOf, kwargs: dict[str, Any]
) -> AbstractContextManager[None]:
    """Within it the SDK's configuration gives its exporters to these, unless `kwargs` name others already."""
    from opentelemetry.sdk import _configuration as module

    if "export_span_processor" in signature(module._initialize_components).parameters:
        kwargs.setdefault("export_span_processor", span_processor)
        kwargs.setdefault("export_log_record_processor", log_processor)
        return nullcontext()
    return _replaced(module, {"BatchSpanProcessor": span_processor, "BatchLogRecordProcessor": log_processor})


@contextmanager
def _replaced(module: Any, replacements: dict[str, Any]) -> Iterator[None]:
    """Before 1.40 the configuration knows one class for each, by these names."""
    originals = {name: getattr(module, name) for name in replacements}
    vars(module).update(replacements)
    try:
        yield
    finally:
        vars(module).update(originals)
