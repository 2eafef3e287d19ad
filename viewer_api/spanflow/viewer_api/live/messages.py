"""What the live socket says, ready to be sent. `docs/api-live.md` is its description."""

from collections.abc import Sequence
from typing import Any

import orjson

from spanflow.span_processors.event.event import Event
from spanflow.viewer_api.live.topic import Topic


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
