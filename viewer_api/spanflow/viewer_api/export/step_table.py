"""A row per step, for spreadsheets."""

import csv
import io
import re
from typing import Any, Final

from spanflow.span_processors.event.conventions import first_token_ms
from spanflow.span_processors.tree.http_answer import outcome_of
from spanflow.span_processors.tree.same_call import subject_of
from spanflow.span_processors.tree.tree import NS_PER_MS
from spanflow.viewer_api.export.exported_flow import ExportedFlow

_COLUMNS: Final = (
    *("flow_id", "session_id", "user_id", "conversation_id", "source", "depth", "node_id", "parent_id"),
    *("event_type", "name", "subject", "kind", "start_ns", "duration_ms", "self_ms", "critical_ms", "first_token_ms"),
    *("state", "status", "outcome", "outcome_reason", "status_message"),
)
#: A spreadsheet takes a text that begins so for a formula, also behind white space.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NEXT_CELL: Final = re.compile(r"([;\t\r\n|][ \u00a0\"']*+)(?=[=+\-@＝＋－＠])")


class StepTable:
    media_type = "text/csv"
    extension = "csv"

    def begin(self) -> bytes:
        return _lines([list(_COLUMNS)])

    def flow(self, exported: ExportedFlow, number: int) -> bytes:
        ids = exported.flow.ids()
        rows = []
        for node in exported.tree.walk():
            entry = node.entry or {}
            facts = exported.whole.facts.get(node.node_id)
            answer = outcome_of(node.entry) if node.entry else (None, None)
            row: dict[str, Any] = {
                **ids,
                "source": exported.flow.source,
                "depth": node.depth,
                "node_id": node.node_id,
                "parent_id": entry.get("parent_id"),
                "event_type": entry.get("event_type"),
                "name": entry.get("name"),
                "subject": None if node.entry is None else subject_of(node.entry),
                "kind": entry.get("kind"),
                "start_ns": node.start_ns,
                "duration_ms": None if facts is None else facts.duration_ns / NS_PER_MS,
                "self_ms": None if facts is None else facts.self_ns / NS_PER_MS,
                "critical_ms": None if facts is None else facts.critical_ns / NS_PER_MS,
                "first_token_ms": first_token_ms(entry.get("attributes", {})),
                "state": node.state,
                "status": entry.get("status"),
                "outcome": answer[0],
                "outcome_reason": answer[1],
                "status_message": entry.get("status_message"),
            }
            rows.append([cell(row[name]) for name in _COLUMNS])
        return _lines(rows)

    def end(self) -> bytes:
        return b""


def cell(value: Any) -> str:
    """A value that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = str(value).replace("\0", "")
    if text.lstrip(" \u00a0").startswith(_FORMULA):
        text = "'" + text
    # Where a semicolon or a tab separates cells, a text that holds one begins another cell.
    return _NEXT_CELL.sub(r"\1'", text)


def _lines(rows: list[list[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode("utf-8", "replace")
