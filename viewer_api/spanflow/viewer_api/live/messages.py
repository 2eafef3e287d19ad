"""What the live socket says, ready to be sent. `docs/api.md` is its description."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from spanflow.span_processors.event.event import Event
from spanflow.viewer_api.live.topic import Topic

#: The end of the year 9999.
_LAST_MOMENT: Final = 253_402_300_799


def message(kind: str, **fields: Any) -> bytes:
    return orjson.dumps({"type": kind, **fields}, option=orjson.OPT_UTC_Z)


def about(kind: str, topic: Topic, **fields: Any) -> bytes:
    """A message about one topic."""
    return orjson.dumps({"type": kind, **topic.fields, **fields}, option=orjson.OPT_UTC_Z)


def joined_events(topic: Topic, lists: Sequence[bytes], cursor: str) -> bytes:
    """Events that are encoded already, each of `lists` as a JSON list without its brackets."""
    body = b",".join(filter(None, lists))
    return b'%b,"events":[%b],"cursor":"%b"}' % (about("events", topic)[:-1], body, cursor.encode())


def snapshot(topic: Topic, flow_id: str, entries: Sequence[Event], *, truncated: bool, cursor: str | None) -> bytes:
    fields: dict[str, Any] = {"flow_id": flow_id, "events": entries, "truncated": truncated, "cursor": cursor}
    return about("snapshot", topic, **fields)


def moment(seconds: float | None) -> datetime | None:
    """Seconds since 1970 as a time that is written in ISO 8601."""
    if seconds is None:
        return None
    # Whoever can write the table of watched users may have written anything.
    return datetime.fromtimestamp(min(max(seconds, 0), _LAST_MOMENT), UTC)
