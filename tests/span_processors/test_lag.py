"""How far behind a stage is."""

from hypothesis import given
from hypothesis import strategies as st

from spanflow.span_processors.stages.lag import Lag


def test_the_age_of_the_oldest_waiting_thing_is_told() -> None:
    lag = Lag()
    assert lag.seconds(0, 100.0) == 0.0
    lag.queued(10, 0, 100.0)
    lag.queued(5, 10, 101.0)
    assert lag.seconds(15, 103.0) == 3.0
    assert lag.seconds(5, 103.0) == 2.0
    assert lag.seconds(0, 104.0) == 0.0


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 0.5), st.integers(0, 8)), max_size=60))
def test_it_is_right_to_within_a_tenth_of_a_second(steps: list[tuple[int, float, int]]) -> None:
    lag = Lag()
    now = 0.0
    waiting: list[float] = []
    for arrived, passed, finished in steps:
        now += passed
        lag.queued(arrived, len(waiting), now)
        waiting += [now] * arrived
        del waiting[:finished]
        oldest = now - waiting[0] if waiting else 0.0
        assert oldest - 1e-9 <= lag.seconds(len(waiting), now) <= oldest + 0.1 + 1e-9


def test_a_queue_that_is_stuck_for_days_is_remembered_in_bounded_memory() -> None:
    lag = Lag()
    for second in range(100_000):
        lag.queued(1, second, float(second))
    assert lag.seconds(100_000, 100_000.0) == 100_000.0
    assert len(lag._marks) <= 1024


def test_nobody_has_to_read_it_for_what_is_finished_to_be_forgotten() -> None:
    lag = Lag()
    for second in range(100):
        lag.queued(1, 1, float(second))
    assert len(lag._marks) <= 3
