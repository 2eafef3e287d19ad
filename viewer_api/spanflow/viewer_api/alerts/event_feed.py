"""Events of alerts for the live sockets of this viewer, whichever viewer has written them.

One poll for all subscribers, and none without subscribers.
"""

import logging
from collections.abc import Callable

from spanflow.viewer_api.alerts.rule_store import Event, RuleStore
from spanflow.viewer_api.http.problems import Problem

log = logging.getLogger(__name__)

Listener = Callable[[Event], None]
_MOST = 200


class EventFeed:
    def __init__(self, rules: RuleStore) -> None:
        self._rules = rules
        self._listeners: set[Listener] = set()
        #: The last event that was sent; None without subscribers.
        self._told: int | None = None

    async def listen(self, listener: Listener) -> None:
        """Tell `listener` every event from now on."""
        if self._told is None:
            self._told = await self._rules.newest_event()
        self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners:
            self._told = None

    async def run(self) -> None:
        """Look once for what is new."""
        while self._told is not None:
            try:
                events = await self._rules.events_after(None, self._told, _MOST)
            except Problem as why:
                log.debug("Events of alerts cannot be read now: %s", why.code)
                return
            for event in events:
                for listener in tuple(self._listeners):
                    listener(event)
            if self._told is not None and events:
                self._told = events[-1].event_id
            if len(events) < _MOST:
                return
