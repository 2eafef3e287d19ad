"""Flows as the API shows them: rows of Postgres and what is still only in Redis, put together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import orjson

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event, is_checkpoint
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.ids import shown_id
from spanflow.span_processors.tree import flow_data
from spanflow.span_processors.tree.costs import shown_cost
from spanflow.span_processors.tree.flow_identity import identity_of_flow
from spanflow.span_processors.tree.flow_times import last_heard, root_of, started_at
from spanflow.span_processors.tree.legacy_view import flow_events
from spanflow.span_processors.tree.reducer import FlowReducer
from spanflow.span_processors.tree.tree import time_of
from spanflow.viewer_api.flows.flow_status import LiveStatus, StoredStatus, still_runs

if TYPE_CHECKING:
    # A worker that makes trees does without the server's libraries.
    from spanflow.viewer_api.store.database import Row


@dataclass(frozen=True)
class Flow:
    """One flow, wherever it is kept."""

    flow_id: str
    session_id: str | None
    user_id: str | None
    conversation_id: str | None
    source: str | None
    created_at: datetime | None
    completed_at: datetime | None
    open: bool
    document: Mapping[str, Any]
    #: As it is stored; None while nothing is, or when a model has no price.
    cost: float | None = None
    #: Spans that are known to have been, and are not in the document.
    cut_spans: int = 0
    #: As it is stored, of a flow that is over.
    outcome: str | None = None
    outcome_reason: str | None = None
    stored: StoredStatus | None = None
    #: Its contents are not for who asks: their user is watched without them.
    withheld: bool = False

    @property
    def contents(self) -> str | None:
        """What there is of prompts, answers, arguments and results: `full`, `hash` or `off` by the policy of its
        processes, `mixed` when they differ, `withheld`, or None when no process says."""
        return WITHHELD if self.withheld else flow_data.contents_in(self.document)

    @cached_property
    def entries(self) -> list[Event]:
        """One merged entry per span, in start order, read from the document once; not to be changed."""
        return flow_data.entries_in(self.document)

    @property
    def processes(self) -> Mapping[str, Any]:
        """What its processes say of themselves, by instance id."""
        processes = self.document.get("processes")
        return processes if isinstance(processes, Mapping) else {}

    @property
    def process_ids(self) -> set[str]:
        """The processes that reported a span of it."""
        return {event["process"] for event in flow_data.events_in(self.document) if "process" in event}

    @property
    def is_ours(self) -> bool:
        """Not a row of a gateway that was written before Spanflow; those are shown as they were stored."""
        return "flow_id" in self.document

    def has_steps(self) -> bool:
        """Whether it has a checkpoint: a connection or a health check has none."""
        return any(isinstance(event, dict) and is_checkpoint(event) for event in flow_data.events_in(self.document))

    def legacy_events(self) -> list[Any]:
        """One flat entry per checkpoint, as existing dashboards read them."""
        if not self.is_ours:
            return list(flow_data.events_in(self.document))
        identity = Identity(
            user_id=self.user_id,
            session_id=self.session_id,
            conversation_id=self.conversation_id,
            source=self.source,
        )
        return list(flow_events(self.entries, identity))

    def legacy_document(self) -> dict[str, Any]:
        """`flow_data` as existing dashboards read it."""
        if not self.is_ours:
            return dict(self.document)
        own = {key: value for key, value in self.document.items() if key not in {"events", "processes", "stated"}}
        return {**own, "events": self.legacy_events()}

    def ids(self) -> dict[str, Any]:
        return {
            "flow_id": self.flow_id,
            "session_id": shown_id(self.session_id),
            "user_id": shown_id(self.user_id),
            "conversation_id": shown_id(self.conversation_id),
        }


@dataclass(frozen=True, slots=True)
class PackedFlow:
    """A flow whose document is still JSON: large ones are parsed in a process of their own."""

    flow: Flow
    text: str | bytes

    @classmethod
    def of(cls, flow: Flow) -> "PackedFlow":
        return cls(replace(flow, document=_EMPTY), orjson.dumps(flow.document))

    @classmethod
    def of_row(cls, row: "Row") -> "PackedFlow":
        return cls(_from_row(row, _EMPTY), row["flow_data"] or "{}")

    def unpacked(self) -> Flow:
        return replace(self.flow, document=_document_in(self.text))


def packed_rows(rows: Iterable["Row"]) -> list[PackedFlow]:
    """Stored flows in start order."""
    return sorted(map(PackedFlow.of_row, rows), key=lambda packed: _in_start_order(packed.flow))


def from_row(row: "Row") -> Flow:
    return _from_row(row, _document_in(row["flow_data"] or "{}"))


def _document_in(text: str | bytes) -> dict[str, Any]:
    document = orjson.loads(text)
    if not isinstance(document, dict):
        document = {"events": document if isinstance(document, list) else []}
    return document


def _from_row(row: "Row", document: Mapping[str, Any]) -> Flow:
    return Flow(
        flow_id=row["flow_id"],
        session_id=row["session_id"],
        user_id=row["user_id"],
        conversation_id=row["conversation_id"],
        source=row["source"],
        created_at=row["created_at"] or row["started_at"],
        completed_at=row["completed_at"],
        open=False,
        document=document,
        cost=shown_cost(row.get("cost")),
        cut_spans=row["cut_spans"] or 0,
        outcome=row["outcome"],
        outcome_reason=row["outcome_reason"],
        stored=StoredStatus.of(row),
    )


def from_stream(flow_id: str, reducer: FlowReducer) -> Flow:
    """A flow that Redis still has: running, or complete and not yet stored."""
    entries = reducer.entries()
    identity = identity_of_flow(entries)
    started = started_at(entries)
    root = root_of(entries)
    ended = None if root is None else time_of(root, "end_ns")
    running = any(entry["phase"] != names.END for entry in entries)
    return Flow(
        flow_id=flow_id,
        session_id=identity.session_id,
        user_id=identity.user_id,
        conversation_id=identity.conversation_id,
        source=identity.source,
        created_at=None if started is None else _moment(started),
        completed_at=None if running or started is None else _moment(ended or last_heard(entries, started)),
        open=running,
        document=flow_data.build(flow_id, entries, identity=identity),
    )


def merged(stored: Flow, live: Flow) -> Flow:
    """A flow that is in both places: parts of it were stored while others still run."""
    document: Mapping[str, Any] = live.document
    if stored.is_ours:
        document = flow_data.merge(stored.document, live.document)
    is_open = runs_beside(stored.stored, live, len(flow_data.events_in(document)))
    starts = [moment for moment in (stored.created_at, live.created_at) if moment is not None]
    if stored.is_ours and (started := started_at(flow_data.events_in(document))) is not None:
        starts = [_moment(started)]
    ends = [moment for moment in (stored.completed_at, live.completed_at) if moment is not None]
    return Flow(
        flow_id=stored.flow_id,
        session_id=stored.session_id or live.session_id,
        user_id=stored.user_id or live.user_id,
        conversation_id=stored.conversation_id or live.conversation_id,
        source=stored.source or live.source,
        created_at=min(starts, default=None),
        completed_at=None if is_open else max(ends, default=None),
        open=is_open,
        document=document,
        cost=stored.cost,
        cut_spans=max(stored.cut_spans, live.cut_spans) if is_open else stored.cut_spans,
        outcome=None if is_open else stored.outcome,
        outcome_reason=None if is_open else stored.outcome_reason,
        stored=stored.stored,
    )


def runs_beside(stored: StoredStatus | None, live: Flow, spans: int = 0) -> bool:
    """Whether a flow that Redis has runs, by what is stored of it. `spans` is how many both have together, where that
    is known: the stream usually has all of them."""
    events = flow_data.events_in(live.document)
    heard = max((at for event in events for name in _TIMES if (at := time_of(event, name))), default=None)
    status = LiveStatus(
        open_spans=live.open,
        heard_at=None if heard is None else _moment(heard),
        spans=spans or len(events),
    )
    return still_runs(stored, status)


def together(stored: Iterable[Flow], live: Iterable[Flow]) -> list[Flow]:
    """Both, each flow once, in start order."""
    flows = {flow.flow_id: flow for flow in stored}
    for flow in live:
        stored_flow = flows.get(flow.flow_id)
        flows[flow.flow_id] = merged(stored_flow, flow) if stored_flow else flow
    return sorted(flows.values(), key=_in_start_order)


def _in_start_order(flow: Flow) -> tuple[datetime, str]:
    return flow.created_at or _NEVER, flow.flow_id


#: Beside the values of `SPANFLOW_CONTENT`.
WITHHELD: Final = "withheld"
_EMPTY: Final[Mapping[str, Any]] = {}
_TIMES = ("start_ns", "updated_ns", "end_ns")
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def _moment(ns: int) -> datetime:
    """To the microsecond, without the rounding of a float."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
