"""Whether a stored flow is over, and how it came to be handed over, read from its document alone.

A document says per process which parts it was made of and why each was handed over. So the answer is the same in
whatever order the parts came in, and a flow that was taken for dead is normal again once its process has been heard.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from spanflow.span_processors import flow_part, names
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.flow_data import FlowData

#: The reason that is shown when several processes had several: the first of these.
_SHOWN_FIRST: Final = (
    flow_part.ROOT_ENDED,
    flow_part.ENDED_BY_CALLER,
    flow_part.MAX_AGE,
    flow_part.IDLE,
    flow_part.PRESSURE,
    flow_part.SHUTDOWN,
    flow_part.REAPED,
)
#: After these nothing more is to be expected of the process.
_LAST_WORDS: Final = (flow_part.SHUTDOWN, flow_part.REAPED)


@dataclass(slots=True)
class FlowState:
    """How far a flow has come, as far as the archive has heard."""

    #: Its root has ended, or its caller reported it.
    ended: bool
    #: Its root has not ended and never will: the process is gone.
    interrupted: bool
    why: str | None
    cut_spans: int
    cut_bytes: int
    redacted: int

    @property
    def complete(self) -> bool:
        return self.ended or self.interrupted


def state_of(document: FlowData) -> FlowState:
    parts = _parts(document)
    reasons = {part.get("why", flow_part.ROOT_ENDED) for part in parts}
    cut: Mapping[str, Any] = document.get("cut") or {}  # type: ignore[assignment]
    ended = flow_part.ENDED_BY_CALLER in reasons or _root_ended(document, parts)
    return FlowState(
        ended=ended,
        interrupted=not ended and _interrupted(document),
        why=next((why for why in _SHOWN_FIRST if why in reasons), None),
        cut_spans=_sum(parts, "cut_spans") + cut.get("spans", 0),
        cut_bytes=_sum(parts, "cut_bytes") + cut.get("bytes", 0),
        redacted=_sum(parts, "redacted"),
    )


def _parts(document: FlowData) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = []
    for process in (document.get("processes") or {}).values():
        parts = process.get("parts") if isinstance(process, dict) else None
        if isinstance(parts, dict):
            rows += [part for part in parts.values() if isinstance(part, dict)]
    return rows


def _root_ended(document: FlowData, parts: list[Mapping[str, Any]]) -> bool:
    phases = {event["phase"] for event in document["events"] if event.get("parent_id") is None}
    if phases:
        return phases == {names.END}
    # The caller is not stored here: the flow ends with the part that is.
    return bool(parts) and all(part.get("root_ended") for part in parts) and all(map(_has_ended, document["events"]))


def _has_ended(event: Event) -> bool:
    return event["phase"] == names.END


def _interrupted(document: FlowData) -> bool:
    """The last word of some process was that it was gone, and it had left something open."""
    left_open = {event.get("process") for event in document["events"] if not _has_ended(event)}
    for name, process in (document.get("processes") or {}).items():
        if name not in left_open or not isinstance(process, Mapping):
            continue
        parts = [part for part in (process.get("parts") or {}).values() if isinstance(part, Mapping)]
        gone = [int(part.get("at_ns", 0)) for part in parts if part.get("why") in _LAST_WORDS]
        heard = [int(part.get("at_ns", 0)) for part in parts if part.get("why") not in _LAST_WORDS]
        # A part says when something last happened in it, not when it was handed over: an idle flow was handed over and
        # then its process was gone, without anything in between.
        if gone and max(gone) >= max(heard, default=-1):
            return True
    return False


def _sum(parts: list[Mapping[str, Any]], name: str) -> int:
    return sum([part.get(name, 0) for part in parts])
