"""The stored document of a flow: `flow_data` in Postgres, built, read and merged.

Merging is as order-free as the reducer: whichever processes and viewers write their parts, in whatever order and
however often, the row ends up the same.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypedDict, cast

from spanflow.span_processors.event.canonical import canonical
from spanflow.span_processors.event.event import Event, EventError, checked
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.ids import MAX_ID_LENGTH, id_or_none, shown_id
from spanflow.span_processors.tree.flow_identity import identity_of_flow, made_identity
from spanflow.span_processors.tree.flow_times import outside_count
from spanflow.span_processors.tree.reducer import FlowReducer
from spanflow.span_processors.tree.tree import in_start_order


class FlowData(TypedDict, total=False):
    """One flow as it is stored. `events` has one merged entry per span, in start order, without `flow_id`."""

    session_id: str | int | None
    user_id: str | int | None
    conversation_id: str | int | None
    flow_id: str | None
    #: By instance id: the process's `resource`, `scopes` and policy for `content` (which stand here once, not in each
    #: event), and `cut`.
    processes: dict[str, Any]
    #: What gateways knew of the flow's owner beside its spans (which may have lost it to an attribute limit).
    stated: dict[str, str]
    #: How many spans lie outside of their flow, because some clock was wrong.
    outside_flow: int
    events: list[Event]


#: How deep `processes` is merged member by member; what lies deeper is one value.
_MERGE_DEPTH: Final = 5
_IDS: Final = ("session_id", "user_id", "conversation_id")
_OWN_KEYS: Final = (*_IDS, "flow_id", "processes", "stated", "outside_flow", "events")
_NOT_STORED: Final = frozenset({"v", "flow_id"})
#: The same people, sessions and conversations come again and again. Only what is short is remembered.
_shown: Final = lru_cache(maxsize=4096)(shown_id)
_read_id: Final = lru_cache(maxsize=4096)(id_or_none)


def build(
    flow_id: str | None,
    entries: Iterable[Event],
    *,
    identity: Identity | None = None,
    processes: Mapping[str, Any] | None = None,
) -> FlowData:
    """The document of one flow. `identity` is what is known beside the spans' own attributes, which count more."""
    return _built(flow_id, entries, _ids_of(identity or NOBODY), processes or {})


def _built(
    flow_id: str | None, entries: Iterable[Event], stated: Mapping[str, str], processes: Mapping[str, Any]
) -> FlowData:
    events = in_start_order(entries)
    if any(["v" in entry or "flow_id" in entry for entry in events]):
        events = [_stored(entry) for entry in events]
    whose = identity_of_flow(events, Identity(**stated) if stated else NOBODY)
    document: FlowData = {
        "session_id": _shown(whose.session_id),
        "user_id": _shown(whose.user_id),
        "conversation_id": _shown(whose.conversation_id),
        "flow_id": flow_id,
        "processes": dict(processes),
        "events": events,
    }
    if stated:
        document["stated"] = dict(stated)
    if outside := outside_count(events):
        document["outside_flow"] = outside
    return document


def _ids_of(identity: Identity) -> dict[str, str]:
    return {field: value for field in _IDS if (value := getattr(identity, field)) is not None}


def _stated_in(document: Mapping[str, Any]) -> dict[str, str]:
    """What was stated beside the spans. A document of an older gateway has nothing but that."""
    if "processes" not in document:
        return _ids_of(identity_in_document(document))
    stated = document.get("stated")
    return _ids_of(identity_in_document(stated)) if isinstance(stated, Mapping) else {}


def read(document: object) -> FlowReducer:
    """A reducer with everything a stored document holds. Documents of gateways older than Spanflow are read too;
    an event that cannot be read is left out."""
    reducer = FlowReducer()
    for event in events_in(document):
        try:
            reducer.add(event)
        except EventError:
            continue
    return reducer


def entries_in(document: object) -> list[Event]:
    """One merged entry per span, in start order: what `read` gives. Documents that Spanflow has stored hold just that
    and need not be taken apart."""
    events = events_in(document)
    seen: set[str] = set()
    if not isinstance(document, Mapping) or "processes" not in document:
        return read(document).entries()
    try:
        for event in events:
            if checked(event) is not event or event["node_id"] in seen or not _NOT_STORED.isdisjoint(event):
                return read(document).entries()
            seen.add(event["node_id"])
    except EventError:
        return read(document).entries()
    return in_start_order(events)


def events_in(document: object) -> list[Event]:
    """The raw list of events in a document; empty if it has none."""
    events = document.get("events") if isinstance(document, Mapping) else document
    return cast(list[Event], events) if isinstance(events, list) else []


def contents_in(document: Mapping[str, Any]) -> str | None:
    """What there is of prompts, answers, arguments and results: `full`, `hash` or `off` by the policy of the flow's
    processes, `mixed` when they differ, or None when no process says."""
    processes = document.get("processes")
    described = processes.values() if isinstance(processes, Mapping) else ()
    policies = {about.get("content") for about in described if isinstance(about, Mapping)}
    policies = {policy for policy in policies if isinstance(policy, str)}
    return policies.pop() if len(policies) == 1 else "mixed" if policies else None


def identity_in_document(document: Mapping[str, Any]) -> Identity:
    """The flow's owner as the document states it."""
    user_id, session_id, conversation_id = map(
        _id_or_none, (document.get("user_id"), document.get("session_id"), document.get("conversation_id"))
    )
    return made_identity((user_id, None, None, session_id, conversation_id, None))


def _id_or_none(value: object) -> str | None:
    cacheable = type(value) is int or (type(value) is str and len(value) <= MAX_ID_LENGTH)
    return None if value is None else _read_id(value) if cacheable else id_or_none(value)


def merge(one: Mapping[str, Any], other: Mapping[str, Any]) -> FlowData:
    """One document out of two of the same flow. Order and repetition make no difference."""
    reducer = read(one)
    for event in read(other).entries():
        reducer.add(event)
    document = _built(
        _join(one.get("flow_id"), other.get("flow_id"), 0),
        reducer.entries(),
        _join(_stated_in(one), _stated_in(other), 1),
        _join(one.get("processes", {}), other.get("processes", {}), _MERGE_DEPTH),
    )
    more = {
        key: _join(one.get(key), other.get(key), _MERGE_DEPTH) for key in sorted({*one, *other}.difference(_OWN_KEYS))
    }
    return cast(FlowData, {**document, **more})


def _stored(entry: Event) -> Event:
    if _NOT_STORED.isdisjoint(entry):
        return entry
    return cast(Event, {key: value for key, value in entry.items() if key not in _NOT_STORED})


def _join(one: Any, other: Any, depth: int) -> Any:
    """The least value that holds both: members of objects are united, of two numbers the larger counts."""
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, Mapping) and isinstance(other, Mapping) and depth:
        return {key: _join(one.get(key), other.get(key), depth - 1) for key in sorted({*one, *other})}
    if _is_number(one) and _is_number(other):
        return max(one, other)
    return one if canonical(one) >= canonical(other) else other


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
