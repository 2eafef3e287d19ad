"""Live frames of a user of whom only metadata may be seen. Whatever a socket sends goes through here."""

from dataclasses import replace
from typing import Final

from spanflow.span_processors.event.metadata import Metadata
from spanflow.viewer_api.live.frames import EventsFrame, Frame, JoinedFrame, NoticeFrame, SnapshotFrame

_SAME: Final = "_without_contents"


def without_contents(frame: Frame, metadata: Metadata) -> Frame:
    """The frame without what was said; made once, however many clients get it."""
    made = frame.__dict__.get(_SAME)
    if not isinstance(made, Frame):
        made = frame.__dict__[_SAME] = _stripped(frame, metadata)
    return made


def _stripped(frame: Frame, metadata: Metadata) -> Frame:
    if isinstance(frame, EventsFrame):
        return replace(frame, found=[metadata.event(event) for event in frame.found])
    if isinstance(frame, JoinedFrame):
        parts = [without_contents(part, metadata) for part in frame.parts]
        return replace(frame, parts=[part for part in parts if isinstance(part, EventsFrame)])
    if isinstance(frame, SnapshotFrame):
        return replace(frame, entries=[metadata.event(entry) for entry in frame.entries])
    if isinstance(frame, NoticeFrame):
        return frame
    raise TypeError(f"nobody has said what the contents of a {type(frame).__name__} are")
