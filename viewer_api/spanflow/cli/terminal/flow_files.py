"""Flows in files: as they were exported, or OTLP/JSON. Read line by line, so that a file may be long."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

import orjson

from spanflow.cli.problem import Problem
from spanflow.span_processors.encoding.mapping import SpanMapping
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.otlp.otlp_reader import NotOtlp, flows_in
from spanflow.span_processors.tree import flow_data
from spanflow.span_processors.tree.facts import critical_path, facts_of
from spanflow.span_processors.tree.flow_identity import identity_of_flow
from spanflow.span_processors.tree.flow_summary import summary_of
from spanflow.span_processors.tree.reducer import FlowReducer
from spanflow.span_processors.tree.tree import NS_PER_MS

_WHAT: Final = "an export of flows (json, jsonl) or OTLP/JSON"


def flows_of(name: str) -> Iterator[dict[str, Any]]:
    """Each flow as the API's flat list shows it, as far as the file tells."""
    try:
        for document in _documents(Path(name)):
            for flow_id, entries, contents in _flows_in(document, name):
                yield {**_shown(flow_id, entries), "contents": contents}
    except OSError as why:
        raise Problem(f"{name} cannot be read: {why.strerror or why}.") from None


def _documents(path: Path) -> Iterator[Any]:
    """The lines of a file, or all of it, if its first line is no JSON by itself."""
    with path.open("rb") as file:
        first = file.readline()
        try:
            document = orjson.loads(first)
        except ValueError:
            document = None
        if document is None:
            try:
                yield orjson.loads(first + file.read())
            except ValueError:
                raise Problem(f"{path} is no JSON: it must be {_WHAT}.") from None
            return
        yield document
        for number, line in enumerate(file, 2):
            if not line.strip():
                continue
            try:
                yield orjson.loads(line)
            except ValueError:
                raise Problem(f"{path}, line {number}, is no JSON; the file may have broken off there.") from None


def _flows_in(document: Any, name: str) -> Iterator[tuple[str, list[Event], str | None]]:
    """Each flow's id and entries, and what was recorded of contents, where the file tells."""
    if isinstance(document, dict) and "resourceSpans" in document:
        try:
            yield from ((flow.flow_id, flow.entries, None) for flow in flows_in(document, SpanMapping()))
        except NotOtlp as why:
            raise Problem(f"{name} is no OTLP/JSON: {why}.") from None
        return
    flows = document.get("flows") if isinstance(document, dict) else None
    for flow in chain(flows if isinstance(flows, list) else [document]):
        data = flow.get("flow_data") if isinstance(flow, dict) else None
        if not isinstance(data, dict):
            raise Problem(f"{name} holds no flows: it must be {_WHAT}.")
        yield str(flow.get("flow_id")), flow_data.read(data).entries(), flow_data.contents_in(data)


def _shown(flow_id: str, entries: list[Event]) -> dict[str, Any]:
    tree = FlowReducer(entries).tree()
    summary, whose = summary_of(entries), identity_of_flow(entries)
    took = None
    if summary.started_ns is not None and summary.ended_ns is not None:
        took = (summary.ended_ns - summary.started_ns) / NS_PER_MS
    return {
        "flow_id": flow_id,
        "user_id": whose.user_id,
        "session_id": whose.session_id,
        "conversation_id": whose.conversation_id,
        "name": summary.name,
        "open": False,
        "outcome": summary.outcome,
        "outcome_reason": summary.outcome_reason,
        "duration_ms": took,
        "tokens_input": summary.tokens_in,
        "tokens_output": summary.tokens_out,
        "denied_reason": summary.reason,
        "error_message": summary.status_message,
        "critical_path": critical_path(tree, facts_of(tree)),
        "spans": tree.rows(),
    }
