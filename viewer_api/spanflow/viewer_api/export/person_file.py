"""All that is known of one person, as one file: a JSON object per line, each of a kind. The last line says how many
lines of each kind there are, so that a file that broke off can be told from a whole one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from typing import Any, Final

import orjson

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.export.exported_flow import ExportedFlow
from spanflow.viewer_api.export.flow_stream import file_of
from spanflow.viewer_api.export.json_files import flow_object
from spanflow.viewer_api.flows.documents import WITHHELD
from spanflow.viewer_api.flows.flow_reader import FlowReader
from spanflow.viewer_api.http.responses import encode
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.store.flows import FlowStore
from spanflow.viewer_api.store.person_data import PersonData

#: Every kind of line between the first and the last, in their order.
KINDS: Final = (
    "directory",
    "watch",
    "usage",
    "activity",
    "running_flow",
    "flow",
    "record",
    "alert_rule",
    "alert",
    "audit",
)


class PersonFile:
    def __init__(self, user_id: str, data: PersonData, store: FlowStore, reader: FlowReader, now: datetime) -> None:
        self._user_id = user_id
        self._data = data
        self._store = store
        self._reader = reader
        self._now = now
        self._counts: Counter[str] = Counter()
        #: Their contents are for nobody while they are watched without.
        self._withheld = reader.withheld.of_past(user_id)

    async def parts(self) -> AsyncIterator[bytes]:
        user_id = shown_id(self._user_id)
        contents = WITHHELD if self._withheld else None
        yield _line({"kind": "person", "user_id": user_id, "exported_at": self._now, "contents": contents})
        data = self._data
        yield self._lines("directory", await data.directory())
        yield self._lines("watch", await data.watch(), _watch)
        yield self._lines("usage", await data.usage())
        async for rows in data.activities():
            yield self._lines("activity", map(self._reader.withheld.activity, rows), _activity)
        filters = Filters(user_ids=(self._user_id,))
        for running in await self._reader.running(filters, self._now):
            yield await asyncio.to_thread(self.flow_line, "running_flow", ExportedFlow(running.flow))
        async for part in file_of(self._store, self._reader, filters, None, _FlowLines(self)):
            yield part
        async for rows in data.records():
            yield self._lines("record", rows, self._record)
        yield self._lines("alert_rule", await data.rules(), _rule)
        async for rows in data.alerts():
            yield self._lines("alert", rows)
        async for rows in data.reads():
            yield self._lines("audit", rows)
        counts = {kind: self._counts[kind] for kind in KINDS}
        yield _line({"kind": "end", "counts": counts, "without_running": self._reader.without_running})

    def _lines(self, kind: str, rows: Iterable[Row], shown: Callable[[Row], dict[str, Any]] = dict) -> bytes:
        lines = [_line({"kind": kind, **_renamed(shown(row))}) for row in rows]
        self._counts[kind] += len(lines)
        return b"".join(lines)

    def flow_line(self, kind: str, exported: ExportedFlow) -> bytes:
        self._counts[kind] += 1
        return b'{"kind":"%s",' % kind.encode() + flow_object(exported)[1:] + b"\n"

    def _record(self, row: Row) -> dict[str, Any]:
        payload = None if self._withheld else bytes(row["payload"]).decode(errors="replace")
        return {**dict(row), "payload": payload}


class _FlowLines:
    """Stored flows as lines of the file."""

    media_type = "application/x-ndjson"
    extension = "jsonl"

    def __init__(self, file: PersonFile) -> None:
        self._file = file

    def begin(self) -> bytes:
        return b""

    def flow(self, exported: ExportedFlow, number: int) -> bytes:
        return self._file.flow_line("flow", exported)

    def end(self) -> bytes:
        return b""


def _line(values: dict[str, Any]) -> bytes:
    return encode(values) + b"\n"


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    """A row may have a column `kind` of its own."""
    return {("what" if name == "kind" else name): value for name, value in values.items()}


def _activity(row: Row) -> dict[str, Any]:
    return {**dict(row), "activity_data": orjson.loads(row["activity_data"])}


def _watch(row: Row) -> dict[str, Any]:
    return {**dict(row), "watch": orjson.loads(row["watch"])}


def _rule(row: Row) -> dict[str, Any]:
    return {**dict(row), "condition": orjson.loads(row["condition"])}
