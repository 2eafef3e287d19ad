"""What the live socket says, ready to be sent. `docs/api.md` is its description."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.ids import shown_id


def message(kind: str, **fields: Any) -> bytes:
    return orjson.dumps({"type": kind, **fields}, option=orjson.OPT_UTC_Z)


def about(kind: str, user_id: str, **fields: Any) -> bytes:
    """A message about one user."""
    return orjson.dumps({"type": kind, "user_id": shown_id(user_id), **fields}, option=orjson.OPT_UTC_Z)


def events(user_id: str, found: Sequence[Event], cursor: str) -> bytes:
    return about("events", user_id, events=found, cursor=cursor)


def snapshot(user_id: str, flow_id: str, entries: Sequence[Event], *, truncated: bool, cursor: str | None) -> bytes:
    return about("snapshot", user_id, flow_id=flow_id, events=entries, truncated=truncated, cursor=cursor)


def moment(seconds: float | None) -> datetime | None:
    """Seconds since 1970 as a time that is written in ISO 8601."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
