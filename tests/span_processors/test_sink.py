"""A sink's runner: nothing is lost without being counted, whatever the sink does."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanflow.span_processors.stages.breaker import Breaker
from spanflow.span_processors.stages.counters import FAULT, QUEUE_FULL, REFUSED, SHUTDOWN, UNAVAILABLE
from spanflow.span_processors.stages.sink import Aside, Receipt, SinkLimits, Unavailable
from spanflow.span_processors.stages.sink_runner import SinkRunner
from tests.support.poll import eventually

Behaviour = Callable[[Sequence[int]], Receipt[int]]


class ScriptedSink:
    """Delivers numbers into a list, as its script says; without a script everything goes well."""

    name = "scripted"

    def __init__(self, *script: Behaviour, aside: Callable[[Sequence[int]], Aside] | None = None) -> None:
        self._script = list(script)
        self._aside = aside
        self.received: list[int] = []
        self.closed = False
        self.forked = False
        self.idle_calls = 0

    def sizes(self, items: Sequence[int]) -> list[int]:
        return [10] * len(items)

    def deliver(self, batch: Sequence[int], deadline: float) -> Receipt[int]:
        behave = self._script.pop(0) if self._script else self._well
        return behave(batch)

    def _well(self, batch: Sequence[int]) -> Receipt[int]:
        self.received += batch
        return Receipt(len(batch))

    def set_aside(self, batch: Sequence[int]) -> Aside:
        return self._aside(batch) if self._aside else Aside(0)

    def idle(self, deadline: float) -> float | None:
        self.idle_calls += 1
        return None

    def close(self, deadline: float) -> None:
        self.closed = True

    def after_fork(self) -> None:
        self.forked = True


def away(batch: Sequence[int]) -> Receipt[int]:
    raise Unavailable("nobody there")


def faulty(batch: Sequence[int]) -> Receipt[int]:
    raise ZeroDivisionError


def runner_of(sink: ScriptedSink, **limits: Any) -> SinkRunner[int]:
    return SinkRunner(sink, limits=SinkLimits(**limits), breaker=Breaker(longest_pause=0.05))


def test_items_arrive_in_order_and_flush_waits_for_them() -> None:
    sink = ScriptedSink()
    runner = runner_of(sink, batch_items=7)
    runner.offer(range(100))
    assert runner.flush(time.monotonic() + 5)
    assert sink.received == list(range(100))
    assert runner.shutdown(time.monotonic() + 5)
    assert sink.closed
    counts = runner.counts()
    assert (counts.accepted, counts.delivered, counts.waiting, counts.waiting_bytes) == (100, 100, 0, 0)


def test_while_the_server_is_away_items_wait_and_come_first_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    sink = ScriptedSink(away, away)
    runner = runner_of(sink)
    runner.offer([1, 2, 3])
    runner.offer([4])
    assert runner.flush(time.monotonic() + 5)
    assert sink.received == [1, 2, 3, 4]
    assert runner.state == "closed"
    # Said once each, and where only warnings are shown, too.
    assert [(record.levelname, record.message.partition(":")[0]) for record in caplog.records] == [
        ("WARNING", "scripted is away"),
        ("WARNING", "scripted is back"),
    ]
    runner.shutdown(time.monotonic() + 5)


def test_what_the_server_did_not_take_is_offered_again() -> None:
    def half(batch: Sequence[int]) -> Receipt[int]:
        return Receipt(1, {REFUSED: 1}, batch[2:], away="out of memory")

    sink = ScriptedSink(half)
    runner = runner_of(sink)
    runner.offer([1, 2, 3, 4])
    assert runner.flush(time.monotonic() + 5)
    assert sink.received == [3, 4]
    assert runner.counts().dropped == {REFUSED: 1}
    runner.shutdown(time.monotonic() + 5)


def test_a_fault_of_ours_loses_its_batch_only_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    sink = ScriptedSink(faulty)
    runner = runner_of(sink, batch_items=2)
    runner.offer([1, 2, 3])
    assert runner.flush(time.monotonic() + 5)
    assert sink.received == [3]
    assert runner.counts().dropped == {FAULT: 2}
    runner.shutdown(time.monotonic() + 5)


def test_a_full_queue_refuses_what_can_be_done_without_a_little_earlier() -> None:
    gate = threading.Event()

    def wait(batch: Sequence[int]) -> Receipt[int]:
        gate.wait(10)
        return Receipt(len(batch))

    sink = ScriptedSink(wait)
    runner = runner_of(sink, max_items=10)
    runner.offer([0])
    eventually(lambda: runner.counts().waiting == 1)
    refused = runner.offer([*range(1, 10), 100, 101], refusable=lambda number: number < 100)
    assert refused == [8, 9]
    assert runner.offer([102]) == [102]
    assert runner.counts().dropped == {QUEUE_FULL: 3}
    gate.set()
    assert runner.flush(time.monotonic() + 5)
    runner.shutdown(time.monotonic() + 5)


def test_bytes_are_bounded_as_well() -> None:
    gate = threading.Event()

    def wait(batch: Sequence[int]) -> Receipt[int]:
        gate.wait(10)
        return Receipt(len(batch))

    sink = ScriptedSink(wait)
    runner = runner_of(sink, max_bytes=100)
    runner.offer([0])
    eventually(lambda: runner.counts().waiting == 1)
    # Ten bytes each: nine find room beside the one that is on its way, fewer of those that can be refused.
    assert runner.offer(range(1, 20), refusable=lambda number: True) == list(range(8, 20))
    assert runner.offer([20, 21, 22]) == [22]
    assert runner.counts().waiting_bytes == 100
    gate.set()
    assert runner.flush(time.monotonic() + 5)
    assert runner.counts().dropped == {QUEUE_FULL: 13}
    runner.shutdown(time.monotonic() + 5)


def test_what_is_offered_again_stands_before_what_came_later() -> None:
    more_has_come = threading.Event()

    def takes_one(batch: Sequence[int]) -> Receipt[int]:
        more_has_come.wait(10)
        sink.received += batch[:1]
        return Receipt(1, again=batch[1:])

    sink = ScriptedSink(takes_one)
    runner = runner_of(sink, batch_items=3)
    runner.offer([1, 2, 3])
    eventually(lambda: runner.counts().waiting == 3)
    runner.offer([4, 5])
    more_has_come.set()
    assert runner.flush(time.monotonic() + 5)
    assert sink.received == [1, 2, 3, 4, 5]
    runner.shutdown(time.monotonic() + 5)


def test_at_the_end_time_is_left_for_setting_aside_what_a_silent_server_does_not_take() -> None:
    told = threading.Event()
    until = 0.0

    def hurry(deadline: float) -> None:
        nonlocal until
        until = deadline
        told.set()

    def is_silent(batch: Sequence[int]) -> Receipt[int]:
        told.wait(10)
        raise Unavailable("no answer")

    def keep(batch: Sequence[int]) -> Aside:
        aside.append((time.monotonic(), list(batch)))
        return Aside(len(batch))

    aside: list[tuple[float, list[int]]] = []
    sink = ScriptedSink(is_silent, aside=keep)
    runner = SinkRunner(sink, limits=SinkLimits(spare=0.5), hurry=hurry)
    runner.offer([1, 2])
    eventually(lambda: runner.counts().waiting == 2)
    end = time.monotonic() + 20
    assert runner.shutdown(end)
    assert end - 10.1 < until < end - 9
    assert [batch for _, batch in aside] == [[1, 2]]
    assert runner.counts().delivered == 2


def test_what_cannot_be_delivered_by_the_end_is_counted_as_lost_to_it() -> None:
    sink = ScriptedSink(*[away] * 1000)
    runner = runner_of(sink, max_items=3)
    runner.offer([1, 2, 3])
    eventually(lambda: runner.state != "closed")
    assert runner.offer([4]) == [4]
    assert not runner.flush(time.monotonic() + 0.1)
    assert not runner.shutdown(time.monotonic() + 0.3)
    assert runner.offer([5]) == [5]
    counts = runner.counts()
    assert counts.balanced and counts.waiting == 0
    assert counts.dropped == {SHUTDOWN: 4, UNAVAILABLE: 1}


def test_what_is_set_aside_counts_as_delivered() -> None:
    sink = ScriptedSink(away, aside=lambda batch: Aside(len(batch)))
    runner = runner_of(sink)
    runner.offer([1, 2])
    assert runner.flush(time.monotonic() + 5)
    assert runner.counts().delivered == 2
    assert runner.shutdown(time.monotonic() + 5)


def test_housekeeping_happens_without_items_too() -> None:
    sink = ScriptedSink()
    runner = runner_of(sink)
    runner.offer([1])
    eventually(lambda: sink.idle_calls)
    runner.shutdown(time.monotonic() + 5)


def test_a_child_starts_clean() -> None:
    sink = ScriptedSink(*[away] * 1000)
    runner = runner_of(sink)
    runner.offer([1, 2])
    eventually(lambda: runner.state != "closed")
    runner.shutdown(time.monotonic() + 0.1)
    runner.after_fork()
    assert sink.forked
    assert runner.counts().accepted == 0 and runner.state == "closed"


BEHAVIOURS: dict[str, Behaviour] = {
    "away": away,
    "faulty": faulty,
    "refuses one": lambda batch: Receipt(len(batch) - 1, {REFUSED: 1}),
    "takes the first": lambda batch: Receipt(1, again=batch[1:]),
    "is full": lambda batch: Receipt(0, again=batch, away="OOM"),
}


@settings(deadline=None, max_examples=40)
@given(
    script=st.lists(st.sampled_from(sorted(BEHAVIOURS)), max_size=8),
    sizes=st.lists(st.integers(1, 30), max_size=10),
    room=st.integers(5, 60),
    ending=st.sampled_from(["flush", "stop at once"]),
)
def test_accepted_is_delivered_or_dropped_whatever_the_sink_does(
    script: list[str], sizes: list[int], room: int, ending: str
) -> None:
    sink = ScriptedSink(*[BEHAVIOURS[word] for word in script])
    runner = runner_of(sink, max_items=room, batch_items=8)
    refused = 0
    for size in sizes:
        refused += len(runner.offer(range(size), refusable=lambda number: number % 2 == 0))
        assert runner.counts().balanced
    if ending == "flush":
        assert runner.flush(time.monotonic() + 10)
    runner.shutdown(time.monotonic() + (5 if ending == "flush" else 0.02))
    eventually(lambda: runner.counts().waiting == 0)
    counts = runner.counts()
    assert counts.balanced and counts.waiting_bytes == 0
    assert counts.accepted == sum(sizes)
    assert refused <= counts.lost


def test_a_batch_is_gathered_until_it_is_enough_or_somebody_waits() -> None:
    batches: list[int] = []

    def noted(batch: Sequence[int]) -> Receipt[int]:
        batches.append(len(batch))
        return Receipt(len(batch))

    sink = ScriptedSink(noted, noted, noted)
    runner = runner_of(sink, batch_items=3, linger=3600.0)
    runner.offer([1])
    runner.offer([2])
    runner.offer([3])
    eventually(lambda: batches == [3])
    runner.offer([4])
    assert runner.flush(time.monotonic() + 5)
    assert batches == [3, 1]
    runner.offer([5])
    assert runner.shutdown(time.monotonic() + 5)
    assert batches == [3, 1, 1]


def test_what_is_gathered_is_delivered_after_a_while() -> None:
    sink = ScriptedSink()
    runner = runner_of(sink, linger=0.05)
    runner.offer([1])
    eventually(lambda: sink.received == [1])
    runner.shutdown(time.monotonic() + 5)


class SlowServer:
    """A sink whose server answers when it is told to, beside a place of so many items."""

    def __init__(self, room: int = 10**9) -> None:
        self.answers = threading.Event()
        self.room = room
        self.aside: list[int] = []
        self.lock = threading.Lock()

    def deliver(self, batch: Sequence[int]) -> Receipt[int]:
        assert self.answers.wait(10)
        return Receipt(len(batch))

    def keep(self, batch: Sequence[int]) -> Aside:
        with self.lock:
            kept = min(len(batch), self.room - len(self.aside))
            self.aside += batch[:kept]
            return Aside(kept, "" if kept == len(batch) else "spool_full")

    def runner(self, **limits: Any) -> SinkRunner[int]:
        sink = ScriptedSink(*[self.deliver] * 10_000, aside=self.keep)
        return runner_of(sink, **{"set_aside_from": 0.5, **limits})


def test_what_has_waited_longest_is_set_aside_while_the_server_is_slow() -> None:
    server = SlowServer()
    runner = server.runner(max_items=10, batch_items=3)
    runner.offer([0])
    eventually(lambda: runner.counts().waiting == 1)
    eventually(lambda: not runner._queue)  # the first one is with the server
    assert runner.offer(range(1, 8)) == []
    eventually(lambda: len(server.aside) >= 2)
    assert server.aside[:2] == [1, 2]
    assert runner.state == "closed", "the server is not away"
    server.answers.set()
    assert runner.flush(time.monotonic() + 5)
    counts = runner.counts()
    assert (counts.accepted, counts.delivered, counts.lost) == (8, 8, 0)
    assert runner.shutdown(time.monotonic() + 5)


def test_a_burst_beyond_all_room_is_set_aside_and_not_refused() -> None:
    server = SlowServer()
    runner = server.runner(max_items=10)
    assert runner.offer(range(1000)) == []
    server.answers.set()
    assert runner.flush(time.monotonic() + 5)
    assert runner.counts().delivered == 1000
    assert runner.shutdown(time.monotonic() + 5)


def test_refused_is_only_what_finds_no_room_anywhere() -> None:
    server = SlowServer(room=100)
    runner = server.runner(max_items=10)
    lost = runner.offer(range(1000))
    counts = runner.counts()
    assert counts.balanced
    assert counts.dropped == {"spool_full": len(lost)}
    assert 885 <= len(lost) <= 890, "ten wait and a hundred are set aside, some of them from among the ten"
    server.answers.set()
    assert runner.flush(time.monotonic() + 5)
    assert runner.shutdown(time.monotonic() + 5)
    assert (runner.counts().delivered, runner.counts().lost) == (1000 - len(lost), len(lost))


@settings(deadline=None, max_examples=30)
@given(
    sizes=st.lists(st.integers(1, 40), max_size=12),
    room=st.integers(1, 30),
    place=st.integers(0, 200),
    answers_after=st.integers(0, 12),
    ending=st.sampled_from(["flush", "stop at once"]),
)
def test_counts_are_exact_with_two_threads_at_one_queue(
    sizes: list[int], room: int, place: int, answers_after: int, ending: str
) -> None:
    server = SlowServer(place)
    runner = server.runner(max_items=room, batch_items=4, spare=0.5)
    lost = 0
    for turn, size in enumerate(sizes):
        if turn == answers_after:
            server.answers.set()
        lost += len(runner.offer(range(size)))
        assert runner.counts().balanced
    server.answers.set()
    assert lost == runner.counts().lost
    assert len(server.aside) == place or not lost, "nothing is lost while there is room aside"
    if ending == "flush":
        assert runner.flush(time.monotonic() + 10)
    runner.shutdown(time.monotonic() + 5)
    counts = runner.counts()
    assert (counts.balanced, counts.waiting, counts.waiting_bytes) == (True, 0, 0)
    assert (counts.accepted, counts.lost) == (sum(sizes), lost)


def test_what_is_refused_is_told_before_what_came_after_it_can_be_delivered() -> None:
    delivered = threading.Event()
    told: list[int] = []

    def deliver(batch: Sequence[int]) -> Receipt[int]:
        delivered.set()
        return Receipt(len(batch))

    def on_refused(number: int) -> None:
        told.append(number)
        assert not delivered.wait(0.2), "an end was taken whose start is not yet known to be lost"

    sink = ScriptedSink(deliver)
    runner = SinkRunner(sink, limits=SinkLimits(max_items=5), on_refused=on_refused)
    runner.ensure_started()
    assert runner.offer([1, 2, 3, 4, 5, 100], refusable=lambda number: number < 100) == [5]
    assert runner.flush(time.monotonic() + 5)
    assert told == [5]
    assert runner.shutdown(time.monotonic() + 5)
