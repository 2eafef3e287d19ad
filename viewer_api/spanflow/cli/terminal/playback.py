"""The past as a terminal plays it: every message of it, each at its time."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spanflow.cli.terminal.client import Params, Refused, ViewerClient
from spanflow.span_processors.tree.tree import NS_PER_S

_PAGE: Final = 5_000
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Recording:
    """All that is played, each message with its time in seconds after the first."""

    started_ns: int
    messages: Sequence[tuple[float, dict[str, Any]]]


def recorded(viewer: ViewerClient, asked: Params) -> Recording:
    """Read as a whole before it is played: what runs, or is stored meanwhile, would move what is still to come."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _read(viewer, asked)
        except Refused as why:
            if why.code != "playback_changed" or attempt == _ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def _read(viewer: ViewerClient, asked: Params) -> Recording:
    page = viewer.get("/api/v1/playback", {**asked, "limit": _PAGE})
    started_ns, messages = int(page["started_ns"] or 0), list(page["messages"])
    while page["next"] is not None:
        following = {"first": page["next"], "limit": _PAGE, "recording": page["recording"]}
        page = viewer.get("/api/v1/playback", {**asked, **following})
        messages += page["messages"]
    return Recording(started_ns, [(each["at_ms"] / 1000, each["message"]) for each in messages])


@dataclass(slots=True)
class Player:
    """Gives messages when it is time. Those that are late come at once, so that playing takes as long as it should."""

    recording: Recording
    speed: float
    #: What lies before comes at once.
    begin: float = 0.0
    #: Longer pauses are cut to so many seconds; None: they are played.
    idle: float | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    #: When the last message was, in seconds after the first.
    at: float = 0.0

    def messages(self, before_waiting: Callable[[], None] = lambda: None) -> Iterator[dict[str, Any]]:
        due, reached = self.clock(), self.begin
        for at, message in self.recording.messages:
            pause = max(0.0, at - reached)
            reached = max(reached, at)
            due += (pause if self.idle is None else min(pause, self.idle)) / self.speed
            if due > self.clock():
                before_waiting()
                self.sleep(max(0.0, due - self.clock()))
            self.at = at
            yield message

    def now_ns(self) -> int:
        """The time that is played."""
        return self.recording.started_ns + round(self.at * NS_PER_S)
