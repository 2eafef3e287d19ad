"""Live frames of a user of whom only metadata may be seen. Whatever a socket sends goes through here."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from spanflow.span_processors.event.metadata import Metadata
from spanflow.span_processors.tree.flow_identity import identity_in
from spanflow.viewer_api.live.frames import EventsFrame, Frame, JoinedFrame, NoticeFrame, SnapshotFrame
from spanflow.viewer_api.live.subscription import Subscription

_SAME: Final = "_without_contents"
#: Whether contents of a user (None: the flow's user is unknown) are left out, checked at every frame.
Withholds = Callable[[str | None], bool]


class Shown:
    """What one subscriber is shown of the frames that it gets."""

    def __init__(self, subscription: Subscription, withholds: Withholds, metadata: Metadata) -> None:
        self._subscription = subscription
        self._withholds = withholds
        self._metadata = metadata
        #: Owners of flows, of a topic whose owner was unknown at first.
        self._owners: dict[str, str] = {}

    def of(self, frame: Frame) -> Frame:
        return without_contents(frame, self._metadata) if self._is_withheld(frame) else frame

    def _is_withheld(self, frame: Frame) -> bool:
        if self._subscription.own:
            return False
        owner = self._subscription.topic.owner
        if owner is not None:
            return self._withholds(owner)
        for event in frame.events:
            user_id = identity_in(event).user_id
            if user_id is not None:
                self._owners[event["flow_id"]] = user_id
        flows = {event["flow_id"] for event in frame.events}
        return any(self._withholds(self._owners.get(flow_id)) for flow_id in flows)


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
    raise TypeError(f"the contents of a {type(frame).__name__} are not declared")
