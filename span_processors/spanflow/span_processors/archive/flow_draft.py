"""What a batch brings for one flow, as one document: before it is known whether a row of the flow is there already."""

import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final

import orjson

from spanflow.span_processors import flow_part, names
from spanflow.span_processors.activity import Activity
from spanflow.span_processors.archive.flow_limits import FlowLimits
from spanflow.span_processors.archive.flow_row import FlowRow, flow_row
from spanflow.span_processors.archive.poison import ACTIVITY, SPAN, Poison
from spanflow.span_processors.event.event import Event, EventError, decode
from spanflow.span_processors.event.json_safe import safe_text
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.ids import MAX_ID_LENGTH, id_or_none, is_id
from spanflow.span_processors.tree import flow_data
from spanflow.span_processors.tree.flow_data import FlowData
from spanflow.span_processors.tree.flow_times import started_at
from spanflow.span_processors.tree.prices import PriceTable
from spanflow.span_processors.tree.reducer import FlowReducer


@dataclass(slots=True)
class FlowDraft:
    """One flow of a batch. Its document is not kept: the few flows that are merged have it made again, and thousands
    of small objects less are alive while a batch is written."""

    flow_id: str
    started_ns: int
    #: Whose it is, and its row as a line for COPY but for the start key, should the flow be new: made before the
    #: transaction begins, so that no lock waits for it.
    owner: Identity
    line: bytes
    #: What the parts say beside the spans.
    identity: Identity
    parts: list[FlowPart]
    #: Whether every entry is as our encoder makes it.
    plain: bool = True
    activities: list[Activity] = field(default_factory=list)

    @property
    def only_activities(self) -> bool:
        """Nothing of the flow itself has come yet."""
        return all(part.reason == flow_part.ACTIVITIES for part in self.parts)


#: After so many flows, half a millisecond, a request that waits for the interpreter gets it. Without this it would wait
#: until Python takes it away from a busy thread, which is ten times as long.
_STEP: Final = 4
_PHASES: Final = frozenset(names.PHASES)
#: How the entries of a part are read.
_Reading = Callable[[FlowPart], Iterable[Event]]


class Drafter:
    """Makes drafts of parts."""

    def __init__(self, limits: FlowLimits, prices: PriceTable) -> None:
        self._limits = limits
        self._prices = prices

    def draft(self, flow_id: str, parts: list[FlowPart], poison: list[Poison]) -> FlowDraft:
        """The draft of one flow; what in its parts cannot be used is added to `poison`."""
        try:
            draft = self._made(flow_id, parts, _trusted)
        except Exception:  # something is not as our encoder makes it: look at every entry, and name those at fault
            draft = self._made(flow_id, parts, partial(_examined, poison))
            draft.plain = False
        draft.activities = [activity for part in parts if part.activities for activity in _activities(part, poison)]
        return draft

    def document(self, draft: FlowDraft) -> FlowData:
        """The document of a draft, made again."""
        return self._limited(self._brought(draft))[0]

    def merged(self, before: FlowData, draft: FlowDraft) -> tuple[FlowData, bytes]:
        """What is stored of the flow and what the draft brings as one document, within the limits; and its JSON."""
        return self._limited(flow_data.merge(before, self._brought(draft)))

    def _brought(self, draft: FlowDraft) -> FlowData:
        return _joined(draft.parts, _trusted if draft.plain else partial(_examined, []))

    def row(self, document: FlowData, encoded: bytes, started_ns: int, source: str | None) -> FlowRow:
        """The row of a document."""
        return flow_row(document, encoded, started_ns, source, self._prices)

    def _limited(self, document: FlowData) -> tuple[FlowData, bytes]:
        return self._limits.applied(document, orjson.dumps(document))

    def _made(self, flow_id: str, parts: list[FlowPart], entries_of: _Reading) -> FlowDraft:
        document = _joined(parts, entries_of)
        identity = NOBODY
        for part in sorted(parts, key=lambda part: part.identity.source or ""):
            identity = identity.merged(_clean(part.identity))
        started_ns = started_at(document["events"])
        if started_ns is None:
            started_ns = min([part.started_ns for part in parts if part.started_ns], default=0)
        document, encoded = self._limited(document)
        row = self.row(document, encoded, started_ns, identity.source)
        return FlowDraft(flow_id, started_ns, row.owner, row.line(), identity, parts)


