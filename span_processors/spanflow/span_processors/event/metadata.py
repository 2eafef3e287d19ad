"""What may be seen of a user whose contents are none of the watcher's business: what happened, when, and how it ended,
but not what was said.

An event keeps its shape, and of its attributes those that are listed here. It is a list of what may stay, not of what
must go: an unknown attribute is left out. The gateway's messages, the live sockets and the pages of
running flows all ask this one place.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.metadata_names import METADATA_WORDS, is_metadata
from spanflow.span_processors.shared_settings import SharedSettings

#: Names are short; longer texts are content.
MAX_TEXT: Final = 200
_MAX_ITEMS: Final = 100

#: Fields of an event that hold no content. `status_message` and `trace_state` are not among them.
_FIELDS: Final = frozenset(
    {
        "v",
        "phase",
        "flow_id",
        "node_id",
        "parent_id",
        "event_type",
        "kind",
        "start_ns",
        "end_ns",
        "updated_ns",
        "status",
        "outcome",
        "process",
        "scope",
        "flags",
        "cut",
        "stub",
    }
)
_ATTRIBUTE: Final = "attributes/"
_LINK_FIELDS: Final = frozenset({"trace_id", "span_id", "flags"})
_LATE: Final = _FIELDS | {"name", "links", "logs"}


class Metadata:
    """Leaves contents out. `more` are further attributes that hold none, in the opinion of this deployment."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        added = frozenset(more)
        data = {names.ATTR_DATA_PREFIX + word for word in METADATA_WORDS | {key for key in added if "." not in key}}
        self._keys = added | data

    @classmethod
    def from_settings(cls, settings: SharedSettings) -> "Metadata":
        return cls(settings.metadata_keys)

    def holds(self, key: str, value: Any) -> bool:
        """Whether an attribute is metadata. Everything else here follows from this answer."""
        return (key in self._keys or is_metadata(key, value)) and _is_short(value)

    def event(self, event: Event) -> Event:
        """The event without contents. What it is given stays as it is."""
        source = cast(dict[str, Any], event)
        kept = self._fields(source)
        self._put_attributes(kept, source)
        if "links" in source:
            kept["links"] = [self._link(link) for link in source["links"]]
        if "logs" in source:
            kept["logs"] = [self._log(log) for log in source["logs"]]
        if isinstance(late := source.get("late"), list):
            attributes = kept.get("attributes", {})
            marks = _LATE | {_ATTRIBUTE + key for key in attributes}
            kept["late"] = [mark for mark in late if isinstance(mark, str) and mark in marks]
            self._put_was(kept, source.get("was"))
        return cast(Event, kept)

    def words(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What of a checkpoint's or an activity's own data is metadata."""
        return {word: value for word, value in data.items() if self.holds(names.ATTR_DATA_PREFIX + word, value)}

    def _put_was(self, kept: dict[str, Any], was: Any) -> None:
        """What the start had said, of what an end has changed."""
        if isinstance(was, Mapping):
            before = self._fields(was)
            self._put_attributes(before, was)
            if before:
                kept["was"] = before

    def _fields(self, source: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in source.items() if key in _FIELDS}
        if "name" in source:
            kept["name"] = str(source["name"])[:MAX_TEXT]
        return kept

    def _put_attributes(self, kept: dict[str, Any], source: Mapping[str, Any]) -> None:
        original = source.get("attributes")
        if not isinstance(original, Mapping):
            return
        attributes = {key: value for key, value in original.items() if self.holds(key, value)}
        if attributes:
            kept["attributes"] = attributes
            types = source.get("types")
            if isinstance(types, Mapping) and (needed := {key: types[key] for key in attributes if key in types}):
                kept["types"] = needed

    def _link(self, link: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in link.items() if key in _LINK_FIELDS}
        self._put_attributes(kept, link)
        return kept

    def _log(self, log: Mapping[str, Any]) -> dict[str, Any]:
        """A log's name may be the logged text itself; one word is a name."""
        name = str(log.get("name", ""))
        kept: dict[str, Any] = {"name": name if len(name) <= MAX_TEXT and " " not in name.strip() else "log"}
        kept |= {key: log[key] for key in ("time_ns", "record") if key in log}
        self._put_attributes(kept, log)
        return kept


def _is_short(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT and "\n" not in value
    if isinstance(value, list):
        return len(value) <= _MAX_ITEMS and all(not isinstance(item, list) and _is_short(item) for item in value)
    return value is None or isinstance(value, bool | int | float)
