"""Steps of flows as Parquet files, a folder per day: for DuckDB, Spark, ClickHouse and the like."""

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from spanflow.cli.problem import Problem
from spanflow.span_processors.tree import flow_data
from spanflow.span_processors.tree.flow_summary import subject_of
from spanflow.span_processors.tree.tree import time_of

#: Steps that are put together in memory, and days that are open at once. Flows come in the order of time, nearly.
_ROW_GROUP: Final = 20_000
_OPEN_DAYS: Final = 4
_TEXTS: Final = ("name", "event_type", "kind", "status", "status_message", "outcome", "process", "scope")
_NO_DAY: Final = "unknown"


class ParquetFiles:
    """Writes `day=2026-03-01/flows-0.parquet` and so on below a folder. A file has its name when it is complete."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._schema = _schema()
        self._days: OrderedDict[str, _Day] = OrderedDict()
        self.steps = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for day in self._days.values():
            day.close(keep=error is None)

    def add(self, line: bytes) -> None:
        """One flow, as an export in the format jsonl has it."""
        try:
            flow = json.loads(line)
            rows = list(_rows(flow))
        except (ValueError, KeyError, TypeError):
            raise Problem("what the viewer sent is no flow; the answer may have broken off there.") from None
        for row in rows:
            self._day(_day_of(row["start"])).add(row)
        self.steps += len(rows)

    def _day(self, name: str) -> "_Day":
        day = self._days.get(name)
        if day is None:
            while len(self._days) >= _OPEN_DAYS:
                _, oldest = self._days.popitem(last=False)
                oldest.close(keep=True)
            day = self._days[name] = _Day(self._folder / f"day={name}", self._schema)
        self._days.move_to_end(name)
        return day


class _Day:
    def __init__(self, folder: Path, schema: Any) -> None:
        import pyarrow.parquet

        folder.mkdir(parents=True, exist_ok=True)
        number = sum(1 for _ in folder.glob("flows-*.parquet"))
        self._path = folder / f"flows-{number}.parquet"
        self._unfinished = folder / f".flows-{number}.parquet.part"
        self._schema = schema
        self._writer = pyarrow.parquet.ParquetWriter(self._unfinished, schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= _ROW_GROUP:
            self._write()

    def close(self, *, keep: bool) -> None:
        if keep and self._rows:
            self._write()
        self._writer.close()
        if keep:
            self._unfinished.replace(self._path)
        else:
            self._unfinished.unlink()

    def _write(self) -> None:
        import pyarrow

        self._writer.write_table(pyarrow.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []


def _schema() -> Any:
    import pyarrow

    text, moment = pyarrow.string(), pyarrow.timestamp("ns", tz="UTC")
    return pyarrow.schema(
        [
            *((name, text) for name in ("flow_id", "user_id", "session_id", "conversation_id", "source")),
            ("flow_outcome", text),
            *((name, text) for name in ("node_id", "parent_id", *_TEXTS)),
            *((name, text) for name in ("tool", "mcp_server", "model")),
            *((name, moment) for name in ("start", "end")),
            ("duration_ns", pyarrow.int64()),
            ("attributes", text),
            ("links", text),
            ("logs", text),
        ]
    )


def _rows(flow: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    whose = {name: _text(flow.get(name)) for name in ("user_id", "session_id", "conversation_id", "source")}
    for entry in flow_data.entries_in(flow["flow_data"]):
        start, end = time_of(entry, "start_ns"), time_of(entry, "end_ns")
        subject = subject_of(entry)
        yield {
            "flow_id": _text(flow["flow_id"]),
            **whose,
            "flow_outcome": _text(flow.get("outcome")),
            "node_id": entry["node_id"],
            "parent_id": _text(entry.get("parent_id")),
            **{name: _text(entry.get(name)) for name in _TEXTS},
            "tool": _text(subject.tool),
            "mcp_server": _text(subject.mcp_server),
            "model": _text(subject.model),
            "start": start,
            "end": end,
            "duration_ns": None if start is None or end is None else max(0, end - start),
            **{
                name: json.dumps(entry[name], ensure_ascii=False) if name in entry else None
                for name in ("attributes", "links", "logs")
            },
        }


def _text(value: object) -> str | None:
    return None if value is None else str(value).encode("utf-8", "replace").decode()


def _day_of(start_ns: int | None) -> str:
    if start_ns is None:
        return _NO_DAY
    try:
        return datetime.fromtimestamp(start_ns / 1e9, UTC).date().isoformat()
    except (ValueError, OverflowError):
        return _NO_DAY