class Drafting:
    """The drafts of a batch in the making: a few at a time, so that it can be done while Postgres writes another
    batch."""

    def __init__(self, drafter: Drafter, parts: Sequence[FlowPart]) -> None:
        self.parts = parts
        #: A draft per flow, ordered by flow id: the global order of locks.
        self.made: list[FlowDraft] = []
        #: What in the parts cannot be used, and the parts of which nothing is.
        self.poison: list[Poison] = []
        self.refused: list[FlowPart] = []
        self._drafter = drafter
        by_flow: dict[str, list[FlowPart]] = defaultdict(list)
        for part in parts:
            if is_id(part.flow_id):
                by_flow[part.flow_id].append(part)
            else:
                self._refuse([part], "the flow id cannot be used")
        #: What is left, the last one first.
        self._left = sorted(by_flow.items(), reverse=True)

    def step(self) -> bool:
        """Make the next few; False when there are no more."""
        for _ in range(min(_STEP, len(self._left))):
            flow_id, parts = self._left.pop()
            try:
                self.made.append(self._drafter.draft(flow_id, parts, self.poison))
            except Exception as why:  # whatever a record brings, it must not keep the others from being stored
                self._refuse(parts, f"{type(why).__name__}: {why}")
        return bool(self._left)

    def finish(self) -> None:
        """Make what is left."""
        while self.step():
            time.sleep(0)

    def _refuse(self, parts: list[FlowPart], why: str) -> None:
        self.refused += parts
        self.poison += [Poison.of_part(part, why) for part in parts]


def _joined(parts: list[FlowPart], entries_of: _Reading) -> FlowData:
    """One document out of parts that have come together."""
    telling = [part for part in parts if part.reason != flow_part.ACTIVITIES] or parts
    documents = [_document(part, entries_of(part)) for part in telling]
    document = documents[0]
    for other in documents[1:]:
        document = flow_data.merge(document, other)
    return document


def _document(part: FlowPart, entries: Iterable[Event]) -> FlowData:
    events = list(entries)
    processes = {part.instance_id: _process(part, events)}
    return flow_data.build(part.flow_id, events, identity=_clean(part.identity), processes=processes)


def _trusted(part: FlowPart) -> Iterable[Event]:
    """The entries as they are, when they look as our encoder makes them: merged, one per span, in plain JSON."""
    events: list[Event] = list(map(orjson.loads, part.entries))
    if not events:
        return events
    ids = {event["node_id"] for event in events}
    if len(ids) < len(events):
        raise ValueError("spans that come twice have to be merged")
    ids.update([parent_id for event in events if (parent_id := event.get("parent_id")) is not None])
    plain = "".join(ids).isalnum() and max(map(len, ids)) <= MAX_ID_LENGTH and "" not in ids
    if not plain or not {event["phase"] for event in events} <= _PHASES or _has_nul(part.entries):
        raise ValueError("not made by our encoder")
    return events


def _has_nul(entries: Iterable[bytes]) -> bool:
    together = b"".join(entries)
    return b"\\" in together and b"\\u0000" in together


def _examined(poison: list[Poison], part: FlowPart) -> Iterable[Event]:
    reducer = FlowReducer()
    for raw in part.entries:
        try:
            reducer.add(decode(raw))
        except EventError as why:
            poison.append(Poison(SPAN, part.flow_id, part.identity.user_id, part.instance_id, str(why), raw))
    return reducer.entries()


@lru_cache(maxsize=4096)
def _clean(identity: Identity) -> Identity:
    """The identity as columns take it: ids that cannot be ids are left out, texts are made storable."""
    texts = (identity.email, identity.full_name, identity.source, identity.team)
    email, full_name, source, team = (safe_text(text) if text else None for text in texts)
    ids = map(id_or_none, (identity.user_id, identity.session_id, identity.conversation_id))
    user_id, session_id, conversation_id = ids
    return Identity(user_id, email, full_name, session_id, conversation_id, source, team)


@lru_cache(maxsize=64)
def _described(process: bytes) -> dict[str, Any]:
    """What a process says of itself: the same in all its flows. Not to be changed."""
    try:
        described = orjson.loads(process)
    except ValueError:
        return {}
    return described if isinstance(described, dict) else {}


def _process(part: FlowPart, entries: Iterable[Event]) -> dict[str, Any]:
    process = dict(_described(part.process))
    if scopes := process.get("scopes"):
        # A process that was read back from Redis is described with more than this flow has to do with.
        used = {entry.get("scope") for entry in entries}
        process["scopes"] = {key: about for key, about in scopes.items() if key in used}
    mark = zlib.crc32(b"".join(part.activities), zlib.crc32(b"".join(part.entries)))
    handed_over = {
        "why": part.reason,
        # As text, like every time in an event: JavaScript would round the number.
        "at_ns": str(part.ended_ns or part.started_ns),
        "root_ended": part.root_ended,
        "cut_spans": part.cut_spans,
        "cut_bytes": part.cut_bytes,
        "redacted": part.redacted,
    }
    process["parts"] = {f"{mark:08x}": {key: value for key, value in handed_over.items() if value}}
    return process


def _activities(part: FlowPart, poison: list[Poison]) -> Iterable[Activity]:
    for raw in part.activities:
        try:
            yield Activity.from_bytes(raw)
        except ValueError as why:
            poison.append(Poison(ACTIVITY, part.flow_id, part.identity.user_id, part.instance_id, str(why), raw))
