"""The services of a flow, what each of them does, and who calls whom: counted with the flow's other numbers."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import orjson

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.otlp.otlp_writer import service_of

_MAX_NAME: Final = 200


class Operation(NamedTuple):
    """What a service does, by the name of its spans; of one span kind, `""` where it is not known."""

    service: str
    name: str
    kind: str


class Call(NamedTuple):
    """One service that calls another."""

    parent: str
    child: str


def operations_of(entries: Iterable[Event], processes: Mapping[str, Any]) -> set[Operation]:
    """Each once, however many spans tell of it."""
    services = _Services(processes)
    return {
        Operation(services[entry.get("process", "")], entry.get("name", "")[:_MAX_NAME], _kind(entry))
        for entry in entries
    }


def calls_of(entries: Iterable[Event], processes: Mapping[str, Any]) -> Counter[Call]:
    """Spans whose parent is another service's."""
    services = _Services(processes)
    if len(processes) < 2:
        return Counter()
    entries = list(entries)
    whose = {entry["node_id"]: services[entry.get("process", "")] for entry in entries}
    calls: Counter[Call] = Counter()
    for entry in entries:
        parent = whose.get(entry.get("parent_id") or "")
        child = whose[entry["node_id"]]
        if parent is not None and parent != child:
            calls[Call(parent, child)] += 1
    return calls


def written(named: Operation | Call) -> str:
    """As one text."""
    return orjson.dumps(tuple(named)).decode()


def read_operation(text: str) -> Operation:
    return Operation(*orjson.loads(text))


def read_call(text: str) -> Call:
    return Call(*orjson.loads(text))


class _Services(dict[str, str]):
    """The service of each process."""

    def __init__(self, processes: Mapping[str, Any]) -> None:
        super().__init__({key: _named(about) for key, about in processes.items()})

    def __missing__(self, process: str) -> str:
        self[process] = name = _named({})
        return name


def _kind(entry: Event) -> str:
    kind = entry.get("kind", "")
    return "" if kind == names.KIND_UNSPECIFIED else kind


def _named(process: Any) -> str:
    return service_of(process)[:_MAX_NAME]
