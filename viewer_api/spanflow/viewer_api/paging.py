"""Cursors of lists: where the next page begins, as one opaque word."""

import base64
from datetime import datetime

import orjson

from spanflow.viewer_api.problems import invalid_request


def cursor_of(moment: datetime, row_id: str) -> str:
    raw = orjson.dumps([moment.isoformat(), row_id])
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def read_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    if not cursor:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        moment, row_id = orjson.loads(raw)
        read = datetime.fromisoformat(moment)
        if not isinstance(row_id, str) or read.tzinfo is None or "\0" in row_id:
            raise ValueError
    except (ValueError, TypeError):
        raise invalid_request("cursor: use the value of `next` from the page before, unchanged.") from None
    return read, row_id
