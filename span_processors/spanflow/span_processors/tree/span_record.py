"""One span out of all its events: a start, the last of what came after it, and log records about it.

Each of the two is the greatest of the events seen, under a total order; log records are a set. So the result depends
only on the *set* of events. A merged entry keeps enough (`late`, `was`, marks of records) to be taken apart into the
same parts again, so it is as good an input as the events it was made of.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias, cast

import orjson

from spanflow.span_processors import names
from spanflow.span_processors.event.canonical import canonical
from spanflow.span_processors.event.event import Event

#: A start, or what came last; without the fields that all events of a span share.
Part: TypeAlias = dict[str, Any]

_RANK: Final = {names.START: 0, names.UPDATE: 1, names.END: 2}
#: What comes in groups of keys, and the phase: not split field by field.
_GROUPS: Final = frozenset({"phase", "attributes", "types"})
_NOT_A_FIELD: Final = _GROUPS | {"v", "flow_id", "node_id", "late", "was"}
_EMPTY: Final[Part] = {}
#: An update that says nothing about the span itself.
_EMPTY_UPDATE: Final[Part] = {"phase": names.UPDATE}
_ATTRIBUTE: Final = "attributes/"
_TIME: Final = re.compile(r"[0-9]{1,20}")
#: Log records of one span; beyond, the earliest stay.
_MOST_RECORDS: Final = 1_000


class SpanRecord:
    """What is known about one span."""

    __slots__ = ("_entry", "last", "node_id", "records", "start")

    def __init__(self, node_id: str) -> None:
        self.node_id = node_id
        self.start: Part | None = None
        self.last: Part | None = None
        #: By their canonical bytes: the same one may come again.
        self.records: dict[bytes, Part] | None = None
        self._entry: Event | None = None

    def add(self, event: Event) -> None:
        """Take in an event or a merged entry of this span."""
        if event.get("logs") and (records := log_records(event)):
            self.records = {**(self.records or {}), **{canonical(record): record for record in records}}
            self._entry = None
        start, last = split(event)
        if start is not None and (self.start is None or _greater(start, self.start)):
            self.start, self._entry = start, None
        if last is not None and (self.last is None or _later(last, self.last)):
            self.last, self._entry = last, None

    def entry(self) -> Event:
        """The merged entry. It is shared: do not change it."""
        if self._entry is None:
            empty = self.records and self.last == _EMPTY_UPDATE
            self._entry = merged(self.node_id, self.start, None if empty else self.last)
            if self.records:
                self._entry = with_records(self._entry, self.records)
        return self._entry


def _later(one: Part, other: Part) -> bool:
    a, b = _RANK[one["phase"]], _RANK[other["phase"]]
    if a != b:
        return a > b
    a, b = _time(one), _time(other)
    if a != b:
        return a > b
    if other == _EMPTY_UPDATE:  # the least of all: entries that stand for log records alone do not keep it
        return one != _EMPTY_UPDATE
    return one != _EMPTY_UPDATE and _greater(one, other)


def _time(last: Part) -> int:
    return int(last.get("end_ns" if last["phase"] == names.END else "updated_ns") or 0)


def _greater(one: Part, other: Part) -> bool:
    return not _same_bytes(one, other) and canonical(one) > canonical(other)


def _same_bytes(one: Part, other: Part) -> bool:
    """The quick answer for the usual case, an event that came twice."""
    try:
        return orjson.dumps(one) == orjson.dumps(other)
    except TypeError:
        return False


def log_records(event: Event) -> list[Part]:
    """The log records about the span: what other programs said of it, beside its own logs."""
    return [cast(Part, log) for log in event.get("logs", ()) if log.get("record") is True]


def with_records(entry: Event, records: Mapping[bytes, Part]) -> Event:
    """The entry with log records about its span. A span of which nothing else is known is stood in for by them."""
    ordered = sorted(records.items(), key=lambda item: (moment_of(item[1]), item[0]))[:_MOST_RECORDS]
    logs = [record for _, record in ordered]
    if "phase" in entry:
        return cast(Event, {**entry, "logs": [*entry.get("logs", ()), *logs]})
    stub = {"stub": True, "phase": names.END, "event_type": names.PLAIN_SPAN, "name": str(logs[0].get("name", ""))}
    times = {"start_ns": str(moment_of(logs[0])), "end_ns": str(moment_of(logs[-1]))}
    return cast(Event, {**entry, **stub, **times, "logs": logs})


def moment_of(record: Part) -> int:
    """When it was written, in nanoseconds; 0 where that is not known."""
    time_ns = record.get("time_ns")
    return int(time_ns) if isinstance(time_ns, str) and _TIME.fullmatch(time_ns) else 0


def split(event: Event) -> tuple[Part | None, Part | None]:
    """The start and the last part that an event or a merged entry carries; log records are no part of them."""
    source = cast(Part, event)
    if event.get("logs") and len(own := [log for log in event["logs"] if log.get("record") is not True]) < len(
        event["logs"]
    ):
        if source.get("stub") is True:
            return None, None
        source = {key: value for key, value in source.items() if key != "logs"}
        if own:
            source["logs"] = own
        elif not isinstance(source.get("late"), list) and _whole(source) == _EMPTY_UPDATE:
            return None, None
    late = source.get("late")
    if source["phase"] == names.START:
        return _whole(source), None
    if not isinstance(late, list):
        return None, _whole(source)
    return _split_merged(source, {mark for mark in late if isinstance(mark, str)})


def _whole(source: Part) -> Part:
    return _part(source, source["phase"], source.get("attributes"), source.get("types"), source)


def _part(source: Part, phase: str, attributes: Any, types: Any, fields: Iterable[str]) -> Part:
    """A part in its one form: an empty group is left out, and so are types of attributes that are not there."""
    part = {key: source[key] for key in fields if key not in _NOT_A_FIELD and not key.startswith(_ATTRIBUTE)}
    if part.get("logs") == []:
        del part["logs"]
    part["phase"] = phase
    if attributes:
        part["attributes"] = attributes
        if types and (needed := {key: spec for key, spec in types.items() if key in attributes}):
            part["types"] = needed
    return part


def _split_merged(entry: Part, late: set[str]) -> tuple[Part, Part]:
    was = _object(entry.get("was"))
    groups: dict[str, tuple[Part, Part]] = {}
    for group in ("attributes", "types"):
        before: Part = {}
        after: Part = {}
        for key, value in (entry.get(group) or {}).items():
            (after if _ATTRIBUTE + key in late else before)[key] = value
        groups[group] = ({**before, **_object(was.get(group))}, after)
    start_fields = {**{key: value for key, value in entry.items() if key not in late}, **was}
    start = _part(start_fields, names.START, groups["attributes"][0], groups["types"][0], start_fields)
    last_fields = {key: value for key, value in entry.items() if key in late}
    return start, _part(last_fields, entry["phase"], groups["attributes"][1], groups["types"][1], last_fields)


def _object(value: Any) -> Part:
    return value if isinstance(value, dict) else {}


def merged(node_id: str, start: Part | None, last: Part | None) -> Event:
    """One entry for the two parts of a span: what came last wins, field by field and attribute by attribute."""
    if start is None or last is None:
        return cast(Event, {"node_id": node_id, **(start or last or {})})
    entry: Part = {"node_id": node_id, **start, **last}
    late = [field for field in last if field not in _GROUPS]
    was: Part = {field: start[field] for field in late if field in start}
    before: Part = start.get("attributes", _EMPTY)
    after: Part = last.get("attributes", _EMPTY)
    if before and after:
        entry["attributes"] = {**before, **after}
        late += [_ATTRIBUTE + key for key in after]
        if changed := {key: value for key, value in before.items() if key in after}:
            was["attributes"] = changed
    elif after:
        late += [_ATTRIBUTE + key for key in after]
    _merge_types(entry, start, last, was)
    late.sort()
    entry["late"] = late
    if was:
        entry["was"] = was
    return cast(Event, entry)


def _merge_types(entry: Part, start: Part, last: Part, was: Part) -> None:
    before: Part = start.get("types", _EMPTY)
    after: Part = last.get("types", _EMPTY)
    if not before and not after:
        return
    changed: Part = last.get("attributes", _EMPTY)
    kept = {key: spec for key, spec in before.items() if key not in changed}
    if types := {**kept, **after}:
        entry["types"] = types
    else:
        del entry["types"]
    if shadowed := {key: spec for key, spec in before.items() if key in changed}:
        was["types"] = shadowed
