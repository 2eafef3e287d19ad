"""What the steps of a flow are called, in lists that flows are found by: `tool_call:tools/call list_snapshots`."""

from collections.abc import Collection
from typing import Final

from spanflow.span_processors import names
from spanflow.span_processors.tree.flow_outline import Outline

#: Longer types and names are cut, here and in statistics.
MAX_PART: Final = 200
MAX_KEY: Final = 2 * MAX_PART + 1
#: Of one flow. Checkpoints stand before plain spans, whose names are unbounded.
MAX_KEYS: Final = 200
_PLAIN: Final = f"{names.PLAIN_SPAN}:"


def step_key(event_type: str, name: str) -> str:
    return f"{event_type[:MAX_PART]}:{name[:MAX_PART]}"


def step_keys(outline: Outline, details: Collection[int]) -> tuple[str, ...]:
    """Every key once. `details` are the places that record the same call as a step around them, and are no steps."""
    keys = dict.fromkeys(
        [
            step_key(entry.get("event_type") or names.PLAIN_SPAN, entry.get("name") or "")
            for place, entry in enumerate(outline.entries)
            if entry is not None and place not in details
        ]
    )
    if len(keys) <= MAX_KEYS:
        return tuple(keys)
    return tuple(sorted(keys, key=lambda key: key.startswith(_PLAIN)))[:MAX_KEYS]
