"""Activities are numbered within their conversation by time, whoever writes them and whenever."""

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.archive.conversation_numbers import (
    MAX_NUMBER,
    Numbered,
    Tail,
    continued,
    renumbered,
)
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.stages.sink import Receipt
from tests.support.archives import Archives, archives_in, deliver, replay
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.query import query

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
def archives(postgres_dsn: str, tmp_path: Path) -> Iterator[Archives]:
    with archives_in(postgres_dsn, tmp_path) as made:
        yield made


def said(at: int, text: str, conversation: str | None = "c1", **more: Any) -> Activity:
    return Activity("user_message", NOON + at * MS, {"message": text}, conversation, **more)


def flow_with(number: int, activities: Sequence[Activity], **more: Any) -> FlowPart:
    return part(number, [span(1)], activities=tuple(activity.to_bytes() for activity in activities), **more)


def conversation(archives: Archives, name: str | None = "c1") -> list[tuple[int, str]]:
    rows = query(
        archives.dsn,
        "SELECT sequence_num, activity_data ->> 'message' AS message FROM omni2.user_activities "
        "WHERE conversation_id IS NOT DISTINCT FROM $1 ORDER BY sequence_num, created_at",
        name,
    )
    return [(row["sequence_num"], row["message"]) for row in rows]


def test_they_are_numbered_by_time_and_know_whose_they_are(archives: Archives) -> None:
    person = Identity(user_id="7", session_id="s1", conversation_id="c1", source="web")
    activities = [
        Activity("assistant_response", NOON + 3 * MS, {"message": "75 %", "duration_ms": 1200}),
        said(1, "How far is job X?", None, node_id="0" * 15 + "1"),
    ]
    deliver(archives.make(), flow_with(1, activities, identity=person))
    columns = "sequence_num, activity_type, conversation_id, session_id, user_id, flow_id, node_id, duration_ms, source"
    rows = query(archives.dsn, f"SELECT {columns} FROM omni2.user_activities ORDER BY sequence_num")
    assert [tuple(row.values()) for row in rows] == [
        (1, "user_message", "c1", "s1", "7", f"{1:032x}", "0" * 15 + "1", None, "web"),
        (2, "assistant_response", "c1", "s1", "7", f"{1:032x}", None, 1200.0, "web"),
    ]
    assert query(archives.dsn, "SELECT activity_count, title FROM omni2.conversations") == [
        {"activity_count": 2, "title": "How far is job X?"}
    ]


def test_a_turn_that_waited_in_a_spool_is_put_in_its_place(archives: Archives) -> None:
    archive = archives.make()
    archive.set_aside([flow_with(1, [said(1, "first"), said(2, "second")])])
    deliver(archives.make("p2"), flow_with(2, [said(3, "third"), said(4, "fourth")]))
    assert conversation(archives) == [(1, "third"), (2, "fourth")]
    replay(archive)
    assert conversation(archives) == [(1, "first"), (2, "second"), (3, "third"), (4, "fourth")]
    assert query(archives.dsn, "SELECT activity_count FROM omni2.conversations") == [{"activity_count": 4}]


def test_a_callers_own_number_is_kept(archives: Archives) -> None:
    archive = archives.make()
    deliver(archive, flow_with(1, [said(1, "own 5", sequence_num=5), said(2, "after it")]))
    deliver(archive, flow_with(2, [said(0, "before both"), said(3, "own 2", sequence_num=2), said(4, "last")]))
    assert conversation(archives) == [(1, "before both"), (2, "own 2"), (5, "own 5"), (6, "after it"), (7, "last")]


def test_what_comes_twice_is_stored_once(archives: Archives) -> None:
    archive = archives.make()
    turn = flow_with(1, [said(1, "once")])
    deliver(archive, turn)
    deliver(archive, turn, flow_with(2, [said(2, "twice")]))
    assert conversation(archives) == [(1, "once"), (2, "twice")]


def test_without_a_conversation_they_are_numbered_within_their_flow(archives: Archives) -> None:
    archive = archives.make()
    deliver(archive, flow_with(1, [said(1, "a", None), said(2, "b", None)]), flow_with(2, [said(3, "c", None)]))
    deliver(archive, flow_with(1, [said(0, "before", None)]))
    assert conversation(archives, None) == [(1, "before"), (1, "c"), (2, "a"), (3, "b")]
    assert query(archives.dsn, "SELECT * FROM omni2.conversations") == []


def test_several_workers_at_once_number_one_conversation_right(archives: Archives) -> None:
    turns = [flow_with(turn, [said(turn * 10 + step, f"{turn}.{step}") for step in range(3)]) for turn in range(24)]
    receipts: list[Receipt[FlowPart]] = []

    def work(worker: int) -> None:
        archive = archives.make(f"worker {worker}")
        for turn in turns[worker::4]:
            receipts.append(deliver(archive, turn))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(receipt.delivered for receipt in receipts) == 24
    expected = [f"{turn}.{step}" for turn in range(24) for step in range(3)]
    assert conversation(archives) == list(enumerate(expected, start=1))


LINES = st.lists(
    st.builds(
        Numbered,
        activity_id=st.uuids().map(str),
        time=st.integers(0, 50).map(lambda second: BEGIN + timedelta(seconds=second)),
        number=st.none() | st.integers(0, 20),
        own=st.just(False),
    ).map(lambda line: Numbered(line.activity_id, line.time, line.number, line.number is not None)),
    max_size=12,
    unique_by=lambda line: line.activity_id,
)


@given(LINES, st.data())
def test_any_order_of_arrival_gives_the_same_numbers(lines: list[Numbered], data: st.DataObject) -> None:
    at_once = renumbered([], lines)
    stored: dict[str, Numbered] = {}
    rest = data.draw(st.permutations(lines))
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        batch, rest = rest[:size], rest[size:]
        known = list(stored.values())
        tail = Tail(max(line.time for line in known), max(line.number or 0 for line in known)) if known else None
        numbers = continued(tail, batch)
        if numbers is None:
            numbers = renumbered(known, batch)
        for line in (*known, *batch):
            if line.activity_id in numbers:
                stored[line.activity_id] = Numbered(line.activity_id, line.time, numbers[line.activity_id], line.own)
    assert {line.activity_id: line.number for line in stored.values()} == at_once


def test_numbers_stop_at_what_the_column_holds() -> None:
    top = Numbered("a", BEGIN, MAX_NUMBER, True)
    assert renumbered([top], [Numbered("b", BEGIN + timedelta(seconds=1), None, False)]) == {"b": MAX_NUMBER}
