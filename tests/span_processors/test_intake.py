"""The queue before the encoder: bounded, and exact about what it did not take."""

import threading
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.span_processors.stages.counters import FAULT, QUEUE_FULL, SHUTDOWN, START_DROPPED
from spanflow.span_processors.stages.intake import Intake


def entry(weight: int = 1) -> tuple[Any, ...]:
    return ("entry", weight)


def test_the_newest_start_is_dropped_and_its_end_with_it() -> None:
    intake = Intake(max_entries=10, max_bytes=1000)
    assert [intake.start(number, entry()) for number in range(10)] == [True] * 8 + [False] * 2
    assert [intake.end(number, entry()) for number in (8, 9)] == [False, False]
    assert [intake.end(number, entry()) for number in (0, 1, 2)] == [True, True, False]
    counts = intake.counts()
    assert (counts.accepted, counts.waiting, counts.dropped) == snapshot(
        (15, 10, {"queue_full": 3, "start_dropped": 2})
    )
    assert counts.balanced


def test_bytes_are_bounded_as_well() -> None:
    intake = Intake(max_entries=1000, max_bytes=1000)
    assert intake.start(1, entry(900))
    assert not intake.start(2, entry(1))
    assert intake.end(1, entry(500))
    assert not intake.put(entry(1))
    assert intake.counts().dropped == {QUEUE_FULL: 2}
    intake.take(10)
    intake.settle()
    assert intake.start(3, entry(1))


def test_room_comes_back_and_dropped_starts_are_forgotten_with_their_ends() -> None:
    intake = Intake(max_entries=10, max_bytes=1000)
    for number in range(9):
        intake.start(number, entry())
    assert intake.was_dropped(8)
    intake.take(100)
    intake.settle(faults=3)
    assert not intake.end(8, entry())
    assert not intake.was_dropped(8)
    assert intake.start(8, entry()) and intake.end(8, entry())
    counts = intake.counts()
    assert (counts.delivered, counts.dropped) == (5, {QUEUE_FULL: 1, FAULT: 3, START_DROPPED: 1})
    assert counts.balanced


def test_dropped_starts_that_never_end_do_not_pile_up() -> None:
    intake = Intake(max_entries=10, max_bytes=1000)
    for number in range(1000):
        intake.start(number, entry())
    assert sum(intake.was_dropped(number) for number in range(1000)) == 10


def test_a_closed_intake_counts_what_comes_too_late() -> None:
    intake = Intake(max_entries=10, max_bytes=1000)
    intake.close()
    assert not intake.start(1, entry()) and not intake.put(entry())
    assert intake.counts().dropped == {SHUTDOWN: 2}


def test_waiting_ends_at_once_when_something_comes() -> None:
    intake = Intake(max_entries=10, max_bytes=1000)
    woken = threading.Event()

    def sleep() -> None:
        while not len(intake):
            intake.wait(60)
        woken.set()

    thread = threading.Thread(target=sleep)
    thread.start()
    intake.put(entry())
    assert woken.wait(5)
    thread.join()


@settings(deadline=None, max_examples=30)
@given(
    threads=st.integers(1, 6),
    spans=st.integers(0, 300),
    entries=st.integers(16, 200),
    weight=st.integers(1, 50),
    faulty=st.integers(0, 3),
)
def test_accepted_is_delivered_or_dropped_whatever_happens(
    threads: int, spans: int, entries: int, weight: int, faulty: int
) -> None:
    intake = Intake(max_entries=entries, max_bytes=2000)
    answers: list[list[bool]] = [[] for _ in range(threads)]
    done = threading.Event()
    delivered: list[int] = []

    def produce(own: int) -> None:
        for number in range(spans):
            span_id = own * 1000 + number
            answers[own].append(intake.start(span_id, entry(weight)))
            answers[own].append(intake.end(span_id, entry(weight)))

    def consume() -> None:
        while not done.is_set() or len(intake):
            intake.wait(0.001)
            taken = intake.take(64)
            faults = min(faulty, len(taken))
            intake.settle(faults)
            delivered.append(len(taken) - faults)

    producers = [threading.Thread(target=produce, args=(own,)) for own in range(threads)]
    consumer = threading.Thread(target=consume)
    for thread in [*producers, consumer]:
        thread.start()
    for thread in producers:
        thread.join()
    done.set()
    intake.wake()
    consumer.join()

    counts = intake.counts()
    assert counts.balanced and counts.waiting == 0
    assert counts.accepted == threads * spans * 2
    assert counts.delivered == sum(delivered)
    assert sum(map(sum, answers)) == counts.delivered + counts.dropped.get(FAULT, 0)
    for own in answers:
        # A dropped start takes its end with it.
        assert not any(end for start, end in zip(own[::2], own[1::2], strict=True) if not start)
