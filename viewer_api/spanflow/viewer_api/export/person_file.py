"""All that is known of one person, as one file: a JSON object per line, each of a kind. The last line says how many
lines of each kind there are, so that a file that broke off can be told from a whole one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from spanflow.span_processors.ids import shown_id
from spanflow.viewer_api.export.exported_flow import ExportedFlow
from spanflow.viewer_api.export.flow_stream import stored_flows
from spanflow.viewer_api.export.json_files import flow_object
from spanflow.viewer_api.flows.documents import WITHHELD, PackedFlow
from spanflow.viewer_api.flows.flow_reader import FlowReader
from spanflow.viewer_api.http.responses import encode
from spanflow.viewer_api.store.database import Row
from spanflow.viewer_api.store.flow_filters import Filters
from spanflow.viewer_api.store.flows import FlowStore
from spanflow.viewer_api.store.person_data import PersonData

Write = Callable[[Sequence[PackedFlow]], Awaitable[bytes]]
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
    "share_link",
    "note",
    "saved_filter",
    "audit",
)


class PersonFile:
    """`write` writes stored flows: `written_flows`, wherever it is run."""

    def __init__(
        self, user_id: str, data: PersonData, store: FlowStore, reader: FlowReader, now: datetime, write: Write
    ) -> None:
        self._user_id = user_id
        self._data = data
        self._store = store
        self._reader = reader
        self._now = now
        self._write = write
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
        running = await self._reader.running(filters, self._now)
        yield await asyncio.to_thread(written_flows, [PackedFlow.of(each.flow) for each in running], "running_flow")
        self._counts["running_flow"] = len(running)
        async for flows in stored_flows(self._store, self._reader, filters):
            yield await self._write(flows)
            self._counts["flow"] += len(flows)
        async for rows in data.records():
            yield self._lines("record", rows, self._record)
        yield self._lines("alert_rule", await data.rules(), _rule)
        async for rows in data.alerts():
            yield self._lines("alert", rows)
        yield self._lines("share_link", await data.share_links())
        yield self._lines("note", await data.notes())
        yield self._lines("saved_filter", await data.saved_filters(), _saved_filter)
        async for rows in data.reads():
            yield self._lines("audit", rows)
        counts = {kind: self._counts[kind] for kind in KINDS}
        yield _line({"kind": "end", "counts": counts, "without_running": self._reader.without_running})

    def _lines(self, kind: str, rows: Iterable[Row], shown: Callable[[Row], dict[str, Any]] = dict) -> bytes:
        lines = [_line({"kind": kind, **_renamed(shown(row))}) for row in rows]
        self._counts[kind] += len(lines)
        return b"".join(lines)

    def _record(self, row: Row) -> dict[str, Any]:
        payload = None if self._withheld else bytes(row["payload"]).decode(errors="replace")
        return {**dict(row), "payload": payload}


def written_flows(flows: Sequence[PackedFlow], kind: str = "flow") -> bytes:
    """Flows as lines of the file, as a thread or the worker writes them."""
    first = b'{"kind":"%s",' % kind.encode()
    lines = []
    for packed in flows:
        stored = packed.text.encode() if isinstance(packed.text, str) else packed.text
        lines.append(first + flow_object(ExportedFlow(packed.flow, stored=stored))[1:] + b"\n")
    return b"".join(lines)


def _line(values: dict[str, Any]) -> bytes:
    return encode(values) + b"\n"


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    """A row may have a column `kind` of its own."""
    return {("what" if name == "kind" else name): value for name, value in values.items()}


def _activity(row: Row) -> dict[str, Any]:
    return {**dict(row), "activity_data": orjson.loads(row["activity_data"])}


def _watch(row: Row) -> dict[str, Any]:
    return {**dict(row), "watch": orjson.loads(row["watch"])}


def _saved_filter(row: Row) -> dict[str, Any]:
    return {**dict(row), "filter": orjson.loads(row["filter"])}


def _rule(row: Row) -> dict[str, Any]:
    return {**dict(row), "condition": orjson.loads(row["condition"])}
