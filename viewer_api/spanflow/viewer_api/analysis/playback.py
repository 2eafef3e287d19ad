"""Past flows as the messages that the live socket sent of them, each with its time: a client with all of them has
the tree that is stored."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.span_record import log_records, moment_of, split
from spanflow.span_processors.tree.tree import NS_PER_MS
from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.http.responses import encode

#: What is known of a span when it starts, of one that was stored as a whole.
_AT_START: Final = ("parent_id", "event_type", "name", "kind", "start_ns", "process", "scope", "flags", "trace_state")


@dataclass(frozen=True, slots=True)
class Moment:
    """Something to be played at a time."""

    at_ns: int
    message: dict[str, Any]


def written_playback(
    flows: Sequence[PackedFlow], topic: Mapping[str, Any], first: int, most: int, recording: str | None
) -> bytes:
    """One page of the whole answer, as a thread or the worker makes it. Empty when it is no page of that recording."""
    entries = {packed.flow.flow_id: packed.unpacked().entries for packed in flows}
    moments = moments_of(entries, topic)
    current = _fingerprint(moments)
    if recording not in (None, current):
        return b""
    following = first + most
    return encode(
        {
            "started_ns": str(moments[0].at_ns) if moments else None,
            "duration_ms": page_of(moments, len(moments) - 1, 1)[0]["at_ms"] if moments else 0.0,
            "flows": list(entries),
            "recording": current,
            "total": len(moments),
            "messages": page_of(moments, first, most),
            "next": following if following < len(moments) else None,
        }
    )


def moments_of(flows: Mapping[str, Iterable[Event]], topic: Mapping[str, Any]) -> list[Moment]:
    """The messages of some flows, by id, in the order of time. `topic` is what was asked for, as it stands in each."""
    timed: list[tuple[int, int, str, Event | None]] = []
    for flow_id, entries in flows.items():
        events = [timed_event for entry in entries for timed_event in _events(entry, flow_id)]
        if not events:
            continue
        timed.append((min(at for at, _ in events), 0, flow_id, None))
        timed += [(at, 1 if event["phase"] == names.START else 2, flow_id, event) for at, event in events]
        timed.append((max(at for at, _ in events), 3, flow_id, None))
    timed.sort(key=lambda each: each[:3])
    moments: list[Moment] = []
    for (at_ns, rank), group in groupby(timed, key=lambda each: (each[0], each[1] in (1, 2) or each[1])):
        members = list(group)
        if rank is True:
            moments.append(Moment(at_ns, {"type": "events", **topic, "events": [event for *_, event in members]}))
        else:
            moments += [
                Moment(at_ns, {"type": "flow", **topic, "flow_id": flow_id, "open": rank == 0})
                for _, _, flow_id, _ in members
            ]
    return moments


def _fingerprint(moments: Iterable[Moment]) -> str:
    """Which messages there are, and in which order: what runs, or is stored late, moves them."""
    digest = blake2b(digest_size=8)
    for moment in moments:
        events = moment.message.get("events", ())
        told = [(event["flow_id"], event["node_id"], event["phase"]) for event in events]
        digest.update(repr((moment.at_ns, moment.message.get("flow_id"), told)).encode())
    return digest.hexdigest()


def page_of(moments: list[Moment], first: int, limit: int) -> list[dict[str, Any]]:
    start = moments[0].at_ns if moments else 0
    return [
        {"at_ms": (moment.at_ns - start) / NS_PER_MS, "message": moment.message}
        for moment in moments[first : first + limit]
    ]


def _events(entry: Event, flow_id: str) -> Iterator[tuple[int, Event]]:
    """A span's start, what came last, and log records about it, each with its time."""
    start, last = split(entry)
    if start is None and last is not None and "start_ns" in last:
        start = {"phase": names.START, **{key: last[key] for key in _AT_START if key in last}}
    began = int((start or last or {}).get("start_ns") or 0)
    for part in (start, last):
        if part is None:
            continue
        ended = part.get("end_ns") or part.get("updated_ns")
        at = began if part is start or ended is None else max(began, int(ended))
        yield at, {"flow_id": flow_id, "node_id": entry["node_id"], **part}  # type: ignore[typeddict-item]
    for record in log_records(entry):
        update = {"flow_id": flow_id, "node_id": entry["node_id"], "phase": names.UPDATE, "logs": [record]}
        yield max(began, moment_of(record)), update  # type: ignore[misc]
