"""Shows finished flows to an application that has a table of flows of its own: its pages read that one.

`spanflow migrate` has connected both where it is so; what is written into the application's table is decided there.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import orjson

from spanflow.span_processors.archive.archive_sql import ArchiveSql, moment_text
from spanflow.span_processors.archive.postgres import UntracedConnection
from spanflow.span_processors.clock import Clock, SystemClock
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.tree.flow_data import FlowData
from spanflow.span_processors.tree.legacy_view import flow_events

#: Stands once in the row, and is not repeated in its events.
_OF_THE_ROW: Final = ("type", "user_id", "session_id")
_NS_PER_S: Final = 1e9


class ApplicationMirror:
    """Used by the archive's thread only."""

    #: A gateway that was started before `spanflow migrate` notices within so many seconds.
    _LOOK_EVERY: Final = 30.0

    def __init__(self, sql: ArchiveSql, *, clock: Clock | None = None) -> None:
        self._sql = sql
        self._clock = clock or SystemClock()
        self._connected = False
        self._looked_at: float | None = None

    async def is_connected(self, connection: UntracedConnection) -> bool:
        """Whether there is such a table. Not asked within a transaction, which a refusal would end."""
        now = self._clock.monotonic()
        if self._looked_at is None or now - self._looked_at >= self._LOOK_EVERY:
            self._connected = bool(await connection.fetchval(self._sql.mirrors))
            self._looked_at = now
        return self._connected

    async def write(self, connection: UntracedConnection, flows: Iterable[bytes]) -> None:
        """Mirror those of them that are stored; what the application's table does not take is passed over there."""
        if rows := sorted(flow.decode() for flow in flows):
            await connection.execute(self._sql.mirror, rows)


def mirrored(document: FlowData, owner: Identity, started_ns: int, source: str | None) -> bytes | None:
    """A flow as the application may keep it; None when it has no step that the application would know."""
    flow_id = document["flow_id"]
    if flow_id is None or owner.user_id is None or owner.session_id is None:
        return None
    source = source or owner.source
    messages = flow_events(document["events"], replace(owner, source=source))
    if not messages:
        return None
    ends = [message["timestamp"] + (message["duration_ms"] or 0) / 1000 for message in messages if message["timestamp"]]
    return orjson.dumps(
        {
            # In this order, so that all processes take the application's rows in one order.
            "session_id": owner.session_id,
            "flow_id": flow_id,
            "user_id": owner.user_id,
            "conversation_id": owner.conversation_id,
            "source": source,
            "started_at": moment_text(started_ns),
            "completed_at": moment_text(int(max(ends, default=started_ns / _NS_PER_S) * _NS_PER_S)),
            "events": [_event(message, flow_id) for message in messages],
        }
    )


def _event(message: dict[str, Any], flow_id: str) -> dict[str, Any]:
    event = {word: value for word, value in message.items() if word not in _OF_THE_ROW and value is not None}
    # As such applications store them: a root's parent is empty, a time is a text.
    return {
        **event,
        "parent_id": message["parent_id"] or "",
        "timestamp": str(message["timestamp"]),
        "flow_id": flow_id,
    }
