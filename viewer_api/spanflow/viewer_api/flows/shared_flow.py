"""A flow as a share link shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.event.metadata import Metadata
from spanflow.span_processors.tree import flow_data
from spanflow.viewer_api.flows.documents import Flow, PackedFlow
from spanflow.viewer_api.http.responses import encode

#: Beside what a policy or a watch says: contents are not part of this link.
NOT_SHARED: Final = "not_shared"
#: What spans carry of their user beside the id.
_NAMING: Final = frozenset({names.ATTR_USER_EMAIL, names.ATTR_USER_FULL_NAME, "user.name", *names.USER_EMAIL_ALIASES})
_NAMING_MARKS: Final = frozenset(f"attributes/{name}" for name in _NAMING)


def without_contents(flow: Flow, metadata: Metadata) -> Flow:
    """A flow kept to what happened, when, and how it ended."""
    events = [metadata.event(entry) for entry in flow.entries]
    # With its id, a document of an older gateway is read as one of ours from here on.
    document = {**flow.document, "flow_id": flow.flow_id, "events": events}
    return replace(flow, document=document, withheld=True)


def written_shared(flows: Sequence[PackedFlow], expires_at: datetime, metadata: Metadata | None) -> bytes:
    """The flow and its spans, of which `metadata`, if given, leaves the contents out. What its processes say of the
    machines that they run on stays inside, and so do the user's name and the reason why contents are missing."""
    (packed,) = flows
    flow = packed.unpacked()
    if metadata is not None and not flow.withheld:
        flow = without_contents(flow, metadata)
    shown: dict[str, Any] = {
        "flow_id": flow.flow_id,
        "user_id": flow.ids()["user_id"],
        "open": flow.open,
        "created_at": flow.created_at,
        "completed_at": flow.completed_at,
        "source": flow.source,
        "cut_spans": flow.cut_spans,
        "contents": NOT_SHARED if flow.withheld else flow.contents,
        "flow_data": {
            "flow_id": flow.flow_id,
            "events": [_nameless(event) for event in flow_data.events_in(flow.document)],
        },
    }
    return encode({"expires_at": expires_at, "flow": shown})


def _nameless(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event without the name and the e-mail address of its user."""
    kept = _attributes_nameless(event)
    for part in ("logs", "links"):
        if part in kept:
            kept[part] = [_attributes_nameless(each) for each in kept[part]]
    if isinstance(was := kept.get("was"), Mapping):
        kept["was"] = _attributes_nameless(was)
    if isinstance(late := kept.get("late"), list):
        kept["late"] = [mark for mark in late if mark not in _NAMING_MARKS]
    return kept


def _attributes_nameless(source: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(source)
    for part in ("attributes", "types"):
        if isinstance(values := kept.get(part), Mapping):
            kept[part] = {name: value for name, value in values.items() if name not in _NAMING}
    return kept
