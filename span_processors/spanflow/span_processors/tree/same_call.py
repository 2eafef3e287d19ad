"""Which checkpoints tell of the same call as the checkpoint around them.

One call of a tool is often told by several spans: the gateway's own step, the MCP SDK's client span, the server's half,
an instrumentation of either. The outermost stands for the call; the others are details of it, in counts and wherever
checkpoints are listed.
"""

from collections.abc import Sequence
from typing import Final

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event, is_checkpoint

#: Where the subject of a call may be named, the best place first.
_SUBJECTS: Final = (
    "gen_ai.tool.name",
    names.ATTR_DATA_PREFIX + "tool",
    names.ATTR_DATA_PREFIX + "tool_name",
    "tool.name",
    "gen_ai.prompt.name",
    "mcp.resource.uri",
)
_SUBJECT_PLACES: Final = frozenset(_SUBJECTS)
_CALL_ID: Final = "gen_ai.tool.call.id"
#: Gateways put a server's name before a tool's.
SEPARATORS: Final = "-_./:"
#: Types whose spans may be reported by another instrumentation as well. A refusal or a plan is never a duplicate.
_CALLS: Final = frozenset(
    {
        names.TOOL_CALL,
        names.LLM_THINKING,
        names.EMBEDDING,
        names.PROMPT_GET,
        names.RESOURCE_READ,
        names.ELICITATION,
    }
)
_NO_PARENT: Final = -1


def is_same_call(entry: Event, around: Event) -> bool:
    """Whether a checkpoint records the same call as its nearest checkpoint ancestor."""
    event_type = entry.get("event_type")
    if event_type not in _CALLS or around.get("event_type") != event_type or came_after(entry, around):
        return False
    if event_type == names.LLM_THINKING:
        return True  # a model's call cannot make another one but through a tool or an agent
    ids = _text(entry, _CALL_ID), _text(around, _CALL_ID)
    if None not in ids:
        return ids[0] == ids[1]
    return _same_subject(subject_of(entry), subject_of(around))


def same_calls(entries: Sequence[Event | None], parents: Sequence[int]) -> set[int]:
    """The places whose checkpoint is the same call as the nearest one above it. `parents` has the place of each one's
    parent, which stands before it, and -1 at the top."""
    calls = [kind for entry in entries if entry is not None and (kind := entry.get("event_type")) in _CALLS]
    if len(calls) == len(set(calls)):  # the usual case: none twice
        return set()
    nearest: list[int] = []
    duplicates: set[int] = set()
    for place, parent in enumerate(parents):
        above = _NO_PARENT
        if parent >= 0:
            entry = entries[parent]
            above = parent if entry is not None and is_checkpoint(entry) else nearest[parent]
        nearest.append(above)
        entry, around = entries[place], entries[above] if above >= 0 else None
        if entry is not None and around is not None and is_same_call(entry, around):
            duplicates.add(place)
    return duplicates


def came_after(entry: Event, around: Event) -> bool:
    """In a chain of steps, the parent is the step before. Clocks of two processes say nothing about that."""
    if around["phase"] != names.END or entry.get("process") != around.get("process"):
        return False
    start, end = entry.get("start_ns"), around.get("end_ns")
    if start is None or end is None:
        return False
    return start >= end if len(start) == len(end) else int(start) >= int(end)


def subject_of(entry: Event) -> str | None:
    """What a call is made of: the name of its tool or prompt, the address of its resource."""
    attributes = entry.get("attributes")
    if not attributes or _SUBJECT_PLACES.isdisjoint(attributes):
        return None
    return next((text for place in _SUBJECTS if (text := _text(entry, place)) is not None), None)


def _same_subject(one: str | None, other: str | None) -> bool:
    if one is None or other is None or one == other:
        return True
    longer, shorter = (one, other) if len(one) > len(other) else (other, one)
    return longer.endswith(shorter) and longer[-len(shorter) - 1] in SEPARATORS


def _text(entry: Event, name: str) -> str | None:
    value = entry.get("attributes", {}).get(name)
    return value if isinstance(value, str) and value else None
